"""Intervals of a rate: wide enough where little was seen, and true as often as they say."""

from collections.abc import Callable

import numpy as np
import pytest

from heartbench.analysis import intervals
from heartbench.analysis.intervals import rate_interval

BLOCKS = 24
WORLDS = 300
Counts = np.ndarray


def coverage(world: Callable[[np.random.Generator], Counts], rate: float, *, independent: bool = False) -> float:
    """Share of worlds, each the counts of (sites, blocks) in a day of unit exposure a site, whose interval is right."""
    generator = np.random.default_rng(1)
    held = 0
    for _ in range(WORLDS):
        counts = world(generator)
        exposure = np.full(counts.shape, 1 / BLOCKS)
        ((low, high),) = rate_interval(counts[..., None], exposure, independent=independent)
        held += low <= rate <= high
    return held / WORLDS


def test_garwoods_interval_is_that_of_the_tables() -> None:
    # Garwood 1936, table 1, at 95%.
    found = intervals.poisson_interval(np.array([0, 1, 5, 30]))
    assert found == pytest.approx(np.array([[0, 3.69], [0.0253, 5.57], [1.62, 11.67], [20.24, 42.83]]), abs=0.005)


def test_nothing_seen_is_not_nothing_proved() -> None:
    low, high = rate_interval(np.zeros((100, 24, 1), np.int32), np.full((100, 24), 2 / 24), independent=True)[0]
    assert (low, high) == (0, pytest.approx(3.69 / 200, rel=0.01))


def test_unequal_nodes_widen_the_interval() -> None:
    equal, unequal = np.full((100, 1, 1), 2), np.zeros((100, 1, 1), int)
    unequal[:2] = 100
    ends = (rate_interval(each, np.ones((100, 1)), independent=True)[0] for each in (equal, unequal))
    (low, high), (lower, higher) = ends
    assert lower < low
    assert high < higher


@pytest.mark.parametrize("rate", [0.03, 0.5, 5.0, 100.0])
@pytest.mark.parametrize("independent", [False, True])
def test_independent_nodes_are_covered(rate: float, independent: bool) -> None:
    assert coverage(lambda g: g.poisson(rate / BLOCKS, (100, BLOCKS)), rate, independent=independent) >= 0.94


@pytest.mark.parametrize("rate", [0.5, 5.0])
def test_nodes_of_which_some_have_more_trouble_are_covered(rate: float) -> None:
    def world(generator: np.random.Generator) -> Counts:
        return generator.poisson(rate / BLOCKS * generator.gamma(0.5, 2.0, (100, 1)), (100, BLOCKS))

    assert coverage(world, rate, independent=True) >= 0.92


def shared(generator: np.random.Generator, outages: float, sites: int, nodes: int, hit: float = 1.0) -> Counts:
    """Outages a day of each site, that strike this share of its nodes at once."""
    return generator.binomial(nodes * generator.poisson(outages / BLOCKS, (sites, BLOCKS)), hit)


@pytest.mark.parametrize("outages", [4, 8, 30])
def test_outages_that_a_known_site_shares_are_covered(outages: int) -> None:
    assert coverage(lambda g: shared(g, outages, 1, 100), 100 * outages, independent=True) >= 0.9


@pytest.mark.parametrize("hit", [0.5, 1.0])
def test_outages_of_several_known_sites_are_covered(hit: float) -> None:
    assert coverage(lambda g: shared(g, 8, 15, 20, hit), 160 * hit, independent=True) >= 0.92


@pytest.mark.parametrize("hit", [0.5, 1.0])
def test_outages_that_are_shared_without_anybody_knowing_are_covered(hit: float) -> None:
    def world(generator: np.random.Generator) -> Counts:
        return generator.binomial(generator.poisson(8 / BLOCKS, BLOCKS), hit, (100, BLOCKS))

    assert coverage(world, 8 * hit) >= 0.9
    assert coverage(world, 8 * hit, independent=True) < 0.5  # what nodes as sites of their own would make of it


@pytest.mark.parametrize("blocks", [1, 2, 3, 5, 9])
def test_a_fleet_that_was_watched_through_few_blocks_may_have_seen_a_single_outage(blocks: int) -> None:
    events = np.zeros((100, blocks, 1), int)
    events[:, 0] = 1
    exposure = np.full((100, blocks), 1 / blocks)
    one = intervals.poisson_interval(np.array([1]))[0]
    assert rate_interval(events, exposure)[0] == pytest.approx(one)
    assert rate_interval(events, exposure, independent=True)[0, 0] > 0.8


@pytest.mark.parametrize("blocks", [1, 3, 5])
def test_outages_of_a_fleet_are_covered_by_few_blocks_too(blocks: int) -> None:
    def world(generator: np.random.Generator) -> Counts:
        return np.tile(generator.poisson(3 / blocks, blocks), (100, 1))

    def held(generator: np.random.Generator) -> bool:
        counts = world(generator)
        ((low, high),) = rate_interval(counts[..., None], np.full(counts.shape, 1 / blocks))
        return bool(low <= 3 <= high)

    generator = np.random.default_rng(1)
    assert np.mean([held(generator) for _ in range(WORLDS)]) >= 0.9


def test_a_part_of_several_settings_has_the_interval_that_it_has_alone() -> None:
    events = np.random.default_rng(1).poisson([0.01, 0.3, 5.0], (50, 24, 3))
    exposure = np.random.default_rng(2).uniform(0.5, 1.0, (50, 24))
    together = rate_interval(events, exposure)
    assert together == pytest.approx(np.concatenate([rate_interval(events[..., [k]], exposure) for k in range(3)]))


def test_a_node_that_nobody_watched_changes_nothing() -> None:
    events, exposure = np.random.default_rng(1).poisson(1.0, (20, 24, 2)), np.full((20, 24), 0.5)
    with_them = np.concatenate([np.zeros((200, 24)), exposure])
    found = rate_interval(np.concatenate([np.zeros((200, 24, 2), int), events]), with_them)
    assert found == pytest.approx(rate_interval(events, exposure))


def test_of_what_nobody_watched_nothing_is_known() -> None:
    assert rate_interval(np.zeros((3, 24, 2), int), np.zeros((3, 24))).tolist() == [[0, np.inf]] * 2
    assert rate_interval(np.zeros((0, 24, 2), int), np.zeros((0, 24))).tolist() == [[0, np.inf]] * 2


def test_many_settings_are_judged_as_one_by_one() -> None:
    events = np.random.default_rng(1).poisson(3.0, (12, 5, intervals.AT_ONCE + 3))
    exposure = np.ones((12, 5))
    found = intervals.dispersions(events, exposure)
    for k in (0, intervals.AT_ONCE - 1, intervals.AT_ONCE, intervals.AT_ONCE + 2):
        np.testing.assert_allclose(found[k], intervals.dispersions(events[..., k : k + 1], exposure)[0], rtol=1e-12)
