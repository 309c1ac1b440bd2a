"""The hub's rules over arrays, held against the hub and against the hub's own replay of its record."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.hub.events.replay import read_records
from tests.hub.events.replay import replay as replay_by_registry

from heartbench.analysis.replay import REASONS, replay
from heartbench.hub.clock import ManualClock
from heartbench.hub.composition import open_hub
from heartbench.hub.config import HubSettings
from heartbench.hub.events.observer_file import Header
from heartbench.hub.liveness.node import Hello, Session
from heartbench.hub.liveness.registry import Registry
from heartbench.hub.liveness.rules import Change, Status
from heartbench.hub.liveness.self_health import TICK_S
from heartbench.hub.work.admission import Admission
from heartbench.simulator.observer_frames import Observed, read_observer

HUB = HubSettings.of(stale_after_s=5.0, flap_window_s=40.0, flap_threshold=4, flap_exit=2)


class Hub:
    """A registry that is driven by hand and writes down what it hears, as the observer does."""

    def __init__(self) -> None:
        self.registry = Registry(HUB.policy)
        self.sessions: dict[str, Session] = {}
        self.connections = 0
        self.receipts: list[tuple[object, ...]] = []
        self.forgotten: list[tuple[object, ...]] = []
        self.deadlines: list[tuple[object, ...]] = []
        self.changes: list[Change] = []

    def do(self, at: float, node: str, what: str) -> None:
        if what == "sweep":
            self.changes += self.registry.sweep(at)
        elif what == "move":
            self.move(at, node)
        elif what == "forget":
            self.forget(at, node)
        elif what == "hello" or node in self.sessions:
            self.receive(at, node, what)

    def receive(self, at: float, node: str, what: str) -> None:
        if what == "hello":
            self.connections += 1
            self.sessions[node], new = self.registry.hello(Hello(node, 1, self.connections), at)
        elif what == "goodbye":
            new = self.registry.goodbye(self.sessions.pop(node), at)
        else:
            new = self.registry.heartbeat(self.sessions[node], at)
        self.changes += new
        self.receipts.append((at, node, what, 0))

    def move(self, at: float, node: str) -> None:
        """Move a deadline as the hub does: after it looked for passed ones, and of an online node."""
        self.changes += self.registry.sweep(at)
        record = self.registry.nodes.get(node)
        if record is not None and record.status is Status.ONLINE:
            self.registry.move_deadline(record, at + 12.5)
            self.deadlines.append((at, node, at + 12.5))

    def forget(self, at: float, node: str) -> None:
        if node in self.registry.nodes:
            self.changes += self.registry.forget(node, at)
            self.sessions.pop(node, None)
            self.forgotten.append((at, node))

    def observed(self) -> Observed:
        return observed(self.receipts, self.forgotten, self.deadlines)


def observed(
    receipts: list[tuple[object, ...]],
    forgotten: list[tuple[object, ...]] | None = None,
    moves: list[tuple[object, ...]] | None = None,
) -> Observed:
    return Observed(
        header=Header(0.0, 0.0, 1, HUB.model_dump()),
        receipts=pd.DataFrame(receipts, columns=["at_s", "node_id", "kind", "seq"]),
        forgotten=pd.DataFrame(forgotten or [], columns=["at_s", "node_id"]),
        deadlines=pd.DataFrame(moves or [], columns=["at_s", "node_id", "deadline_s"]),
        changes=pd.DataFrame(),
        until_s=float("inf"),
    )


steps = st.tuples(
    st.integers(1, 60).map(lambda count: count / 4),
    st.sampled_from(["a", "b"]),
    st.sampled_from([*["heartbeat"] * 6, "hello", "goodbye", "sweep", "move", "forget"]),
)


def record_of(path: Path, steps: list[tuple[str, str, float]]) -> None:
    """What a hub writes down of two nodes and everything that can happen to them while it runs."""
    clock, sessions = ManualClock(5.0), dict[str, Session]()
    settings = HubSettings.of(
        stale_after_s=3, flap_window_s=30, mass_silence_nodes=2, mass_silence_max_s=20, observe_file=path
    )
    hub = open_hub(settings, clock)
    for number, (verb, name, seconds) in enumerate(steps, 1):
        clock.now_s += 0.001  # no two messages are heard at one moment
        session = sessions.get(name)
        match verb:
            case "run":
                for _ in range(round(seconds / TICK_S)):
                    clock.now_s += TICK_S
                    hub.tick(clock.now_s)
            case "stop":
                clock.now_s += seconds
            case "hello" | "throttled":
                hub.admission = Admission(float(verb == "throttled"), lambda: 0.0, clock.now_s)
                while (opened := hub.hello(Hello(name, 1, number), clock.now_s)[0]) is not None:
                    sessions[name] = opened
                    if verb == "hello":
                        break
            case "forget" if name in hub.registry.nodes:
                hub.forget(name, clock.now_s)
                del sessions[name]
            case "beat" if session is not None:
                hub.heartbeat(session, clock.now_s, number, 0.0)
            case "chunk" if session is not None:
                hub.sign_of_life(name, 1, clock.now_s, number)
            case "goodbye" if session is not None:
                hub.goodbye(session, clock.now_s)
    hub.end(clock.now_s)


verbs = st.sampled_from(["run"] * 3 + ["stop", "hello", "beat", "beat", "chunk", "goodbye", "throttled", "forget"])
seconds = st.sampled_from([0.1, 1.0, 2.9, 3.0, 3.2, 7.0, 25.0])


@settings(max_examples=40)  # an example takes a tenth of a second
@given(st.lists(st.tuples(verbs, st.sampled_from("ab"), seconds), max_size=40))
def test_says_what_the_hubs_own_replay_of_its_record_says(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, float]]
) -> None:
    path = tmp_path_factory.mktemp("record") / "observer.jsonl"
    record_of(path, steps)
    record = read_observer(path)
    found = replay(record, record.until_s)
    computed = [change for change in replay_by_registry(*read_records(path)) if change.reason in REASONS]
    for node in ("a", "b"):
        ours = found[found.node_id == node]
        theirs = [(c.at_s, c.status, c.flapping, c.reason) for c in computed if c.node_id == node]
        assert list(zip(ours.at_s, ours.status, ours.flapping, ours.reason, strict=True)) == theirs


@settings(max_examples=40)  # an example takes a tenth of a second
@given(st.lists(steps, max_size=60))
def test_says_what_the_hub_said(steps: list[tuple[float, str, str]]) -> None:
    hub, at = Hub(), 0.0
    for step, node, what in [(0.25, "a", "hello"), *steps]:
        at += step
        hub.do(at, node, what)
    end_s = at + 30.1  # at no moment at which anything is due
    hub.do(end_s, "a", "sweep")
    found = replay(hub.observed(), end_s)
    for node in ("a", "b"):
        said = [
            (c.at_s, c.status, c.flapping, c.reason) for c in hub.changes if c.node_id == node and c.reason in REASONS
        ]
        ours = found[found.node_id == node]
        assert list(zip(ours.at_s, ours.status, ours.flapping, ours.reason, strict=True)) == said


def test_a_message_after_the_deadline_makes_stale_at_the_deadline_then_online() -> None:
    hub = Hub()
    hub.do(1.0, "a", "hello")
    hub.do(8.0, "a", "heartbeat")
    found = replay(hub.observed(), 9.0)
    assert list(zip(found.at_s, found.reason, strict=True)) == [(1, "registered"), (6, "silence"), (8, "heard")]


def test_a_moved_deadline_is_the_one_that_counts() -> None:
    hub = Hub()
    hub.do(1.0, "a", "hello")
    hub.do(3.0, "a", "move")
    assert replay(hub.observed(), 100.0).at_s.tolist() == pytest.approx([1, 15.5])


def test_who_left_is_not_listened_to_until_the_next_hello() -> None:
    receipts: list[tuple[object, ...]] = [
        (1.0, "a", "hello", 0),
        (2.0, "a", "goodbye", 0),
        (3.0, "a", "chunk", 0),
        (50.0, "a", "hello", 0),
    ]
    found = replay(observed(receipts), 51.0)
    assert list(zip(found.at_s, found.reason, strict=True)) == [(1, "registered"), (2, "goodbye"), (50, "heard")]


def test_a_node_that_was_forgotten_registers_anew_and_its_flaps_of_before_do_not_count() -> None:
    said = {1.0: "hello", 8.0: "heartbeat", 16.0: "heartbeat", 30.0: "hello", 36.0: "heartbeat"}
    receipts: list[tuple[object, ...]] = [(at_s, "a", kind, 0) for at_s, kind in said.items()]
    found = replay(observed(receipts, forgotten=[(22.0, "a")]), 37.0)

    assert list(zip(found.at_s, found.reason, found.flapping, strict=True))[-5:] == [
        (16, "flaps_entry", True),
        (21, "silence", True),
        (30, "registered", False),
        (35, "silence", False),
        (36, "heard", False),
    ]


def test_a_message_that_tells_the_hub_of_its_pause_is_heard_after_the_deadlines_were_moved(tmp_path: Path) -> None:
    record_of(tmp_path / "o", [("hello", "a", 0.0), ("stop", "", 7.0), ("beat", "a", 0.0), ("run", "", 2.9)])
    record = read_observer(tmp_path / "o")
    assert len(record.deadlines) == 1
    assert record.deadlines.at_s[0] == record.receipts.at_s[1]
    assert replay(record, record.until_s).reason.tolist() == ["registered"]
