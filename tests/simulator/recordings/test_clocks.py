"""One-way delays from two clocks that do not agree."""

import numpy as np
import pytest

from heartbench.simulator.recordings.clocks import fill_lost_answers, one_way_delays


@pytest.mark.parametrize("drift", [0.0, 50e-6, -200e-6])
def test_delays_come_back_from_clocks_that_are_apart_and_drift(drift: float) -> None:
    rng = np.random.default_rng(7)
    sent_s = np.arange(7200.0)
    up_s, down_s = 0.020 + rng.exponential(0.010, len(sent_s)), 0.020 + rng.exponential(0.005, len(sent_s))
    ahead_s = 12345.0 + drift * sent_s
    got_up_s, got_down_s = one_way_delays(sent_s, up_s + ahead_s, down_s - ahead_s)
    assert np.abs(got_up_s - up_s).max() < 0.002
    np.testing.assert_allclose(got_up_s + got_down_s, up_s + down_s)


def test_a_stall_of_one_way_stays_on_that_way() -> None:
    sent_s = np.arange(900.0)
    up_s = np.where((sent_s >= 400) & (sent_s < 410), 0.03 + 410 - sent_s, 0.03)
    got_up_s, got_down_s = one_way_delays(sent_s, up_s + 5, np.full(900, 0.03 - 5))
    np.testing.assert_allclose(got_up_s, up_s, atol=1e-9)
    np.testing.assert_allclose(got_down_s, 0.03, atol=1e-9)


def test_lost_probes_have_no_delays_and_one_exchange_is_enough() -> None:
    up_s, down_s = one_way_delays(np.array([0.0, 1.0]), np.array([np.nan, 8.0]), np.array([np.nan, -7.0]))
    assert up_s == pytest.approx([np.nan, 0.5], nan_ok=True)
    assert down_s == pytest.approx([np.nan, 0.5], nan_ok=True)


def test_a_probe_whose_answer_was_lost_has_the_delay_of_its_neighbours() -> None:
    arrived = np.array([True, True, False, True])
    got = fill_lost_answers(np.arange(4.0), np.array([0.1, np.nan, np.nan, 0.4]), arrived)
    assert got == pytest.approx([0.1, 0.2, np.nan, 0.4], nan_ok=True)
