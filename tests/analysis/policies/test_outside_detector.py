"""A detector that the package does not know: its two forms, what survives a restart, and its line in the registry."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.analysis.test_qos import END_S, ask_the_hub, beats, trace

from heartbench.analysis import qos
from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.gaps import NO_LOSSES, find_gaps
from heartbench.analysis.policies import ARRAY_FORMS, Arrivals
from heartbench.hub.clock import ManualClock
from heartbench.hub.liveness.flap_rules import FlapWindow
from heartbench.hub.liveness.node import Hello
from heartbench.hub.liveness.policy import PolicySpec
from heartbench.hub.liveness.registry import Registry
from heartbench.hub.store.record import NodeRecord
from heartbench.hub.store.record_mapping import node_of, record_of
from heartbench.mesh.kinds import Kind

RULE = FlapWindow(60.0, 3, 1)


@dataclass(frozen=True, slots=True)
class TwiceTheGap:
    """Stale after twice the last gap, at least `least_s`."""

    name: ClassVar[str] = "twice-the-gap"

    least_s: float

    def detector(self, interval_s: float) -> "TwiceTheGapDetector":
        return TwiceTheGapDetector(self.least_s)

    def usual_silence_s(self, interval_s: float) -> float:
        return max(2 * interval_s, self.least_s)


class TwiceTheGapDetector:
    name: ClassVar[str] = TwiceTheGap.name

    def __init__(self, least_s: float) -> None:
        self.least_s = least_s
        self.last_s = inf
        self.silence_s = least_s

    def observe(self, at: float, seq: int, kind: Kind) -> float:
        self.silence_s = max(2 * (at - self.last_s), self.least_s)
        self.last_s = at
        return at + self.silence_s

    def deadline_after_restart(self, heard_s: float) -> float:
        return heard_s + self.silence_s

    def state(self, heard_s: float) -> tuple[float, ...]:
        return (self.last_s - heard_s, self.silence_s)

    def restore(self, state: tuple[float, ...], heard_s: float) -> None:
        self.last_s, self.silence_s = state[0] + heard_s, state[1]


def over_arrays(parameters: TwiceTheGap, arrivals: Callable[[], Arrivals]) -> NDArray[np.float64]:
    seen = arrivals()
    gap_s = np.append(-inf, np.diff(seen.at_s))[: len(seen.at_s)]
    gap_s[seen.first[:-1]] = -inf
    return np.maximum(2 * gap_s, parameters.least_s)


POLICY = PolicySpec(TwiceTheGap(least_s=5.0), RULE)


def test_it_is_judged_as_the_hub_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARRAY_FORMS, TwiceTheGap.name, over_arrays)
    generator = np.random.default_rng(1)
    lives = [
        [(0.0, Kind.HELLO), *beats(*(generator.integers(1, 4 * int(END_S), 40).cumsum() % (4 * END_S) / 4))]
        for _ in range(20)
    ]
    lives = [sorted(life) for life in lives]
    gaps = find_gaps(trace(*lives), NO_LOSSES, END_S, interval_s=np.zeros(len(lives)))
    found = qos.judge(gaps, [POLICY], END_S)
    said = [ask_the_hub(life, [], POLICY) for life in lives]
    assert found.mistakes[..., 0].sum(1).tolist() == [each.mistakes for each in said]
    assert found.mistake_s[0] == pytest.approx(sum(each.mistake_s for each in said))
    assert (found.flaps[0], found.flashes[0]) == (sum(s.flaps for s in said), sum(s.flashes for s in said))
    assert found.flaps[0] > 0


def test_without_its_line_the_error_names_it() -> None:
    gaps = find_gaps(trace(beats(0, 10)), NO_LOSSES, END_S, interval_s=np.zeros(1))
    with pytest.raises(
        AnalysisError, match="detector 'twice-the-gap' has no array form; there are: bertier, chen, fixed, "
    ):
        qos.judge(gaps, [POLICY], END_S)


def stored(registry: Registry, clock: ManualClock) -> NodeRecord:
    return NodeRecord.from_json(record_of(registry.nodes["n"], clock).to_json())


def test_what_it_remembers_survives_a_restart_of_the_hub() -> None:
    clock, registry = ManualClock(100.0), Registry(POLICY)
    session, _ = registry.hello(Hello("n", 1, 0), 80.0)
    registry.heartbeat(session, 100.0, 1)
    later = ManualClock(7.0, unix_offset_s=clock.unix(100.0) - 7.0)
    node = node_of(stored(registry, clock), Registry(POLICY), later, grace_s=180.0)
    assert (node.heard_s, node.deadline_s) == pytest.approx((7.0, 187.0))
    assert node.threshold_s == pytest.approx(40.0)
    assert node.detector.observe(10.0, 2, Kind.HEARTBEAT) == pytest.approx(16.0)


def test_a_detector_of_another_name_begins_without_it() -> None:
    clock, registry = ManualClock(100.0), Registry(POLICY)
    session, _ = registry.hello(Hello("n", 1, 0), 80.0)
    registry.heartbeat(session, 100.0, 1)
    record = stored(registry, clock)
    old = NodeRecord(node_id="n", status=record.status, reason=record.reason, heard_unix_s=record.heard_unix_s)
    assert node_of(old, Registry(POLICY), clock, grace_s=0.0).threshold_s == pytest.approx(5.0)
