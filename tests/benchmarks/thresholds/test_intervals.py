"""Intervals of a rate: wide enough where little was seen, and true as often as they say."""

import numpy as np
import pytest

from heartbench.benchmarks.thresholds import intervals


def test_garwoods_interval_is_that_of_the_tables() -> None:
    # Garwood 1936, table 1, at 95 %.
    found = intervals.poisson_interval(np.array([0, 1, 5, 30]))
    assert found == pytest.approx(np.array([[0, 3.69], [0.0253, 5.57], [1.62, 11.67], [20.24, 42.83]]), abs=0.005)


def test_nothing_seen_is_not_nothing_proved() -> None:
    low, high = intervals.rate_interval(np.zeros((100, 1), np.int32), np.full(100, 2.0), seed=1)[0]
    assert (low, high) == (0, pytest.approx(3.69 / 200, rel=0.01))


def test_unequal_nodes_widen_the_interval() -> None:
    equal, unequal = np.full((100, 1), 2), np.zeros((100, 1), int)
    unequal[:2] = 100
    exposure = np.ones(100)
    (low, high), (lower, higher) = (intervals.rate_interval(each, exposure, seed=1)[0] for each in (equal, unequal))
    assert lower < low
    assert high < higher


def test_the_interval_holds_the_true_rate_as_often_as_it_says() -> None:
    generator = np.random.default_rng(1)
    rates = generator.gamma(2.0, 1.0, (200, 400))  # 200 nodes that differ, mean 2, 400 times over
    low, high = intervals.rate_interval(generator.poisson(rates), np.ones(200), seed=1).T
    assert np.mean((low <= 2.0) & (high >= 2.0)) >= 0.93


def test_groups_of_many_nodes_give_the_interval_of_the_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    events = np.random.default_rng(1).poisson(0.5, (4000, 1))
    exposure = np.ones(4000)
    grouped = intervals.bootstrap_interval(events, exposure, seed=1)
    monkeypatch.setattr(intervals, "LARGEST_SAMPLE", 4000)
    assert grouped == pytest.approx(intervals.bootstrap_interval(events, exposure, seed=1), abs=0.005)


def test_the_same_seed_gives_the_same_interval() -> None:
    events = np.random.default_rng(1).poisson(1.0, (50, 3))
    first, second = (intervals.rate_interval(events, np.ones(50), seed=7) for _ in range(2))
    assert np.array_equal(first, second)


def test_a_node_that_nobody_watched_changes_nothing() -> None:
    events, exposure = np.array([[1], [0]]), np.array([2.0, 3.0])
    unwatched = np.zeros(200)
    with_them = np.concatenate([unwatched, exposure])
    found = intervals.rate_interval(np.concatenate([np.zeros((200, 1), int), events]), with_them, seed=1)
    assert np.array_equal(found, intervals.rate_interval(events, exposure, seed=1))
    assert np.isfinite(found).all()


def test_of_what_nobody_watched_nothing_is_known() -> None:
    assert intervals.rate_interval(np.zeros((3, 2), int), np.zeros(3), seed=1).tolist() == [[0, np.inf]] * 2
