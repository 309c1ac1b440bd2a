"""The registry against a model that keeps no heap and scans every node each time."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbench.hub.errors import OutdatedStreamError
from heartbench.hub.liveness.fixed_timeout import FixedTimeout
from heartbench.hub.liveness.flap_rules import FlapWindow
from heartbench.hub.liveness.node import Hello, Session
from heartbench.hub.liveness.policy import PolicySpec
from heartbench.hub.liveness.registry import Registry
from heartbench.hub.liveness.rules import Change, Reason, Status
from heartbench.mesh.kinds import Kind

STALE_AFTER_S = 4.0
RULE = FlapWindow(window_s=20.0, threshold=3, exit_below=2)


def a_registry(stale_after_s: float = STALE_AFTER_S, rule: FlapWindow = RULE) -> Registry:
    return Registry(PolicySpec(FixedTimeout(stale_after_s), rule))


def said(changes: Sequence[Change]) -> list[tuple[float, str, Reason]]:
    return [(change.at_s, change.node_id, change.reason) for change in changes]


@dataclass
class NaiveNode:
    """One node, judged by looking at it again at each moment at which something could become true."""

    name: str
    changes: list[Change]
    status: Status | None = None
    stream: tuple[int, int] = (-1, -1)
    connected: bool = False
    flapping: bool = False
    heard_s: float = -inf
    flaps: list[float] = field(default_factory=list)

    def say(self, at: float, reason: Reason) -> None:
        assert self.status is not None
        self.changes.append(Change(at, self.name, self.status, self.connected, self.flapping, reason))

    def counted(self, at: float) -> int:
        return sum(1 for flap in self.flaps if flap + RULE.window_s > at)

    def become(self, at: float, status: Status, reason: Reason) -> None:
        flap = {self.status, status} == {Status.ONLINE, Status.STALE}
        self.status = status
        self.say(at, reason)
        if flap:
            self.flaps.append(at)
            if not self.flapping and self.counted(at) >= RULE.threshold:
                self.flapping = True
                self.say(at, Reason.FLAPS_ENTRY)

    def advance(self, now: float) -> None:
        """Visit every moment up to now at which a flap is forgotten or the silence is too long, in order."""
        while True:
            moments = [(flap + RULE.window_s, 0) for flap in self.flaps if self.flapping]
            due = [m for m in moments if m[0] <= now and self.counted(m[0]) < RULE.exit_below]
            if self.status is Status.ONLINE and self.heard_s + STALE_AFTER_S < now:
                due.append((self.heard_s + STALE_AFTER_S, 1))
            if not due:
                return
            at, what = min(due)
            if what == 0:
                self.flapping = False
                self.say(at, Reason.FLAPS_EXIT)
            else:
                self.become(at, Status.STALE, Reason.SILENCE)

    def heard(self, now: float) -> None:
        self.advance(now)
        self.heard_s = now
        if self.status is None:
            self.status = Status.ONLINE
        elif self.status is not Status.ONLINE:
            self.become(now, Status.ONLINE, Reason.HEARD)

    def hello(self, now: float, stream: tuple[int, int]) -> bool:
        if stream < self.stream and self.status is Status.ONLINE and now <= self.heard_s + STALE_AFTER_S:
            return False
        first, replaced = self.status is None, self.connected
        self.heard(now)
        self.stream, self.connected = stream, True
        self.say(now, Reason.REGISTERED if first else Reason.REPLACED if replaced else Reason.CONNECTED)
        return True


STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.0, 0.25, 1.0, 3.75, 4.0, 4.25, 16.0, 20.0]),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["hello", "beat", "beat", "chunk", "goodbye", "closed", "sweep", "sweep", "old beat"]),
        st.integers(0, 1),
    ),
    max_size=60,
)


def assert_counts(registry: Registry) -> None:
    """The counts kept from change to change are those of a scan of all nodes."""
    nodes = registry.nodes.values()
    assert +registry.count == Counter(node.status for node in nodes)
    assert registry.connected == sum(node.connected for node in nodes)
    assert registry.flapping == sum(node.flapping for node in nodes)
    assert registry.names_after("", len(nodes) + 1) == sorted(registry.nodes)


@given(STEPS)
def test_it_says_what_a_scan_of_all_nodes_says(steps: list[tuple[float, str, str, int]]) -> None:
    registry, changes = a_registry(), list[Change]()
    models = {name: NaiveNode(name, []) for name in "abc"}
    sessions: dict[str, list[Session]] = {name: [] for name in "abc"}
    connections = dict.fromkeys("abc", 0)
    now = 0.0
    for wait_s, name, verb, back in steps:
        now += wait_s
        model, streams = models[name], sessions[name]
        current = bool(streams) and streams[-1].node.session is streams[-1]
        if verb == "hello":
            stream = (1 + connections[name] // 3, connections[name] - 2 * back)
            connections[name] += 1
            accepted = model.hello(now, stream)
            try:
                session, more = registry.hello(Hello(name, *stream), now)
            except OutdatedStreamError:
                assert not accepted
                continue
            assert accepted
            streams.append(session)
            changes.extend(more)
        elif verb == "sweep":
            changes.extend(registry.sweep(now))
        elif verb == "old beat" and len(streams) > 1:
            assert not registry.heartbeat(streams[0], now)
        elif verb == "chunk" and streams:
            boot_id = streams[-1].boot_id
            changes.extend(registry.sign_of_life(name, boot_id, now))
            if model.status is not Status.OFFLINE:
                model.heard(now)
        elif current and verb in ("beat", "goodbye", "closed"):
            call = {"beat": registry.heartbeat, "goodbye": registry.goodbye, "closed": registry.closed}[verb]
            changes.extend(call(streams[-1], now))
            if verb == "beat":
                model.heard(now)
            else:
                model.advance(now)
                model.connected = False
                if verb == "goodbye":
                    model.become(now, Status.OFFLINE, Reason.GOODBYE)
                else:
                    model.say(now, Reason.STREAM_ENDED)
        assert_counts(registry)
    now += 100.0
    changes.extend(registry.sweep(now))
    assert_counts(registry)
    for name, model in models.items():
        model.advance(now)
        assert [change for change in changes if change.node_id == name] == model.changes


@given(STEPS, st.lists(st.integers(0, 59), max_size=20))
def test_it_knows_how_many_nodes_are_in_each_state(
    steps: list[tuple[float, str, str, int]], forgotten: list[int]
) -> None:
    registry, now, sessions = a_registry(), 0.0, dict[str, Session]()
    for number, (wait_s, name, verb, _) in enumerate(steps):
        now += wait_s
        if number in forgotten:
            registry.forget(name, now)
        elif verb in ("goodbye", "closed") and name in sessions:
            {"goodbye": registry.goodbye, "closed": registry.closed}[verb](sessions[name], now)
        elif verb == "sweep":
            registry.sweep(now)
        else:
            sessions[name], _ = registry.hello(Hello(name, 1, number), now)
        assert_counts(registry)


@given(STEPS, st.lists(st.integers(0, 59), max_size=20))
def test_when_sweeps_happen_changes_nothing(steps: list[tuple[float, str, str, int]], swept: list[int]) -> None:
    def play(sweep_after: set[int]) -> dict[str, list[Change]]:
        registry, now, sessions = a_registry(), 0.0, dict[str, Session]()
        changes: list[Change] = []
        for number, (wait_s, name, verb, _) in enumerate(steps):
            now += wait_s
            if verb == "hello" or name not in sessions:
                sessions[name], more = registry.hello(Hello(name, 1, number), now)
                changes.extend(more)
            elif verb != "sweep":
                changes.extend(registry.heartbeat(sessions[name], now))
            if number in sweep_after:
                changes.extend(registry.sweep(now))
        changes.extend(registry.sweep(now + 100))
        return {name: [change for change in changes if change.node_id == name] for name in "abc"}

    assert play(set(swept)) == play(set())


def test_silence_is_timed_at_the_deadline_however_late_it_is_found() -> None:
    registry = a_registry()
    registry.hello(Hello("n", 1, 0), 10.0)
    assert not registry.sweep(14.0)
    assert said(registry.sweep(99.0)) == [(14.0, "n", Reason.SILENCE)]


def test_a_late_sign_of_life_makes_stale_then_online() -> None:
    registry = a_registry()
    session, _ = registry.hello(Hello("n", 1, 0), 10.0)
    assert said(registry.heartbeat(session, 15.0)) == [(14.0, "n", Reason.SILENCE), (15.0, "n", Reason.HEARD)]


def test_a_sign_of_life_at_the_very_deadline_is_in_time() -> None:
    registry = a_registry()
    session, _ = registry.hello(Hello("n", 1, 0), 10.0)
    assert not registry.heartbeat(session, 14.0)
    assert not registry.sweep(18.0)


def test_a_stream_that_ends_without_goodbye_changes_no_status() -> None:
    registry = a_registry()
    session, _ = registry.hello(Hello("n", 1, 0), 0.0)
    (change,) = registry.closed(session, 1.0)
    assert change == Change(1.0, "n", Status.ONLINE, False, False, Reason.STREAM_ENDED)
    assert said(registry.sweep(9.0)) == [(4.0, "n", Reason.SILENCE)]


def test_the_end_of_a_replaced_stream_never_touches_the_new_one() -> None:
    registry = a_registry()
    old, _ = registry.hello(Hello("n", 1, 0), 0.0)
    new, changes = registry.hello(Hello("n", 1, 1), 1.0)
    assert said(changes) == [(1.0, "n", Reason.REPLACED)]
    assert not registry.closed(old, 2.0)
    assert not registry.goodbye(old, 2.0)
    assert not registry.heartbeat(old, 2.0)
    assert registry.nodes["n"].session is new
    assert registry.nodes["n"].heard_s == 1.0


@pytest.mark.parametrize("older", [Hello("n", 4, 9), Hello("n", 5, 1)])
def test_an_older_stream_is_refused_and_is_no_sign_of_life(older: Hello) -> None:
    registry = a_registry()
    registry.hello(Hello("n", 5, 2), 0.0)
    with pytest.raises(OutdatedStreamError, match="node 'n': boot"):
        registry.hello(older, 3.0)
    assert registry.nodes["n"].heard_s == 0.0


@pytest.mark.parametrize("swept", [False, True])
def test_an_older_stream_is_taken_once_the_node_is_stale(swept: bool) -> None:
    """Another client has used the name with the greatest boot, or the node's counter was reset."""
    registry = a_registry()
    registry.hello(Hello("n", 2**63 - 1, 7), 0.0)
    with pytest.raises(OutdatedStreamError):
        registry.hello(Hello("n", 5, 2), STALE_AFTER_S)
    changes = list(registry.sweep(STALE_AFTER_S + 0.1)) if swept else []
    session, more = registry.hello(Hello("n", 5, 2), STALE_AFTER_S + 0.1)
    assert said([*changes, *more])[:2] == [(4.0, "n", Reason.SILENCE), (4.1, "n", Reason.HEARD)]
    assert registry.nodes["n"].session is session
    assert registry.nodes["n"].boot_id == 5


def test_an_older_stream_is_taken_after_goodbye() -> None:
    registry = a_registry()
    session, _ = registry.hello(Hello("n", 9, 0), 0.0)
    registry.goodbye(session, 1.0)
    assert registry.hello(Hello("n", 1, 0), 1.5)[0].boot_id == 1


def test_goodbye_is_no_silence_and_hello_brings_back() -> None:
    registry = a_registry()
    session, _ = registry.hello(Hello("n", 1, 0), 0.0)
    assert said(registry.goodbye(session, 1.0)) == [(1.0, "n", Reason.GOODBYE)]
    assert not registry.sweep(50.0)
    assert not registry.sign_of_life("n", 1, 51.0)
    _, changes = registry.hello(Hello("n", 2, 0), 52.0)
    assert said(changes) == [(52.0, "n", Reason.HEARD), (52.0, "n", Reason.CONNECTED)]
    assert registry.flaps == 0


def test_flapping_begins_at_the_threshold_and_ends_below_the_exit() -> None:
    registry = a_registry()
    session, _ = registry.hello(Hello("n", 1, 0), 0.0)
    registry.heartbeat(session, 5.0)  # flaps at 4 and 5, the third at 9
    assert said(registry.sweep(9.5)) == [(9.0, "n", Reason.SILENCE), (9.0, "n", Reason.FLAPS_ENTRY)]
    assert said(registry.sweep(100.0)) == [(25.0, "n", Reason.FLAPS_EXIT)]


def test_a_sign_of_life_does_no_heap_operation() -> None:
    registry = a_registry()
    session, _ = registry.hello(Hello("n", 1, 0), 0.0)
    for tenth in range(1, 1000):
        registry.heartbeat(session, tenth / 10)
        assert registry.heap_size == 1


def test_a_sweep_handles_a_node_once_for_each_threshold_that_passes() -> None:
    registry, touched = a_registry(), 0
    session, _ = registry.hello(Hello("n", 1, 0), 0.0)
    queued_s = registry.nodes["n"].queued_s
    for tenth in range(1, 401):
        registry.heartbeat(session, tenth / 10)
        registry.sweep(tenth / 10)
        touched += registry.nodes["n"].queued_s != queued_s
        queued_s = registry.nodes["n"].queued_s
    assert touched <= 40 / STALE_AFTER_S


class Shrinking:
    """A detector whose deadline comes nearer with each sign of life."""

    name: ClassVar[str] = "shrinking"

    def __init__(self) -> None:
        self.left_s = 10.0

    def detector(self, interval_s: float) -> "Shrinking":
        return self

    def usual_silence_s(self, interval_s: float) -> float:
        return self.left_s

    def observe(self, at: float, seq: int, kind: Kind) -> float:
        self.left_s /= 2
        return at + self.left_s

    def deadline_after_restart(self, heard_s: float) -> float:
        return heard_s + self.left_s

    def state(self, heard_s: float) -> tuple[float, ...]:
        return (self.left_s,)

    def restore(self, state: tuple[float, ...], heard_s: float) -> None:
        (self.left_s,) = state


def test_a_deadline_that_comes_nearer_is_kept() -> None:
    registry = Registry(PolicySpec(Shrinking(), RULE))
    session, _ = registry.hello(Hello("n", 1, 0), 0.0)  # 5.0
    registry.heartbeat(session, 1.0)  # 3.5
    assert said(registry.sweep(3.6)) == [(3.5, "n", Reason.SILENCE)]
    assert not registry.sweep(99.0)


def test_a_moved_deadline_holds_until_the_next_sign_of_life() -> None:
    registry = a_registry()
    session, _ = registry.hello(Hello("n", 1, 0), 0.0)
    registry.move_deadline(registry.nodes["n"], 50.0)
    assert not registry.sweep(49.0)
    assert not registry.heartbeat(session, 49.5)
    assert said(registry.sweep(60.0)) == [(53.5, "n", Reason.SILENCE)]


def test_a_forgotten_node_is_unknown_again() -> None:
    registry = a_registry()
    session, _ = registry.hello(Hello("n", 7, 3), 0.0)
    registry.forget("n", 0.0)
    assert not registry.heartbeat(session, 1.0)
    assert not registry.sweep(99.0)
    _, changes = registry.hello(Hello("n", 1, 0), 100.0)
    assert said(changes) == [(100.0, "n", Reason.REGISTERED)]


def test_another_threshold_counts_from_the_next_sign_of_life() -> None:
    registry = a_registry(stale_after_s=10.0)
    a, _ = registry.hello(Hello("a", 1, 0), 0.0)
    registry.hello(Hello("b", 1, 0), 0.0)
    assert registry.adopt(PolicySpec(FixedTimeout(3.0), RULE), 5.0) == []
    registry.heartbeat(a, 6.0)
    assert said(registry.sweep(9.5)) == [(9.0, "a", Reason.SILENCE)]
    assert said(registry.sweep(10.5)) == [(10.0, "b", Reason.SILENCE)]


@pytest.mark.parametrize(
    ("rule", "at_once", "later"),
    [
        (FlapWindow(window_s=40.0, threshold=3, exit_below=2), [], 46.0),
        (FlapWindow(window_s=6.0, threshold=3, exit_below=2), [], 12.0),
        (FlapWindow(window_s=1.0, threshold=3, exit_below=2), [(10.0, "a", Reason.FLAPS_EXIT)], None),
        (FlapWindow(window_s=20.0, threshold=9, exit_below=8), [(10.0, "a", Reason.FLAPS_EXIT)], None),
    ],
)
def test_a_mark_of_flapping_follows_another_rule(
    rule: FlapWindow, at_once: list[tuple[float, str, Reason]], later: float | None
) -> None:
    registry = a_registry(stale_after_s=2.0)
    session, _ = registry.hello(Hello("a", 1, 0), 0.0)
    for at in (4.0, 8.0):  # stale at 2 and 6, so flaps at 2, 4, 6 and 8
        registry.heartbeat(session, at)
    registry.goodbye(session, 9.0)
    assert registry.flapping == 1
    assert said(registry.adopt(PolicySpec(FixedTimeout(2.0), rule), 10.0)) == at_once
    exits = [(change.at_s, change.reason) for change in registry.sweep(100.0)]
    assert exits == ([] if later is None else [(later, Reason.FLAPS_EXIT)])
    assert registry.flapping == 0
