"""Which threshold is recommended."""

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbench.analysis import tune
from heartbench.analysis.intervals import poisson_interval
from heartbench.analysis.tune import Goal, Per, Recommendation, ThresholdFigures

THRESHOLDS = np.array([10.0, 20, 30, 40, 50])


def frontier(
    high: list[float], detection: list[float] | None = None, network_high: list[float] | None = None
) -> pd.DataFrame:
    """A frontier with these upper ends, and detection as long as the threshold if not said."""
    network = np.full(len(high), np.nan) if network_high is None else np.array(network_high)
    names = [field.name for field in fields(ThresholdFigures) if not field.name.endswith("_ci")]
    return pd.DataFrame(
        {
            **dict.fromkeys(names, 0.0),
            "stale_after_s": THRESHOLDS,
            "false_stale_per_node_day": np.array(high) / 2,
            "detection_p99_s": THRESHOLDS if detection is None else detection,
            "false_stale_low": 0.0,
            "false_stale_high": high,
            "false_stale_dispersion": 1.0,
            "false_stale_network_per_node_day": network / 2,
            "false_stale_network_low": network * 0,
            "false_stale_network_high": network,
        }
    )


def recommend(
    goal: Goal, *frames: pd.DataFrame, per: Per = Per.GROUP, fleet: pd.DataFrame | None = None
) -> Recommendation:
    groups = dict(zip(("one", "two"), frames, strict=False))
    return tune.recommend(goal, per, 30.0, frames[0] if fleet is None else fleet, groups, {"one": 8.0})


def test_the_lowest_threshold_whose_upper_end_meets_the_goal_is_recommended() -> None:
    found = recommend(Goal(1.0, 60.0), frontier([9, 3, 1.1, 0.9, 0.1]))
    assert (found.met, found.recommended_s, found.current_s) == (True, 40, 30)


def test_the_interval_of_an_observed_network_decides() -> None:
    found = recommend(Goal(1.0, 60.0), frontier([9, 3, 0.5, 0.2, 0.1], network_high=[20, 9, 4, 2, 0.8]))
    assert (found.met, found.recommended_s) == (True, 50)


def test_each_group_must_meet_the_goal_and_the_worse_decides() -> None:
    good, bad = frontier([9, 0.5, 0.4, 0.3, 0.2]), frontier([9, 8, 7, 6, 0.9])
    found = recommend(Goal(1.0, 60.0), good, bad, fleet=frontier([9, 4, 3, 0.9, 0.5]))
    assert found.recommended_s == 50
    assert found.decides(50.0)[0] == "two"
    assert set(found.rows(50.0)) == {"one", "two", tune.FLEET}


def test_per_fleet_the_average_must_meet_it() -> None:
    good, bad = frontier([9, 0.5, 0.4, 0.3, 0.2]), frontier([9, 8, 7, 6, 0.9])
    found = recommend(Goal(1.0, 60.0), good, bad, per=Per.FLEET, fleet=frontier([9, 4, 3, 0.9, 0.5]))
    assert found.recommended_s == 40
    assert found.decides(40.0)[0] == tune.FLEET


def test_if_none_meets_both_the_best_of_those_that_detect_in_time_is_closest() -> None:
    found = recommend(Goal(1.0, 35.0), frontier([9, 4, 2, 0.5, 0.1]))
    assert (found.met, found.recommended_s) == (False, 30)
    assert recommend(Goal(1.0, 5.0), frontier([9, 4, 2, 0.5, 0.1])).recommended_s == 10


def test_a_goal_of_zero_false_stales_is_never_met() -> None:
    found = recommend(Goal(0.0, 25.0), frontier([9, 4, 1, 0.5, 0.1]))
    assert (found.met, found.recommended_s) == (False, 20)


def test_a_row_carries_its_intervals() -> None:
    row = tune.figures_at(frontier([9, 4, 1, 0.5, 0.1]), 30.0)
    assert (row.stale_after_s, row.false_stale_ci, row.false_stale_network_ci) == (30, (0, 1), None)
    known = tune.figures_at(frontier([9, 4, 1, 0.5, 0.1], network_high=[9, 9, 5, 4, 3]), 30.0)
    assert known.false_stale_network_ci == (0, 5)


def test_without_events_the_time_to_observe_follows_the_rule_of_three() -> None:
    days = tune.node_days_needed(0.0, 1 / 7)
    assert days == pytest.approx(3.689 * 7, rel=1e-3)  # Garwood: 3.69 events at most where none was seen


@given(st.floats(0, 5), st.floats(0.01, 10))
def test_after_the_time_to_observe_the_upper_end_equals_the_limit(rate: float, allowed: float) -> None:
    days = tune.node_days_needed(rate, allowed)
    if rate >= allowed:
        assert days is None
    elif rate < 0.9 * allowed:
        assert days is not None
        assert poisson_interval(np.array([rate * days]))[0, 1] / days == pytest.approx(allowed, rel=1e-4)


def test_dispersed_events_need_longer_observation() -> None:
    frame = frontier([9, 8, 7, 6, 3])
    one, three = (
        recommend(Goal(2.0, 50.0), frame.assign(false_stale_dispersion=spread)).hours_needed() for spread in (1.0, 3.0)
    )
    assert one is not None
    assert three == pytest.approx(3 * one)


def test_hours_needed_are_those_at_the_best_estimate_of_the_network() -> None:
    found = recommend(Goal(2.0, 50.0), frontier([9, 8, 7, 6, 1], network_high=[9, 8, 7, 6, 3]))
    assert found.hours_watched() == 8.0
    node_days = tune.node_days_needed(1.5, 2.0)
    assert node_days is not None
    assert found.hours_needed() == pytest.approx(24 * node_days)
    assert recommend(Goal(4.0, 50.0), frontier([9, 8, 7, 6, 1], network_high=[9, 8, 7, 6, 3])).hours_needed() is None
    assert recommend(Goal(1.0, 50.0), frontier([9, 8, 7, 6, 1], network_high=[9, 8, 7, 6, 3])).hours_needed() is None


@given(st.floats(0.05, 600), st.none() | st.floats(0.1, 3600), st.floats(0, 7200))
def test_the_grid_is_fine_rounded_and_contains_the_current_threshold(
    usual: float, current: float | None, detection: float
) -> None:
    thresholds = np.array(tune.grid(usual, current, detection, 1e6))
    assert current is None or current in thresholds
    others = thresholds[thresholds != current]
    assert others[0] >= min(usual, 0.1)
    assert others[-1] >= max(2 * usual, 2 * (current or 0), 1.5 * detection) / 1.03
    fine = thresholds[(thresholds >= others[0]) & (thresholds <= others[-1])]
    assert np.all(np.diff(fine) <= 0.0251 * fine[1:])
    assert all(float(f"{each:.4g}") == pytest.approx(each) for each in others)
    assert len(thresholds) < 700


def test_the_grid_ends_where_the_run_is_too_short() -> None:
    assert tune.grid(10.0, 30.0, 3600.0, duration_s=1200.0)[-1] <= 60.0
