"""Which threshold is recommended."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbench.benchmarks.thresholds import tune
from heartbench.benchmarks.thresholds.tune import Goal

THRESHOLDS = np.array([10.0, 20, 30, 40, 50])


def frontier(high: list[float], detection: list[float] | None = None) -> pd.DataFrame:
    """A frontier with these upper ends, and detection as long as the threshold if not said."""
    return pd.DataFrame(
        {
            "stale_after_s": THRESHOLDS,
            "false_stale_per_node_day": np.array(high) / 2,
            "detection_p99_s": THRESHOLDS if detection is None else detection,
            "false_stale_low": 0.0,
            "false_stale_high": high,
        }
    )


def test_the_smallest_threshold_whose_upper_end_meets_the_goal_is_the_cheapest() -> None:
    found = tune.recommend({"own": frontier([9, 3, 1.1, 0.9, 0.1])}, Goal(1.0, 60.0), current_s=30.0)
    assert (found.met, found.recommended_s, found.current_s) == (True, 40, 30)


def test_it_must_meet_the_goal_under_every_tail() -> None:
    tails = {"own": frontier([9, 0.5, 0.4, 0.3, 0.2]), "other": frontier([9, 8, 7, 6, 0.9])}
    assert tune.recommend(tails, Goal(1.0, 60.0), current_s=30.0).recommended_s == 50


def test_where_none_meets_both_the_one_that_misses_by_the_least_factor_is_nearest() -> None:
    # at 20 s: 4 times too often; at 30 s: 1.5 times too late; at 40 s: twice
    found = tune.recommend({"own": frontier([9, 4, 1, 0.5, 0.1])}, Goal(1.0, 20.0), current_s=30.0)
    assert (found.met, found.recommended_s) == (False, 30)


def test_a_goal_of_nothing_is_never_met() -> None:
    found = tune.recommend({"own": frontier([9, 4, 1, 0.5, 0.1])}, Goal(0.0, 20.0), current_s=30.0)
    assert (found.met, found.recommended_s) == (False, 50)


def test_a_row_carries_its_interval() -> None:
    row = tune.row_of(frontier([9, 4, 1, 0.5, 0.1]), 30.0)
    assert (row["stale_after_s"], row["false_stale_ci"]) == (30, [0, 1])


@given(st.floats(0.05, 600), st.floats(1, 30), st.floats(0.1, 3600), st.floats(0, 7200))
def test_the_grid_is_fine_rounded_and_holds_the_present_setting(
    usual: float, longest: float, current: float, detection: float
) -> None:
    thresholds = np.array(tune.grid(usual, usual * longest, current, detection))
    assert current in thresholds
    others = thresholds[thresholds != current]
    assert others[0] >= min(usual, 0.1)
    assert others[-1] >= min(max(2 * current, 1.25 * detection, usual * longest) / 1.03, 80_000)
    fine = thresholds[(thresholds >= others[0]) & (thresholds <= others[-1])]
    assert np.all(np.diff(fine) <= 0.0251 * fine[1:])
    assert all(float(f"{each:.4g}") == pytest.approx(each) for each in others)
    assert len(thresholds) < 700
