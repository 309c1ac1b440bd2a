"""Runs of lost probes, and stalls that hold them."""

import numpy as np
import pytest
from tests.analysis.fit.recordings import NAN, quiet, recording

from heartbench.analysis.fit.events import cut_off, find_runs, lengths_s, ordinary


def test_lost_probes_in_a_row_are_a_run() -> None:
    runs = find_runs(recording([0.02, NAN, 0.02, NAN, NAN, NAN, 0.02]))
    assert runs.first.tolist() == [1, 3]
    assert runs.count.tolist() == [1, 3]
    assert not runs.held.any()


def test_a_run_ends_with_its_stretch() -> None:
    seen = recording([0.02, NAN, NAN, 0.02, 0.02, NAN], stretch=[0, 0, 1, 1, 1, 1])
    runs = find_runs(seen)
    assert list(zip(runs.first, runs.count, strict=True)) == [(1, 1), (2, 1), (5, 1)]
    begins_cut, ends_cut = cut_off(seen, runs)
    assert begins_cut.tolist() == [False, True, False]
    assert ends_cut.tolist() == [True, False, True]


def test_answers_that_come_together_were_held_with_the_losses_among_them() -> None:
    rtt = quiet(40)
    rtt[10:17] = [6.9, NAN, NAN, 3.9, 2.9, 1.9, 0.9]
    seen = recording(rtt)
    runs = find_runs(seen)
    assert list(zip(runs.first, runs.count, runs.held, strict=True)) == [(10, 7, True)]
    assert lengths_s(seen, runs).tolist() == [7.0]
    assert np.flatnonzero(~ordinary(seen, runs)).tolist() == list(range(10, 17))


def test_a_clock_that_runs_a_little_otherwise_than_assumed_hides_no_stall() -> None:
    rtt = quiet(30)
    rtt[:11] = [11.05, NAN, NAN, NAN, NAN, 5.94, 4.92, 3.89, 2.87, 1.84, 0.82]  # as in a log of a private 5G network
    runs = find_runs(recording(rtt))
    assert list(zip(runs.first, runs.count, runs.held, strict=True)) == [(0, 11, True)]


@pytest.mark.parametrize("spike", [[2.5], [0.3, 0.25, 0.2], [1.5, 0.02, 1.5]])
def test_late_answers_that_do_not_come_together_are_jitter(spike: list[float]) -> None:
    rtt = quiet(40)
    rtt[10 : 10 + len(spike)] = spike
    assert len(find_runs(recording(rtt))) == 0


def test_an_outage_that_drops_is_not_held_by_the_answer_after_it() -> None:
    rtt = quiet(40)
    rtt[10:16] = NAN
    rtt[16] = 0.9
    runs = find_runs(recording(rtt))
    assert (runs.first.tolist(), runs.held.tolist()) == ([10], [False])
