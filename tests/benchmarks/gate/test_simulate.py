import numpy as np
import pytest

from heartbench.benchmarks.gate import simulate


@pytest.mark.parametrize(("slowdown", "pair_sd", "least"), [(0.05, 0.02, 0.9), (0.03, 0.01, 0.8), (0.10, 0.04, 0.95)])
@pytest.mark.parametrize("noise", ["normal", "heavy"])
def test_sixteen_rounds_have_the_power_that_is_promised(
    noise: str, slowdown: float, pair_sd: float, least: float
) -> None:
    assert simulate.power(noise, slowdown, pair_sd, trials=100) >= least


def test_twelve_rounds_would_not() -> None:
    assert simulate.power("normal", 0.05, 0.02, rounds=12, trials=100) < 0.9


@pytest.mark.parametrize("noise", ["normal", "heavy"])
def test_simulated_pairs_have_the_effect_and_the_deviation_asked_for(noise: str) -> None:
    pairs = simulate.simulated(noise, 0.05, 0.02, 16, 4000)
    assert np.median(pairs) == pytest.approx(np.log(1.05), abs=0.001)
    assert pairs.std() == pytest.approx(0.02, rel=0.1)
