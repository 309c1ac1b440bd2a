"""Bertier's detector by hand."""

import pytest

from heartbench.hub import Bertier
from heartbench.mesh.kinds import Kind


def test_the_margin_follows_how_late_heartbeats_come() -> None:
    detector = Bertier(beta=1.0, phi=4.0, gamma=0.5, min_margin_s=0.25, window=1).detector(10.0)
    assert detector.observe(10.0, 1, Kind.HEARTBEAT) == 20.25  # the first is not expected, so there is no error
    # 2 s late: d = 0.5 · 2 = 1, v = 0.5 · 2 = 1; expected at 32, and a margin of 1 + 4 · 1
    assert detector.observe(22.0, 2, Kind.HEARTBEAT) == pytest.approx(37.0)
    # on time: error = 0 − 1, d = 0.5, v = 1 + 0.5 · (1 − 1) = 1; expected at 42, and a margin of 0.5 + 4
    assert detector.observe(32.0, 3, Kind.HEARTBEAT) == pytest.approx(46.5)
    assert detector.state(32.0) == pytest.approx((0.5, 1.0))


def test_the_margin_outlives_a_stream_and_the_expected_arrival_does_not() -> None:
    detector = Bertier(beta=1.0, phi=4.0, gamma=0.5, window=1).detector(10.0)
    detector.observe(10.0, 1, Kind.HEARTBEAT)
    detector.observe(22.0, 2, Kind.HEARTBEAT)
    assert detector.observe(100.0, 0, Kind.HELLO) == pytest.approx(115.0)
    assert detector.observe(300.0, 3, Kind.HEARTBEAT) == pytest.approx(315.0)  # late by nothing that is known
