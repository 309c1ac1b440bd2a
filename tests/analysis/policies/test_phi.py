"""Phi accrual by hand: what it allows, and which gaps it leaves out."""

from math import log

import pytest
from scipy.stats import norm

from heartbench.hub import Phi, PhiExponential
from heartbench.mesh.kinds import Kind


@pytest.mark.parametrize("threshold", [0.1, 1.0, 8.0, 12.0, 300.0])
def test_the_deadline_is_where_phi_reaches_the_threshold(threshold: float) -> None:
    parameters = Phi(threshold, min_deviation_s=0.5)
    silence_s = parameters.silence_s(10.0, 2.0)
    assert -norm.logsf(silence_s, 10.0, 2.0) / log(10) == pytest.approx(threshold, rel=1e-9)


def test_gaps_set_the_mean_and_the_deviation() -> None:
    detector = Phi(threshold=2.0, window=2, min_deviation_s=0.5, pause_s=1.0).detector(10.0)
    z = norm.isf(0.01)
    assert detector.observe(0.0, 1, Kind.HEARTBEAT) == pytest.approx(10 + 1 + 2.5 * z)  # two first gaps: 7.5 and 12.5
    assert detector.observe(11.0, 2, Kind.HEARTBEAT) == pytest.approx(11 + 11.75 + 1 + 0.75 * z)  # 12.5 and 11
    assert detector.observe(12.0, 0, Kind.CHUNK) == pytest.approx(12 + 11.75 + 1 + 0.75 * z)  # ends no gap
    assert detector.observe(22.0, 3, Kind.HEARTBEAT) == pytest.approx(22 + 11 + 1 + 0.5 * z)  # 11 and 11: the least


def test_a_gap_that_made_the_node_stale_does_not_count() -> None:
    detector = Phi(threshold=2.0, min_deviation_s=0.5).detector(10.0)
    allowed_s = detector.observe(0.0, 1, Kind.HEARTBEAT)
    assert detector.observe(allowed_s + 1.0, 2, Kind.HEARTBEAT) == pytest.approx(2 * allowed_s + 1.0)
    assert detector.observe(2 * allowed_s, 3, Kind.HEARTBEAT) != pytest.approx(3 * allowed_s)


def test_exponential_gaps_allow_a_multiple_of_their_mean() -> None:
    detector = PhiExponential(threshold=3.0, window=4).detector(10.0)
    assert detector.observe(0.0, 1, Kind.HEARTBEAT) == pytest.approx(3 * log(10) * 20)  # one first gap of 20
    assert detector.observe(10.0, 2, Kind.HEARTBEAT) == pytest.approx(10 + 3 * log(10) * 15)
    assert detector.observe(30.1, 3, Kind.HEARTBEAT) == pytest.approx(30.1 + 3 * log(10) * 15)  # longer than 20
    assert detector.observe(40.1, 4, Kind.HEARTBEAT) == pytest.approx(40.1 + 3 * log(10) * 40 / 3)
