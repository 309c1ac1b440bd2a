"""Networks are drawn that fit what was observed, and lie about the truth as often as they say."""

import numpy as np
import pytest

from heartbench.analysis.posterior import draw_networks
from heartbench.simulator.outages import Observed
from heartbench.simulator.profile import load_profile
from heartbench.simulator.tail import Tail, fit, log_survival
from heartbench.simulator.tomlfile import validate

HOURS, FROM_S = 8.0, 3.0


def observed(lengths_s: list[float], hours: float = HOURS) -> Observed:
    return validate(Observed, {"hours": hours, "from": FROM_S, "resolution": 0, "lengths": lengths_s}, "test")


def world(seed: int, shape: float, per_hour: float = 9.0, scale_s: float = 4.0) -> Observed:
    generator = np.random.default_rng(seed)
    count = generator.poisson(per_hour * HOURS)
    return observed(Tail(FROM_S, shape, scale_s).quantile_s(generator.exponential(size=count)).tolist())


@pytest.mark.parametrize("shape", [0.0, 0.2, 0.5])
@pytest.mark.parametrize("over_s", [13.0, 45.0])
def test_the_interval_of_long_outages_covers_the_truth(shape: float, over_s: float) -> None:
    def per_hour(rate: np.ndarray, shapes: np.ndarray, scales_s: np.ndarray) -> np.ndarray:
        return rate * np.exp(log_survival(np.array(over_s - FROM_S), shapes, scales_s))

    true = per_hour(np.array(9.0), np.array(shape), np.array(4.0))
    covered = 0
    for seed in range(60):
        drawn = draw_networks(world(seed, shape), seed, 400)
        low, high = np.quantile(per_hour(drawn.per_hour, drawn.shape, drawn.scale_s), [0.025, 0.975])
        covered += bool(low <= true <= high)
    assert covered >= 54


def test_the_best_estimate_lies_among_the_networks() -> None:
    seen = world(1, 0.3)
    drawn = draw_networks(seen, 1)
    best = fit(np.array(seen.lengths_s), FROM_S)
    for values, estimate in ((drawn.shape, best.shape), (drawn.scale_s, best.scale_s), (drawn.per_hour, seen.per_hour)):
        low, high = np.quantile(values, [0.1, 0.9])
        assert low < estimate < high


def test_the_same_seed_draws_the_same_networks() -> None:
    one, two = (draw_networks(world(1, 0.2), 5) for _ in range(2))
    assert np.array_equal(one.shape, two.shape)
    assert not np.array_equal(one.shape, draw_networks(world(1, 0.2), 6).shape)


def test_without_an_outage_the_rule_of_three_bounds_their_rate() -> None:
    drawn = draw_networks(observed([], hours=500.0), 1, 20_000)
    assert np.quantile(drawn.per_hour, 0.95) < 3.0 / 500.0
    assert np.isinf(drawn.scale_s).all()


def test_few_outages_are_enough_to_draw_by() -> None:
    drawn = draw_networks(observed([4.0]), 1)
    assert np.isfinite([drawn.shape, drawn.scale_s, drawn.per_hour]).all()


def test_the_shape_of_the_shipped_profile_lies_where_its_file_says() -> None:
    shipped = load_profile("wireguard-5g").outage.observed
    assert shipped is not None
    assert np.quantile(draw_networks(shipped, 1, 20_000).shape, [0.025, 0.975]) == pytest.approx([0.25, 0.90], abs=0.01)
