"""The generalised Pareto tail: what it says of long outages, and how it is fitted."""

import numpy as np
import pytest
from scipy.stats import genpareto

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.tail import FEWEST_LENGTHS, fit, log_density, log_survival


@pytest.mark.parametrize("shape", [-0.3, 0.0, 0.2, 0.9])
def test_survival_and_density_are_those_of_the_distribution(shape: float) -> None:
    excess = np.array([0.0, 0.5, 3.0, 5.0])
    assert np.exp(log_survival(excess, shape, 2.0)) == pytest.approx(genpareto.sf(excess, shape, scale=2.0))
    assert np.exp(log_density(excess, shape, 2.0)) == pytest.approx(genpareto.pdf(excess, shape, scale=2.0))


def test_nothing_lies_beyond_the_end_of_a_tail_that_has_one() -> None:
    assert np.exp(log_survival(np.array([0.0, 3.9, 4.0, 50.0]), -0.5, 2.0)) == pytest.approx([1, 0.025**2, 0, 0])


@pytest.mark.parametrize("shape", [0.0, 0.5])
def test_a_fit_of_many_lengths_finds_the_tail(shape: float) -> None:
    lengths = 3.0 + genpareto.rvs(shape, scale=2.0, size=20_000, random_state=1)
    found = fit(lengths, 3.0)
    assert (found.shape, found.scale_s) == pytest.approx((shape, 2.0), abs=0.05)


def test_lengths_that_were_cut_count_as_longer_than_what_was_seen() -> None:
    lengths = 3.0 + genpareto.rvs(0.3, scale=2.0, size=20_000, random_state=1)
    seen_s = 3.0 + np.random.default_rng(2).exponential(4.0, len(lengths))
    ended = lengths < seen_s
    found = fit(lengths[ended], 3.0, cut_s=seen_s[~ended].tolist())
    assert (found.shape, found.scale_s) == pytest.approx((0.3, 2.0), abs=0.05)


def test_too_few_lengths_are_not_fitted() -> None:
    with pytest.raises(SimulatorError, match=f"9 outages are too few .* at least {FEWEST_LENGTHS} are needed"):
        fit(np.full(9, 4.0), 3.0)
