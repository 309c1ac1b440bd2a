"""A recording as a loop: stretches without pauses, ways up and down, and what is too little to replay."""

import numpy as np
import pytest
from tests.simulator.probes import recording, walk

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.link import BOTH, DOWN, UP
from heartbench.simulator.recordings.outages import find_runs
from heartbench.simulator.tape import loop_of, one_way_delays, places

LOST = np.nan


def test_the_time_between_stretches_is_left_out() -> None:
    paused = recording([0.05] * 120, stretch=[0] * 40 + [1] * 80)
    assert places(paused).tolist() == [float(second) for second in range(120)]
    assert loop_of(paused).length_s == 120.0


def test_without_one_way_delays_half_of_a_round_trip_is_up_and_what_a_stall_held() -> None:
    up_s, down_s = one_way_delays(walk(), find_runs(walk()))
    rtt_s = walk().rtt_s
    assert up_s + down_s == pytest.approx(rtt_s, nan_ok=True)
    assert up_s[295:300] == pytest.approx(0.04)
    assert down_s[300:310] == pytest.approx(np.nanmedian(rtt_s) / 2)


def test_one_way_delays_are_those_of_the_recording() -> None:
    rtt_s = [0.05, 0.05, LOST, LOST, 0.05]
    known = recording(rtt_s, up_s=[0.04, LOST, 0.03, LOST, -0.001], down_s=[0.01, LOST, LOST, LOST, 0.051])
    up_s, down_s = one_way_delays(known, find_runs(known))
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
