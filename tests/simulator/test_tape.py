"""A recording as a loop: stretches without pauses, ways up and down, and what is too little to replay."""

import numpy as np
import pytest
from tests.simulator.probes import recording, walk

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.link import BOTH, DOWN, UP
from heartbench.simulator.recordings.outages import find_runs
from heartbench.simulator.tape import loop_of, places, replayed_delays

LOST = np.nan


def test_the_time_between_stretches_is_left_out() -> None:
    paused = recording([0.05] * 120, stretch=[0] * 40 + [1] * 80)
    assert places(paused).tolist() == [float(second) for second in range(120)]
    assert loop_of(paused).length_s == 120.0


@pytest.mark.parametrize(
    ("stretches", "outages", "length_s"),
    [
        ([[30, -40, 20]], [[30, 70]], 90),
        ([[-30, 60, -31]], [[60, 91]], 91),
        ([[-30, 60, -30]], [[60, 90]], 90),
        ([[30, -20], [-30, 60]], [[30, 60]], 120),
        ([[30, -20], [30]], [[30, 50]], 80),
        ([[30, -20], [-25], [-10, 60]], [[30, 55]], 115),
        ([[-5, 60], [-4], [30, -6]], [[60, 64], [94, 100]], 100),
        ([[-40, 60, -1]], [[0, 40]], 100),
    ],
    ids=["within", "end of the lap", "as long", "between stretches", "one side", "a lost stretch", "both", "a loss"],
)
def test_outages_on_both_sides_of_a_seam_are_not_replayed_as_a_longer_one(
    stretches: list[list[int]], outages: list[list[float]], length_s: float
) -> None:
    parts = [part for stretch in stretches for part in stretch]
    rtt_s = np.concatenate([np.full(abs(part), LOST if part < 0 else 0.05) for part in parts])
    numbers = np.repeat(range(len(stretches)), [sum(map(abs, stretch)) for stretch in stretches])
    loop = loop_of(recording(rtt_s, stretch=numbers))
    assert loop.outages[:, :2].tolist() == outages
    assert loop.length_s == length_s
    lost = np.isnan(loop.ways[UP][1:, 1])
    passed_s = np.flatnonzero(np.tile(~lost, 2))
    assert np.diff(passed_s).max() - 1 == max(end - begin for begin, end in outages)


def test_without_one_way_delays_half_of_a_round_trip_is_up_and_what_a_stall_held() -> None:
    up_s, down_s = replayed_delays(walk(), find_runs(walk()))
    rtt_s = walk().rtt_s
    assert up_s + down_s == pytest.approx(rtt_s, nan_ok=True)
    assert up_s[295:300] == pytest.approx(0.04)
    assert down_s[300:310] == pytest.approx(np.nanmedian(rtt_s) / 2)


def test_one_way_delays_are_those_of_the_recording() -> None:
    rtt_s = [0.05, 0.05, LOST, LOST, 0.05]
    known = recording(rtt_s, up_s=[0.04, LOST, 0.03, LOST, -0.001], down_s=[0.01, LOST, LOST, LOST, 0.051])
    up_s, down_s = replayed_delays(known, find_runs(known))
    assert up_s == pytest.approx([0.04, 0.025, 0.03, LOST, 0.0], nan_ok=True)
    assert down_s == pytest.approx([0.01, 0.025, LOST, LOST, 0.051], nan_ok=True)


@pytest.mark.parametrize(
    ("up_s", "cut"),
    [([LOST] * 4, UP), ([0.03] * 4, DOWN), ([LOST, LOST, 0.03, 0.03], BOTH)],
    ids=["up", "down", "both"],
)
def test_an_outage_cuts_the_way_on_which_probes_were_lost(up_s: list[float], cut: int) -> None:
    rtt_s = [0.05] * 30 + [LOST] * 4 + [0.05] * 30
    ways = [[0.025] * 30 + middle + [0.025] * 30 for middle in (up_s, [LOST] * 4)]
    loop = loop_of(recording(rtt_s, up_s=ways[0], down_s=ways[1]))
    assert loop.outages.tolist() == [[30.0, 34.0, cut, 0.0]]


def test_a_recording_that_is_too_short_is_refused() -> None:
    with pytest.raises(
        SimulatorError, match=r"^walk\.log: too short to replay: 59 s observed; expected at least 60 s$"
    ):
        loop_of(recording([0.05] * 59))


def test_a_recording_without_an_answer_is_refused() -> None:
    with pytest.raises(SimulatorError, match=r"^walk\.log: none of its 70 probes was answered$"):
        loop_of(recording([LOST] * 70))
