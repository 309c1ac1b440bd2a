"""The ladder, held against what the Linux kernel did: TCP over TUN, RTT 85 ms, a message a second, 14 acknowledged."""

from typing import Any

import numpy as np
import pytest

from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.ladder import Ladder

PHASES = (0.2, 0.5, 0.95)
KERNEL_GAP_S = {
    2.0: (2.2, 3.4, 3.4),
    6.0: (10.8, 10.8, 10.8),
    10.0: (10.8, 10.8, 20.3),
    15.0: (20.3, 20.3, 20.3),
    20.0: (20.3, 39.0, 39.0),
    25.0: (39.0, 39.0, 39.0),
    40.0: (77.9, 77.9, 77.9),
}
AT_A_STEP = {(2.0, 0.2), (10.0, 0.5), (20.0, 0.2), (20.0, 0.5), (20.0, 0.95)}  # where either side counts
CASES = [(o, p, gap) for o, row in KERNEL_GAP_S.items() for p, gap in zip(PHASES, row, strict=True)]


@pytest.fixture(scope="module")
def ladder() -> Ladder:
    return Ladder(rtt_s=0.085, interval_s=1.0)


def test_the_rto_is_the_kernels(ladder: Ladder) -> None:
    assert ladder.rto_s() == pytest.approx(0.288)


@pytest.mark.parametrize(("outage_s", "phase", "gap_s"), CASES)
def test_an_outage_makes_the_gap_that_it_made_in_the_kernel(
    ladder: Ladder, outage_s: float, phase: float, gap_s: float
) -> None:
    gaps = np.array(KERNEL_GAP_S[outage_s]) if (outage_s, phase) in AT_A_STEP else np.array([gap_s])
    assert np.abs(ladder.gap_s(outage_s, phase) / gaps - 1.0).min() < 0.07


def test_the_variance_of_long_round_trips_takes_time_to_settle() -> None:
    # RTTVAR starts at 2 RTT and loses a quarter of its excess over 200 ms a round trip.
    young, old = Ladder(0.3, 1.0, warmup=1), Ladder(0.3, 1.0, warmup=40)
    assert young.rto_s() > 0.7
    assert old.rto_s() == pytest.approx(0.5, abs=0.02)


def test_a_user_timeout_makes_the_node_connect_again(ladder: Ladder) -> None:
    given_up = Ladder(rtt_s=0.085, interval_s=1.0, user_timeout_s=20.0)
    assert ladder.gap_s(40.0, 0.5) > 70.0
    assert 40.0 < given_up.gap_s(40.0, 0.5) < 46.0


def test_no_outage_makes_no_gap_but_the_interval(ladder: Ladder) -> None:
    assert ladder.gap_s(0.0, 0.5) == pytest.approx(1.0)


@pytest.mark.parametrize("wrong", [{"rtt_s": 0.0}, {"interval_s": -1.0}, {"warmup": 0}])
def test_what_no_stream_can_do_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(AnalysisError, match="must be"):
        Ladder(**{"rtt_s": 0.085, "interval_s": 1.0, **wrong})


def test_what_was_sent_in_an_outage_arrives_at_its_end_and_makes_the_gap(ladder: Ladder) -> None:
    heartbeats = ladder.heartbeats(6.0, 0.5)
    caught = heartbeats[heartbeats.sent_s.between(0.0, 6.0)]
    assert len(caught) == 6
    assert (caught.arrived_s > 6.0).all()
    assert np.diff(np.sort(heartbeats.arrived_s)).max() == pytest.approx(ladder.gap_s(6.0, 0.5), rel=0.02)


@pytest.mark.parametrize(("rtt_s", "interval_s"), [(0.0, 1.0), (85.0, 1.0), (0.085, -1.0)])
def test_what_no_connection_can_do_is_refused(rtt_s: float, interval_s: float) -> None:
    with pytest.raises(AnalysisError, match=r"--(rtt|interval): "):
        Ladder(rtt_s=rtt_s, interval_s=interval_s)


def test_short_intervals_and_long_warm_ups_come_to_an_end() -> None:
    assert Ladder(rtt_s=0.085, interval_s=0.1).gap_s(6.0, 0.5) == pytest.approx(10.7, abs=0.5)
    assert Ladder(rtt_s=0.085, interval_s=1.0, warmup=4500).gap_s(6.0, 0.5) == pytest.approx(10.7, abs=0.5)
