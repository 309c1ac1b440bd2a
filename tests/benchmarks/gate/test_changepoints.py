import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartbench.benchmarks.gate import changepoints
from heartbench.benchmarks.gate.changepoints import change_points, cost, noise


def times(*levels: tuple[float, int], sd: float = 0.01, seed: int = 0) -> list[float]:
    logs = np.concatenate([np.full(count, math.log(level)) for level, count in levels])
    return list(np.exp(logs + np.random.default_rng(seed).normal(0, sd, len(logs))))


def test_a_lasting_change_is_found_where_it_began() -> None:
    assert change_points(times((1.0, 20), (1.1, 15))) == [20]


def test_changes_up_and_down_are_found() -> None:
    assert change_points(times((1.0, 12), (1.2, 12), (0.9, 12))) == [12, 24]


@pytest.mark.parametrize("seed", range(10))
def test_noise_is_no_change(seed: int) -> None:
    assert change_points(times((1.0, 50), sd=0.03, seed=seed)) == []


def test_one_slow_night_is_no_change() -> None:
    series = times((1.0, 30))
    series[12] *= 3
    assert change_points(series) == []


def test_a_constant_series_and_a_short_one_have_no_changes() -> None:
    assert change_points([1.0] * 40) == []
    assert change_points([1.0, 1.0, 9.0, 9.0]) == []


@given(st.lists(st.sampled_from([1.0, 1.01, 1.3, 2.0]), min_size=6, max_size=11))
@settings(max_examples=60)
def test_no_other_segmentation_costs_less(series: list[float]) -> None:
    logs = np.log(np.array(series))
    price = changepoints.PENALTY * noise(logs) * math.log(len(logs))

    def total(starts: Sequence[int]) -> float:
        borders = [0, *starts, len(logs)]
        return sum(cost(logs[a:b]) for a, b in itertools.pairwise(borders)) + price * len(starts)

    every = (c for k in range(4) for c in itertools.combinations(range(1, len(logs)), k))
    allowed = (
        c for c in every if all(b - a >= changepoints.SHORTEST for a, b in itertools.pairwise([0, *c, len(logs)]))
    )
    assert total(change_points(series)) == pytest.approx(min(map(total, allowed)))
