"""Quantiles of delays, and how sure they are."""

import numpy as np
import pytest

from heartbench.analysis.fit.delays import fit_delays, independent


def test_the_interval_of_a_quantile_contains_it_whether_or_not_delays_depend_on_each_other() -> None:
    within, widths = [], []
    for stay in (1, 30):
        for seed in range(20):
            delays = np.repeat(np.random.default_rng(seed).exponential(0.1, 6000 // stay), stay)
            ci = fit_delays(delays).quantiles[0.5].ci
            assert ci is not None
            within.append(ci[0] <= 0.1 * np.log(2) <= ci[1])
            widths.append(ci[1] - ci[0])
    assert all(within)
    assert np.mean(widths[20:]) > 3 * np.mean(widths[:20])


def test_a_quantile_beyond_the_recording_is_left_out() -> None:
    found = fit_delays(np.random.default_rng(1).exponential(0.1, 200))
    assert 0.5 in found.quantiles
    assert 0.999 not in found.quantiles
    assert max(found.curve) == 0.995


def test_delays_of_one_value_have_one_value() -> None:
    found = fit_delays(np.full(100, 0.02))
    assert found.least.value == 0.02
    assert found.quantiles[0.5].value == 0.02


def test_the_least_round_trip_is_not_below_0() -> None:
    low, high = fit_delays(0.0001 + np.random.default_rng(1).exponential(0.1, 2_000)).least.ci or (0, 0)
    assert low == 0
    assert high > 0.0001


def test_blocks_that_scatter_as_independent_trials_count_as_that_many() -> None:
    counts = np.random.default_rng(1).binomial(100, 0.3, 48)
    assert independent(counts, np.full(48, 100)) == pytest.approx(4800, rel=0.5)


def test_answers_that_short_outages_may_have_held_lower_the_lower_ends_alone() -> None:
    delays = np.random.default_rng(1).exponential(0.1, 50_000)
    late = np.append(delays, np.full(200, 3.0))
    blind, aware = (fit_delays(late, held).quantiles[0.999] for held in (0, 200))
    true = 0.1 * np.log(1000)
    assert blind.ci is not None
    assert aware.ci is not None
    assert blind.ci[0] > true
    assert aware.ci[0] < true
    assert aware.ci[1] == blind.ci[1]
