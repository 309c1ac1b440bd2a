"""Outages of a recording: runs of lost or held probes that are long enough."""

import numpy as np
import pytest
from tests.simulator.probes import recording, walk

from heartbench.simulator.recordings import Recording
from heartbench.simulator.recordings.outages import Runs, find_runs, lengths_s, outages_among

LOST = np.nan


def rows(runs: Runs) -> list[tuple[int, int, bool]]:
    return list(zip(runs.first.tolist(), runs.count.tolist(), runs.held.tolist(), strict=True))


def outages_of(seen: Recording) -> Runs:
    return outages_among(seen, find_runs(seen))


def test_runs_of_lost_probes_are_told_from_a_stall_that_held_them() -> None:
    found = outages_of(walk())
    assert rows(found) == [(100, 12, False), (300, 10, True)]
    assert lengths_s(walk(), found).tolist() == [12.0, 10.0]


@pytest.mark.parametrize(("lost", "interval_s", "outages"), [(2, 1.0, 0), (3, 1.0, 1), (9, 0.1, 0), (10, 0.1, 1)])
def test_an_outage_has_three_probes_and_a_second(lost: int, interval_s: float, outages: int) -> None:
    rtt_s = [0.05] * 10 + [LOST] * lost + [0.05] * 10
    assert len(outages_of(recording(rtt_s, interval_s))) == outages


def test_losses_within_a_stall_belong_to_it() -> None:
    rtt_s = [0.05] * 5 + [11.05, LOST, LOST, LOST, LOST, 6.05, 5.05, 4.05, 3.05, 2.05, 1.05] + [0.05] * 9
    assert rows(outages_of(recording(rtt_s))) == [(5, 11, True)]


def test_a_single_late_answer_is_jitter() -> None:
    assert rows(find_runs(recording([0.05] * 5 + [3.0] + [0.05] * 5))) == []


def test_a_run_ends_with_its_stretch() -> None:
    rtt_s, stretch = [0.05] * 5 + [LOST] * 6 + [0.05] * 5, [0] * 8 + [1] * 8
    assert rows(outages_of(recording(rtt_s, stretch=stretch))) == [(5, 3, False), (8, 3, False)]
