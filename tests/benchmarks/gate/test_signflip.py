import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartbench.benchmarks.gate import signflip

RATIOS = st.lists(st.floats(-0.3, 0.3), min_size=2, max_size=9).map(np.array)


def by_listing(pairs: np.ndarray, centre: float) -> float:
    """The same p-value, with every flip listed."""
    scores = signflip._scores(pairs, centre)
    observed = scores[scores > 0].sum()
    sizes = np.abs(scores)
    flips = itertools.product((0, 1), repeat=len(sizes))
    return np.mean([np.dot(flip, sizes) >= observed for flip in flips])


@given(RATIOS, st.floats(-0.1, 0.1))
def test_counting_flips_gives_what_listing_them_gives(pairs: np.ndarray, centre: float) -> None:
    assert signflip.p_above(pairs, centre) == pytest.approx(by_listing(pairs, centre), abs=1e-12)


@given(st.lists(st.floats(0.0, 0.3), min_size=1, max_size=6))
@settings(max_examples=40)
def test_the_level_holds_exactly_over_all_flips_of_any_sizes(sizes: list[float]) -> None:
    p_values = sorted(
        signflip.p_above(np.array(sizes) * np.array(signs), 0.0)
        for signs in itertools.product((-1, 1), repeat=len(sizes))
    )
    for rank, p in enumerate(p_values, start=1):
        assert sum(other <= p for other in p_values) / len(p_values) <= p + 1e-12, rank


@given(RATIOS, st.floats(-0.1, 0.1))
def test_below_is_above_mirrored(pairs: np.ndarray, centre: float) -> None:
    assert signflip.p_below(pairs, centre) == signflip.p_above(-pairs, -centre)


@given(RATIOS)
@settings(max_examples=50)
def test_evidence_shrinks_as_the_centre_grows(pairs: np.ndarray) -> None:
    p_values = [signflip.p_above(pairs, centre) for centre in np.linspace(-0.4, 0.4, 41)]
    assert all(b >= a - 1e-12 for a, b in itertools.pairwise(p_values))


def test_pairs_that_all_point_one_way_give_the_smallest_p() -> None:
    assert signflip.p_above(np.full(16, 0.05), 0.01) == 2**-16 == signflip.smallest_p(16)
    assert signflip.p_above(np.zeros(16), 0.01) == 1.0


def test_pairs_needed_are_enough_and_no_more() -> None:
    for level in (0.5, 0.05, 5e-4, 4e-4, 1e-6):
        needed = signflip.pairs_needed(level)
        assert signflip.smallest_p(needed) <= level < signflip.smallest_p(needed - 1)


@given(RATIOS, st.floats(-0.05, 0.05))
def test_estimate_and_interval_move_with_the_pairs(pairs: np.ndarray, shift: float) -> None:
    low, high = signflip.interval(pairs)
    assert signflip.estimate(pairs + shift) == pytest.approx(signflip.estimate(pairs) + shift, abs=2e-4)
    assert math.isinf(low) or signflip.interval(pairs + shift)[0] == pytest.approx(low + shift, abs=2e-4)
    assert low <= signflip.estimate(pairs) + 1e-5
    assert signflip.estimate(pairs) - 1e-5 <= high


def test_one_wild_pair_moves_the_estimate_by_little() -> None:
    rng = np.random.default_rng(1)
    calm = rng.normal(0.05, 0.01, 16)
    wild = calm.copy()
    wild[3] -= 0.7
    assert abs(signflip.estimate(wild) - signflip.estimate(calm)) < 0.006
    assert signflip.p_above(wild, math.log1p(0.01)) < 5e-4 < np.mean(wild < 0.01)


def test_so_few_pairs_that_nothing_can_be_excluded_give_an_endless_interval() -> None:
    assert signflip.interval(np.array([0.01, 0.02, 0.015])) == (-math.inf, math.inf)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    found = (signflip.interval(rng.standard_t(3, 12) * 0.02 + 0.03) for _ in range(300))
    covered = sum(low <= 0.03 <= high for low, high in found)
    assert 0.92 <= covered / 300 <= 0.985


def test_equal_pairs_have_an_interval_of_no_width() -> None:
    low, high = signflip.interval(np.full(16, 0.02))
    assert low == pytest.approx(0.02, abs=1e-6)
    assert high == pytest.approx(0.02, abs=1e-6)
