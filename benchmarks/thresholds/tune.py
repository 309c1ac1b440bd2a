"""Which stale threshold to set: the cheapest that meets a goal, whatever the longest outages are like.

    met       the upper end of the interval of false stales, and the 99th percentile of the detection time, are within
              the goal, under every assumption about the tail of the outages
    cheapest  of those the smallest threshold: the one with the least detection time
    nearest   where none meets it: the one that misses by the least factor

Here is decided, from judged traces; where traces come from is `evidence`, what is said of it `verdict`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heartbench.benchmarks.thresholds.intervals import rate_interval
from heartbench.benchmarks.thresholds.qos import DAY_S, Qos

STEP = 1 / 40
"""Distance of two thresholds of the grid, as a share of the threshold: finer than the steps of TCP's ladder."""
SHORTEST_S, LONGEST_S = 0.1, 86_400.0
"""The thresholds that the hub accepts."""
ROUND_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Goal:
    """What is asked of a hub: at most so many false stales per node-day, a dead node noticed within so many s (p99)."""

    max_false_stale_per_node_day: float
    max_detection_s: float


DEFAULT_GOAL = Goal(max_false_stale_per_node_day=1 / 7, max_detection_s=90.0)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What to set, and why.

    Attributes:
        goal: what was asked.
        met: whether the recommended threshold meets it under every tail.
        current_s: the threshold as it is, s.
        recommended_s: the cheapest threshold that meets the goal, or the nearest, s.
        frontiers: by tail, the trace's own first: one row a threshold, the same thresholds in each.
    """

    goal: Goal
    met: bool
    current_s: float
    recommended_s: float
    frontiers: Mapping[str, pd.DataFrame]

    def rows(self, stale_after_s: float) -> dict[str, dict[str, Any]]:
        """By tail, the figures of a threshold of the grid."""
        return {tail: row_of(frontier, stale_after_s) for tail, frontier in self.frontiers.items()}


def grid(usual_gap_s: float, longest_gap_s: float, current_s: float, max_detection_s: float) -> list[float]:
    """Thresholds worth a look, s, rounded as a person would write them, ascending; `current_s` is among them.

    From the usual gap on, below which a node flaps with every heartbeat, to beyond the longest, above which none does.
    """
    last = max(1.05 * longest_gap_s, 2 * current_s, 1.25 * max_detection_s)
    threshold, thresholds = max(usual_gap_s, SHORTEST_S), {current_s}
    while threshold <= min(last, LONGEST_S):
        step = round_step(threshold * STEP)
        rounded = round(math.ceil(threshold / step - TINY) * step, 9)
        thresholds.add(rounded)
        threshold = rounded + step
    return sorted(thresholds)


def round_step(step: float) -> float:
    """Return the largest step of ROUND_STEPS, times a power of ten, that is not above `step`."""
    scale = 10.0 ** math.floor(math.log10(step))
    return max(each * scale for each in ROUND_STEPS if each * scale <= step * (1 + TINY))


def frontier(qos: Qos) -> pd.DataFrame:
    """One row a threshold: `Qos.frame()` with the interval of the false stales (false_stale_low, false_stale_high)."""
    frame = qos.frame()
    interval = rate_interval(qos.mistakes, qos.up_s / DAY_S, independent=qos.independent)
    frame["false_stale_low"], frame["false_stale_high"] = interval.T
    return frame


def recommend(frontiers: Mapping[str, pd.DataFrame], goal: Goal, current_s: float) -> Recommendation:
    """Choose among the thresholds of the frontiers, which are the same under each tail."""
    excess = np.max([miss_factor(each, goal) for each in frontiers.values()], axis=0)
    good = np.flatnonzero(excess <= 1)
    chosen = good[0] if len(good) else int(np.argmin(excess))
    thresholds = next(iter(frontiers.values())).stale_after_s
    return Recommendation(goal, len(good) > 0, current_s, float(thresholds.iloc[chosen]), frontiers)


def miss_factor(frame: pd.DataFrame, goal: Goal) -> NDArray[np.float64]:
    """By what factor each threshold misses the goal that it misses most; at most 1 where it meets both."""
    false_stale = frame.false_stale_high.to_numpy(float) / max(goal.max_false_stale_per_node_day, TINY)
    detection = frame.detection_p99_s.to_numpy(float) / max(goal.max_detection_s, TINY)
    return np.maximum(false_stale, detection)


def row_of(frame: pd.DataFrame, stale_after_s: float) -> dict[str, Any]:
    """Return one threshold's figures, its interval as `false_stale_ci`."""
    (row,) = rows_of(frame[frame.stale_after_s == stale_after_s])
    return row


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return each threshold's figures."""
    ends = ["false_stale_low", "false_stale_high"]
    intervals = frame[ends].to_numpy().tolist()
    rows = frame.drop(columns=ends).to_dict("records")
    return [{**row, "false_stale_ci": interval} for row, interval in zip(rows, intervals, strict=True)]  # type: ignore[dict-item]
