"""Goals as users state them, and as JSON."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from heartbench.analysis.tune import DEFAULT_GOAL, Goal
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.units import NODE_DAYS, parse_duration, parse_rate

RATE_UNITS = ("node-day", "node-week", "node-month", "node-year")


def unit_of(goal: Goal) -> str:
    """Return the unit in which a goal's rate was stated, else the shortest in which it is at least one."""
    rate = goal.max_false_stale_per_node_day
    least = (unit for unit in RATE_UNITS if rate * NODE_DAYS[unit] >= 1 - 1e-9)
    return goal.unit or next(least, RATE_UNITS[-1])


def stated_goal(max_false_stale: str | None, max_detection: str | None, otherwise: Goal = DEFAULT_GOAL) -> Goal:
    """Return the goal that the options --max-false-stale and --max-detection state; what is None is as `otherwise`.

    Raises:
        SimulatorError: one is no rate or no duration.
    """
    rate, unit, detection_s = otherwise.max_false_stale_per_node_day, otherwise.unit, otherwise.max_detection_s
    if max_false_stale is not None:
        rate = parse_rate(max_false_stale, "--max-false-stale")
        unit = max_false_stale.partition("/")[2].strip().lower()
    if max_detection is not None:
        detection_s = parse_duration(max_detection, "--max-detection")
        if detection_s <= 0:
            raise SimulatorError(f"--max-detection: {max_detection}: must be more than 0 s")
    return Goal(rate, detection_s, unit)


def goal_json(goal: Goal) -> dict[str, Any]:
    """Return a goal as JSON; the unit in which it was stated is null if there was none."""
    return {**asdict(goal), "unit": goal.unit or None}


def goal_from_json(stored: Mapping[str, Any]) -> Goal:
    """Return a goal that `goal_json` wrote; earlier versions left out its unit."""
    return Goal(stored["max_false_stale_per_node_day"], stored["max_detection_s"], stored.get("unit") or "")
