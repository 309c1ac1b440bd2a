"""Gaps beyond those of a log: what is extrapolated, how far, and what is refused."""

import numpy as np
import pytest

from heartbench.analysis.tail.choice import FEWEST, choose
from heartbench.analysis.tail.rates import DECADE, tail_of
from heartbench.analysis.tune import frontier, upper_end
from heartbench.analysis.validation.tail import DAYS, FROM_S, GRID, log_of, lognormal, pareto, rungs

Floats = np.ndarray


def scores(count: int, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).exponential(size=count)


def refusal(lengths_s: Floats, dispersion: float = 1.0, step_s: float = 0.0) -> str:
    return choose(lengths_s, FROM_S, lambda _: dispersion, step_s, 1).refused


@pytest.mark.parametrize(("shape", "count"), [(0.0, 100), (0.3, 300)])
def test_rates_of_a_pareto_tail_are_covered_from_below_the_data_to_a_decade_beyond(shape: float, count: int) -> None:
    lengths_s = pareto(shape, scores(count))
    rates, tail = tail_of(log_of(lengths_s, 1), GRID, 0.0, 1)
    assert rates is not None
    low, high = rates.interval()
    given = ~np.isnan(high)
    true = count / DAYS * np.exp(-np.interp(GRID, pareto(shape, np.linspace(0, 30, 3001)), np.linspace(0, 30, 3001)))
    beyond = given & (GRID > FROM_S)
    assert np.all((low[beyond] <= true[beyond]) & (true[beyond] <= high[beyond]))
    assert np.all(np.diff(high[given]) <= 0)
    assert GRID[given].max() <= tail.ends_s < GRID[~given].min()
    assert tail.ends_s >= lengths_s.max()
    if tail.ends_s > lengths_s.max():
        assert rates.best[given].min() * DAYS >= DECADE


def test_few_gaps_and_gaps_in_clumps_are_refused() -> None:
    lengths_s = pareto(0.2, scores(100))
    assert refusal(lengths_s) == ""
    assert refusal(lengths_s[:FEWEST]) == f"{FEWEST} gaps over 30 s; more than 30 are needed"
    assert refusal(lengths_s, dispersion=5.0) == "100 gaps over 30 s, in clumps of 5; more than 150 are needed"
    assert refusal(np.zeros(0)) == "0 gaps over 30 s; more than 30 are needed"


def test_gaps_in_steps_are_refused_and_so_are_those_of_one_step() -> None:
    assert "in steps" in refusal(rungs(scores(200)))
    interval_s = FROM_S + 10 * np.floor(scores(200))  # messages that were lost
    assert "in steps" in refusal(interval_s)
    assert "too much alike" in refusal(80 + np.random.default_rng(1).uniform(0, 10, 100))


def test_times_in_coarse_steps_are_refused_and_whole_seconds_are_not() -> None:
    lengths_s = pareto(0.2, scores(200))
    assert refusal(np.round(lengths_s), step_s=1.0) == ""
    assert "times are known to within 15 s" in refusal(15 * np.round(lengths_s / 15), step_s=15.0)


def test_a_higher_threshold_is_chosen_if_the_lowest_does_not_fit() -> None:
    two_kinds = np.append(FROM_S + 0.5 * scores(150), 40 + 15 * scores(150, 2))
    found = choose(two_kinds, FROM_S, lambda _: 1.0, 0.0, 1)
    assert found.chosen is not None
    assert [each.fits for each in found.tried] == [False] * (len(found.tried) - 1) + [True]
    assert found.chosen.from_s > 35


def test_no_threshold_meets_a_goal_because_it_is_too_far_beyond_the_data() -> None:
    log = log_of(pareto(0.3, scores(100)), 1)
    frame = frontier(log, tail_of(log, GRID, 0.0, 1)[0])
    ends = upper_end(frame)
    refused = frame.false_stale_network_high.isna().to_numpy()
    assert refused.any()
    assert np.all(ends[refused] == ends[~refused].min())
    np.testing.assert_equal(upper_end(frame[::-1].reset_index(drop=True)), ends[::-1])  # in any order of thresholds


def test_gaps_in_clumps_widen_the_interval() -> None:
    lengths_s = lognormal(scores(200))
    alone = log_of(lengths_s, 1)
    clumped = log_of(lengths_s, 1)
    clumped.distinct[:] = 0
    clumped.distinct[:, ::6] = alone.distinct.reshape(20, 4, 6, -1).sum(2)
    widths = []
    for log in (alone, clumped):
        rates, _ = tail_of(log, GRID, 0.0, 1)
        assert rates is not None
        low, high = rates.interval()[:, np.searchsorted(GRID, 60.0)]
        widths.append(high / low)
    assert widths[1] > 1.3 * widths[0]
