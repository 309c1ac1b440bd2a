"""What a rule shows and delays, by hand and against the judge."""

import numpy as np
import pytest
from tests.analysis.test_qos import beats, trace

from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.flap_effects import Marks, Stretch, effect, stretches
from heartbench.analysis.gaps import NO_LOSSES, Gaps, find_gaps
from heartbench.analysis.qos import judge
from heartbench.hub import FlapWindow, HoldDown, HubSettings
from heartbench.mesh.kinds import Kind

END_S = 400.0
MANY = [0.0, *np.cumsum([8.0, 1, 1, 9, 1, 1, 7, 8, 1, 1, 1, 30, 1, 1, 1, 1, 12, 9, 9, 1])]


def gaps_of(*times: float) -> Gaps:
    return find_gaps(trace(beats(*times)), NO_LOSSES, END_S)


@pytest.mark.parametrize("hold_down", ["off", "2 heartbeats", "3 heartbeats", "2s", "8.5s"])
def test_its_stale_stretches_are_those_of_the_judge(hold_down: str) -> None:
    hub = HubSettings.of(stale_after_s=5, hold_down=hold_down)
    gaps = gaps_of(*MANY)
    found = list(stretches(gaps.start_s, gaps.length_s, gaps.heard, 5.0, hub.policy.hold_down))
    judged = judge(gaps, [hub.policy], END_S)
    assert sum(1 + (each.online_s < np.inf) for each in found) == judged.flaps[0] > 0
    assert all(each.stale_s < each.heard_s <= each.online_s for each in found)


def test_a_hold_down_delays_a_return_by_what_it_waits_for() -> None:
    gaps = gaps_of(0.0, 10.0, 12.0, 14.0)
    (found, last) = stretches(gaps.start_s, gaps.length_s, gaps.heard, 5.0, HoldDown(heartbeats=3))
    assert found == Stretch(5.0, 10.0, 14.0)
    assert last == Stretch(19.0, np.inf, np.inf)


def test_a_change_of_a_marked_node_is_shown_when_its_mark_is_removed() -> None:
    marks = Marks(FlapWindow(60.0, 3, 1), [Stretch(5.0, 10.0, 10.0), Stretch(15.0, 20.0, 20.0)])
    assert [marks.shown_at(at) for at in (5.0, 10.0, 15.0)] == [5.0, 10.0, 15.0]
    assert [marks.shown_at(at) for at in (20.0, 50.0, 79.0, 81.0)] == [80.0, 110.0, 139.0, 81.0]


def test_without_flapping_nothing_is_delayed() -> None:
    found = effect(gaps_of(*range(0, 300, 2), 320, 322), HubSettings.of(stale_after_s=5), END_S)
    assert (found.changes_per_hour, found.shown_per_hour) == (27.0, 27.0)  # stale, back, and at the end stale
    assert (found.stale_delayed, found.return_delayed) == (0.0, 0.0)


def test_a_node_that_leaves_is_not_expected() -> None:
    gaps = find_gaps(trace([(0.0, Kind.HELLO), (9.0, Kind.GOODBYE)]), NO_LOSSES, END_S)
    with pytest.raises(AnalysisError, match="without Goodbyes"):
        effect(gaps, HubSettings.of(), END_S)
