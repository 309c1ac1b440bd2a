"""The test for a change of a rate: how often it is wrong, and what it notices."""

import numpy as np
import pytest

from heartbench.analysis.promise.chart import FEWER, MORE, Rate, blocks_to_notice, chart, dispersion_over_time, limit_of
from heartbench.analysis.promise.counts import BLOCKS

HOUR_S = 3600.0
DAYS = np.full(168, 1.0)
LIMIT = limit_of(1, HOUR_S)


def clumped(rng: np.random.Generator, mean: float, size: int, blocks: int) -> np.ndarray:
    return size * rng.poisson(mean / size, blocks)


@pytest.mark.parametrize("size", [1, 10])
@pytest.mark.parametrize("ratio", [MORE, FEWER])
def test_an_unchanged_week_is_rarely_taken_for_a_change(size: int, ratio: float) -> None:
    rng = np.random.default_rng(7)
    wrong = 0
    for _ in range(200):
        before = Rate.of(clumped(rng, 20, size, 72), DAYS[:72])
        wrong += chart(clumped(rng, 20, size, 168), DAYS, before, ratio, LIMIT).crossed
    assert wrong <= 2  # 1% of the weeks


@pytest.mark.parametrize(("ratio", "rate"), [(MORE, 40.0), (FEWER, 10.0)])
def test_a_change_is_noticed_and_dated(ratio: float, rate: float) -> None:
    rng = np.random.default_rng(1)
    before = Rate.of(rng.poisson(20, 72), DAYS[:72])
    found = chart(np.append(rng.poisson(20, 10), rng.poisson(rate, 14)), DAYS[:24], before, ratio, LIMIT)
    assert found.crossed
    assert 9 <= found.begins <= 11


def test_one_block_never_decides() -> None:
    before = Rate.of(np.full(72, 1), DAYS[:72])
    events = np.ones(24, int)
    events[12] = 10_000  # one outage of a whole fleet
    assert not chart(events, DAYS[:24], before, MORE, LIMIT).crossed


def test_bad_hours_that_follow_each_other_count_as_dispersion() -> None:
    cycle = np.tile(np.repeat([10, 30], 12), 6)
    assert dispersion_over_time(np.full(144, 20), DAYS[:144]) == 1
    assert dispersion_over_time(cycle, DAYS[:144]) > 3 * dispersion_over_time(np.tile([10, 30], 72), DAYS[:144])


def test_a_rare_event_takes_longer_to_notice_and_one_too_rare_for_the_recent_part_is_never_noticed() -> None:
    rates = [Rate.of(np.full(100, count), DAYS[:100]) for count in (100, 10, 4, 1, 0)]
    blocks = [blocks_to_notice(each, 1.0, LIMIT) for each in rates]
    assert blocks[0] == 3
    assert blocks[0] < blocks[1] < blocks[2] <= BLOCKS
    assert blocks[3:] == [np.inf, np.inf]
