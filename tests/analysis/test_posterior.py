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


def test_the_interval_covers_the_truth_though_observations_were_cut() -> None:
    true = np.exp(log_survival(np.array(40.0), 0.2, 4.0))
    covered, taken_as_whole = 0, 0
    for seed in range(60):
        lengths_s = np.array(world(seed, 0.2).lengths_s)
        seen_s = FROM_S + np.random.default_rng(seed + 1000).exponential(6.0, len(lengths_s))
        ended = lengths_s < seen_s
        cut = observed(lengths_s[ended].tolist()).model_copy(update={"cut_s": tuple(seen_s[~ended].tolist())})
        for honest in (True, False):
            seen = cut if honest else observed(np.minimum(lengths_s, seen_s).tolist())
            drawn = draw_networks(seen, seed, 400)
            low, high = np.quantile(np.exp(log_survival(np.array(40.0), drawn.shape, drawn.scale_s)), [0.025, 0.975])
            covered += honest and bool(low <= true <= high)
            taken_as_whole += not honest and bool(low <= true <= high)
    assert covered >= 54 > taken_as_whole


def test_an_outage_that_was_cut_counts_for_the_rate_and_may_have_been_far_longer() -> None:
    cut = observed([]).model_copy(update={"cut_s": (11.0,)})
    drawn = draw_networks(cut, 1)
    assert np.median(drawn.per_hour) == pytest.approx(np.median(draw_networks(observed([11.0]), 1).per_hour), rel=0.1)
    survival = np.exp(log_survival(np.array(60.0), drawn.shape, drawn.scale_s))
    assert np.quantile(survival, 0.1) < 0.01
    assert np.quantile(survival, 0.9) > 0.3


def test_an_outage_that_was_cut_at_the_threshold_can_be_drawn_for() -> None:
    drawn = draw_networks(observed([]).model_copy(update={"cut_s": (FROM_S,)}), 1)
    assert np.isfinite(drawn.scale_s).all()


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
