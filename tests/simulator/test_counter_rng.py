"""Counted randomness: the same draw for the same count, and the right distribution."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from heartbench.simulator import counter_rng
from heartbench.simulator.counter_rng import Purpose

COUNT = 20_000


def key(seed: int, node: int, purpose: int) -> np.uint64:
    """A compiled kernel returns a plain integer, which the next one would take for a signed one."""
    return np.uint64(counter_rng.key(seed, node, purpose))


KEY = key(1, 2, Purpose.DELAY)


def draws(function: object) -> np.ndarray:
    return np.array([function(KEY, index) for index in range(COUNT)])  # type: ignore[operator]


def test_the_bits_are_splitmix64s() -> None:
    # The first outputs of SplitMix64 seeded with 0, as published with the algorithm.
    outputs = [int(counter_rng.mix(np.uint64((i * int(counter_rng.GOLDEN)) % 2**64))) for i in (1, 2, 3)]
    assert outputs == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def test_a_draw_depends_on_seed_node_purpose_and_index_alone() -> None:
    places = [(s, n, p, i) for s in (0, 1) for n in (0, 7) for p in (1, 2) for i in (0, 1)]
    values = [counter_rng.uniform(key(s, n, p), i) for s, n, p, i in places]
    again = [counter_rng.uniform(key(s, n, p), i) for s, n, p, i in reversed(places)]
    assert values == again[::-1]
    assert len(set(values)) == len(values)


@pytest.mark.parametrize(
    ("function", "distribution"),
    [(counter_rng.uniform, "uniform"), (counter_rng.exponential, "expon"), (counter_rng.normal, "norm")],
)
def test_draws_follow_their_distribution(function: object, distribution: str) -> None:
    assert stats.kstest(draws(function), distribution).pvalue > 0.001


def test_neighbouring_draws_do_not_correlate() -> None:
    z = draws(counter_rng.normal)
    assert abs(np.corrcoef(z[:-1], z[1:])[0, 1]) < 4 / np.sqrt(COUNT)


def test_normal_is_the_quantile_of_uniform() -> None:
    assert np.allclose(draws(counter_rng.normal), stats.norm.ppf(draws(counter_rng.uniform)), atol=1e-6)


@given(seed=st.integers(0, 2**63 - 1), node=st.integers(0, 10**7), index=st.integers(0, 2**40))
def test_uniform_is_never_0_or_1(seed: int, node: int, index: int) -> None:
    assert 0.0 < counter_rng.uniform(key(seed, node, Purpose.DELAY), index) < 1.0
