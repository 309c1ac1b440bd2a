"""Time in which the hub was away is no node's silence: held against the hub itself, and by hand."""

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.analysis.test_qos import StatusChange, beats, trace, without_compiling

from heartbench.analysis import qos
from heartbench.analysis.absences import ALWAYS_THERE, AbsenceRules, Absences, hub_absences
from heartbench.analysis.gaps import NO_LOSSES, Gaps, find_gaps, join_gaps
from heartbench.hub.clock import ManualClock
from heartbench.hub.composition import open_hub
from heartbench.hub.config import HubSettings
from heartbench.hub.liveness.node import Hello, Session
from heartbench.hub.liveness.rules import Change, Reason, Status
from heartbench.hub.liveness.self_health import TICK_S
from heartbench.hub.store.memory import MemoryStore
from heartbench.hub.store.protocol import StoredNode
from heartbench.hub.store.record_mapping import record_of

END_S = 150.0
HUBS = [
    HubSettings.of(
        stale_after_s=threshold, flap_threshold=enter, flap_exit=leave, restart_grace_s=grace, mass_silence_fraction=0
    )
    for threshold, enter, leave, grace in [(2.0, 2, 1, 7.0), (5.0, 3, 2, 0.0), (12.0, 3, 1, 4.0), (30.0, 3, 1, 20.0)]
]
HUBS += [
    HubSettings.of(stale_after_s=5.0, restart_grace_s=grace, mass_silence_fraction=0, flap_rule=rule, hold_down=held)
    for grace, rule, held in [
        (7.0, "window", "3 heartbeats"),
        (0.0, "weighted low=5% high=12% check=3.317s", "4.1s"),
        (4.0, "decay half_life=13.7s suppress=900 reuse=600 max=50s", "8.3s"),
    ]
]


def judge(gaps: Gaps, hub: HubSettings) -> qos.Qos:
    return qos.judge(gaps, [hub.policy], END_S, rules=AbsenceRules.of(hub))


Spans = list[tuple[float, float, bool]]


def absences(*spans: tuple[float, float, bool]) -> Absences:
    from_s, to_s, is_restart = zip(*spans, strict=True)
    return Absences(np.array(from_s, float), np.array(to_s, float), np.array(is_restart, bool))


class Kept(MemoryStore):
    """A store that held something."""

    def __init__(self, nodes: Iterable[StoredNode]) -> None:
        super().__init__(9.0)
        self.nodes = list(nodes)

    def load(self) -> Iterator[StoredNode]:
        return iter(self.nodes)


class RealHub:
    """The hub itself with one node, on a clock that is told: away at times, and restarted."""

    def __init__(self, hub: HubSettings) -> None:
        # Both clocks are the same: flaps at the edge of the window would be rounded on the way through the store.
        self.settings, self.clock = hub, ManualClock(0.0, unix_offset_s=0.0)
        self.changes: list[Change] = []
        self.session: Session | None = None
        self.connection = 0
        self.start(())

    def start(self, nodes: Iterable[StoredNode]) -> None:
        self.hub, self.session = open_hub(self.settings, self.clock, Kept(nodes)), None
        self.hub.effects.changed = self.changes.extend  # type: ignore[method-assign, assignment]

    def restart(self) -> None:
        nodes = self.hub.registry.nodes.values()
        self.start([StoredNode(each.node_id, record_of(each, self.clock), (), (1, 1)) for each in nodes])

    def beat(self) -> None:
        self.hub.tick(self.clock.now_s)

    def sweep(self) -> None:
        self.changes += self.hub.registry.sweep(self.clock.now_s)

    def hear(self) -> None:
        if self.session is None:
            self.connection += 1
            self.session, _ = self.hub.hello(Hello("n", 1, self.connection), self.clock.now_s)
        else:
            self.hub.heartbeat(self.session, self.clock.now_s, 1, 0.0)


def hub_changes(heard_s: list[float], spans: Spans, hub: HubSettings) -> list[Change]:
    """Return what a hub says that is away at times."""
    return changes_of(RealHub(hub), heard_s, spans)


def changes_of(real: RealHub, heard_s: list[float], spans: Spans) -> list[Change]:
    """Beat by beat: when a span begins the hub has just looked for passed deadlines, and its pulse does not come."""
    beat_s = [number / 10 for number in range(1, round(END_S / TICK_S))]
    beat_s = [at for at in beat_s if not any(from_s <= at < to_s for from_s, to_s, _ in spans)]
    events = [(at, 2, real.beat) for at in beat_s]
    events += [(at, 1, real.hear) for at in heard_s]
    for from_s, to_s, is_restart in spans:
        events += [(from_s, 0, real.sweep), *([(to_s, 0, real.restart)] if is_restart else [])]
    in_time = [event for event in events if event[0] <= END_S]
    for at, _, act in sorted(in_time, key=lambda event: event[:2]):
        real.clock.now_s = at
        act()
    if not any(from_s <= END_S <= to_s for from_s, to_s, _ in spans):  # at its end it has not looked yet
        real.clock.now_s = END_S
        real.sweep()
    return real.changes


def counted(changes: list[Change], spans: Spans) -> StatusChange:
    said, status = StatusChange(), Status.ONLINE
    for number, change in enumerate(changes):
        moved = change.reason in (Reason.SILENCE, Reason.HEARD) and change.status != status
        said.flaps += moved
        said.flashes += moved and not change.flapping
        said.entries += change.reason is Reason.FLAPS_ENTRY
        if change.reason is Reason.SILENCE:
            said.mistakes += 1
            until = min((each.at_s for each in changes[number:] if each.reason is Reason.HEARD), default=END_S)
            away = sum(max(min(to_s, until) - max(from_s, change.at_s), 0.0) for from_s, to_s, _ in spans)
            said.mistake_s += until - change.at_s - away
        status = change.status
    return said


@st.composite
def node_lives(draw: st.DrawFn) -> tuple[list[float], Spans]:
    """When one node is heard, off the grid of the pulse, and when the hub is away, on it."""
    ends = sorted(draw(st.sets(st.integers(5, 1600), max_size=6)))
    spans = [(a / 10, b / 10, draw(st.booleans())) for a, b in list(pairwise(ends))[::2] if b - a != 5]
    steps = draw(st.lists(st.one_of(st.integers(1, 30), st.integers(1, 200)), max_size=40))
    heard = {0.01, *(0.01 + at / 4 for at in np.cumsum(steps))}
    for from_s, to_s, is_restart in spans:
        held = {at for at in heard if from_s <= at < to_s}
        heard = heard - held | ({to_s} if held and not is_restart else set())
    return sorted(at for at in heard if at < END_S), spans


@settings(max_examples=60, deadline=None)
@given(node_lives())
def test_judges_as_a_hub_does_that_is_away_at_times(life: tuple[list[float], Spans]) -> None:
    heard_s, spans = life
    away = absences(*spans) if spans else ALWAYS_THERE
    gaps = find_gaps(trace(beats(*heard_s)), NO_LOSSES, END_S, away)
    for hub in HUBS:
        found = judge(gaps, hub)
        said = counted(hub_changes(heard_s, spans, hub), spans)
        assert found.mistakes.sum() == said.mistakes
        assert found.mistake_s[0] == pytest.approx(said.mistake_s)
        assert (found.flaps[0], found.flashes[0], found.entries[0]) == (said.flaps, said.flashes, said.entries)


def test_the_kernels_say_the_same_uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    heard_s = np.sort(np.random.default_rng(1).uniform(0, END_S, 20))
    away = absences((20, 24, False), (60, 90, True), (120, 130, True))
    gaps = find_gaps(trace(beats(*heard_s)), NO_LOSSES, END_S, away)
    policies = [hub.policy for hub in HUBS]
    compiled = qos.judge(gaps, policies, END_S).frame()
    without_compiling(monkeypatch)
    pd.testing.assert_frame_equal(qos.judge(gaps, policies, END_S).frame(), compiled)
    assert compiled.false_stale.sum() > 0


def judged(away: Absences, *heard_s: float) -> pd.DataFrame:
    gaps = find_gaps(trace(beats(*heard_s)), NO_LOSSES, END_S, away)
    return judge(gaps, HubSettings.of(stale_after_s=30.0, restart_grace_s=60.0)).frame()


def test_a_node_that_is_back_within_the_grace_was_not_silent() -> None:
    heard = range(0, 11, 10), range(100, 150, 10)
    assert judged(ALWAYS_THERE, *heard[0], *heard[1]).false_stale[0] == 1
    assert judged(absences((15, 95, True)), *heard[0], *heard[1]).false_stale[0] == 0
    assert judged(absences((15, 35, True)), *heard[0], *heard[1]).false_stale[0] == 1  # 60 s after the hub is back


def test_a_node_that_was_stale_before_the_hub_went_stays_so() -> None:
    row = judged(absences((50, 90, True)), 0, 10, 100, *range(110, 150, 10)).iloc[0]
    assert (row.false_stale, row.mistake_duration_s) == (1, 20)  # 40 to 50, and 90 to 100


def test_time_in_which_the_hub_was_away_is_no_time_in_which_a_node_was_watched() -> None:
    gaps = find_gaps(trace(beats(0, 10, 120)), NO_LOSSES, END_S, absences((20, 70, True), (130, np.inf, True)))
    assert gaps.watched_s().sum() == pytest.approx(80.0)
    assert judge(gaps, HUBS[0]).up_s.sum() == pytest.approx(80.0)


def test_the_truth_says_when_the_hub_was_away() -> None:
    rows = [(-1, "hub_stop", 50.0, 60.0), (-1, "hub_pause", 10.0, 12.0), (-1, "hub_kill", 70.0, np.nan)]
    truth = pd.DataFrame([*rows, (3, "outage", 1.0, 2.0), (-1, "hub_slow_store", 30.0, 40.0)])
    found = hub_absences(truth.set_axis(["node", "event", "start_s", "end_s"], axis=1))
    assert found.from_s.tolist() == [10, 50, 70]
    assert found.to_s.tolist() == [12, 60, np.inf]
    assert found.is_restart.tolist() == [False, True, True]


def test_blocks_put_together_keep_when_the_hub_was_away() -> None:
    away = absences((15, 95, True))
    blocks: list[Gaps] = [find_gaps(trace(beats(0, at)), NO_LOSSES, END_S, away) for at in (100, 110)]
    assert join_gaps(blocks).absences is away
