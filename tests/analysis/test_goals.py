"""Goals as users state them."""

import pytest

from heartbench.analysis.goals import unit_of
from heartbench.analysis.tune import Goal


@pytest.mark.parametrize(
    ("goal", "unit"),
    [
        (Goal(3.0, 90.0), "node-day"),
        (Goal(1 / 7, 90.0), "node-week"),
        (Goal(1 / 30, 90.0), "node-month"),
        (Goal(0.0, 90.0), "node-year"),
        (Goal(3.0, 90.0, "node-week"), "node-week"),
    ],
)
def test_a_rate_has_the_unit_of_the_user_or_the_shortest_that_makes_it_one_or_more(goal: Goal, unit: str) -> None:
    assert unit_of(goal) == unit
