"""Which stale threshold to set: the cheapest that meets a goal.

    met       the upper end of the interval of false stales, and the 99th percentile of the detection time, are within
              the goal, for each group of nodes (or for the fleet, if so asked)
    interval  of the network, where it was observed; else of the simulation, which knows nothing of other networks
    cheapest  of those the smallest threshold: the one with the least detection time
    nearest   if none meets it: of those that notice a dead node in time, the one with the fewest false stales; if none
              does, the smallest threshold

Here is decided, from judged traces; where traces come from is `evidence`, what is said of it `verdict`.
"""

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heartbench.analysis.evidence import LONGEST_S, SHORTEST_S
from heartbench.analysis.intervals import dispersed_interval, dispersions, poisson_interval
from heartbench.analysis.networks import NetworkRates
from heartbench.analysis.qos import DAY_S, Qos

STEP = 1 / 40
"""Distance of two thresholds of the grid, as a share of the threshold: finer than the steps of TCP's ladder."""
RUN_LENGTHS = 20.0
"""A run must last so many thresholds: gaps that its end cuts off would be too many of all."""
ROUND_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
TINY = 1e-12
PRECISION = 1e-6
FLEET = "the fleet"
"""What all nodes together are called; no group can have this name, because of its space."""
DAY_H = 24.0
INTERVALS = ("false_stale", "false_stale_network")


@dataclass(frozen=True, slots=True)
class Goal:
    """What is asked of a hub: at most so many false stales per node-day, a dead node noticed within so many s (p99)."""

    max_false_stale_per_node_day: float
    max_detection_s: float


DEFAULT_GOAL = Goal(max_false_stale_per_node_day=1 / 7, max_detection_s=90.0)


class Per(enum.StrEnum):
    """For whom a goal must hold."""

    GROUP = "group"
    FLEET = "fleet"


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What to set, and why.

    Attributes:
        goal: what was asked.
        per: for whom it must hold.
        met: whether the recommended threshold meets it.
        current_s: the threshold as it is, s; None if nobody said.
        recommended_s: the cheapest threshold that meets the goal, or the nearest, s.
        fleet: figures of all nodes together, one row a threshold.
        groups: figures of each group; the same thresholds.
        hours: for how long the network of each group was watched, h; a group is missing if nothing is known of it.
        coincidence: what the trace says of outages that nodes share, if it says so.
        recorded: whether it was judged by a bare trace, of which nothing was simulated.
    """

    goal: Goal
    per: Per
    met: bool
    current_s: float | None
    recommended_s: float
    fleet: pd.DataFrame
    groups: Mapping[str, pd.DataFrame]
    hours: Mapping[str, float]
    coincidence: str | None = None
    recorded: bool = False

    @property
    def judged(self) -> Mapping[str, pd.DataFrame]:
        """The figures that the goal is held against."""
        return self.groups if self.per is Per.GROUP or len(self.groups) == 1 else {FLEET: self.fleet}

    @property
    def settings_s(self) -> list[float]:
        """The threshold as it is, if known, and the recommended one, s; once if they are the same."""
        return list(dict.fromkeys(s for s in (self.current_s, self.recommended_s) if s is not None))

    def rows(self, stale_after_s: float) -> dict[str, dict[str, Any]]:
        """Return the figures of a threshold of the grid: of each group, and of the fleet if there are several."""
        frames = self.groups if len(self.groups) == 1 else {**self.groups, FLEET: self.fleet}
        return {name: row_of(frame, stale_after_s) for name, frame in frames.items()}

    def decides(self, stale_after_s: float) -> tuple[str, dict[str, Any]]:
        """Return who misses the goal most, or meets it least, at a threshold, and the figures there."""
        row = row_number(self.fleet, stale_after_s)

        def badness(name: str) -> tuple[float, float]:
            frame = self.judged[name]
            return float(misses(frame, self.goal)[:, row].max()), float(upper_end(frame).sum())

        name = max(self.judged, key=badness)
        return name, row_of(self.judged[name], stale_after_s)

    def hours_watched(self) -> float | None:
        """For how long the network was watched of the group that decides, h; of a fleet, of the least watched."""
        name, _ = self.decides(self.recommended_s)
        return self.hours.get(name, min(self.hours.values(), default=None) if name == FLEET else None)

    def hours_needed(self) -> float | None:
        """How long to watch the network, h, until it can be said that the goal is met, if its rate is as estimated.

        The least time T in which so few events are expected that Garwood's upper end of their rate meets the goal, at
        the recommended threshold; events count as dispersed as in the trace. None if the goal is met, or if no time
        would do.
        """
        _, row = self.decides(self.recommended_s)
        if self.met or row["detection_p99_s"] > self.goal.max_detection_s:
            return None
        unit = row["false_stale_dispersion"]
        days = node_days_needed(best_estimate(row) / unit, self.goal.max_false_stale_per_node_day / unit)
        return None if days is None else days * DAY_H


def best_estimate(row: Mapping[str, Any]) -> float:
    """Return the rate of false stales per node-day on the network of greatest likelihood, or in the trace."""
    known = row["false_stale_network_per_node_day"]
    return float(row["false_stale_per_node_day"] if math.isnan(known) else known)


def node_days_needed(rate: float, allowed: float) -> float | None:
    """Return the node-days of watching until the upper end of a rate is within what is allowed; None if never.

    Both per node-day. With no event the upper end of 95% is 3.69 events (Garwood), in the time watched.
    """
    if rate >= allowed or allowed <= TINY:
        return None

    def excess(days: float) -> float:
        return float(poisson_interval(np.array([rate * days]))[0, 1]) / days - allowed

    first = 3.0 / allowed  # too little even without an event
    last = 2 * first
    while excess(last) > 0:
        first, last = last, 2 * last
    while last - first > last * PRECISION:
        middle = (first + last) / 2
        first, last = (middle, last) if excess(middle) > 0 else (first, middle)
    return last


def grid(usual_gap_s: float, current_s: float | None, max_detection_s: float, duration_s: float) -> list[float]:
    """Thresholds worth a look, s, rounded as a person would write them, ascending; `current_s` is among them.

    From the usual gap on, below which a node flaps with every heartbeat, to well beyond the goal and what is set now,
    as far as the run is long enough to judge them.
    """
    first = max(usual_gap_s, SHORTEST_S)
    last = min(max(2 * first, 2 * (current_s or 0.0), 1.5 * max_detection_s), duration_s / RUN_LENGTHS)
    threshold, thresholds = first, set() if current_s is None else {current_s}
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


def frontier(qos: Qos, rates: NetworkRates | None = None) -> pd.DataFrame:
    """One row a threshold: `Qos.frame()` with intervals of the false stales per node-day.

    false_stale_low and _high are of the simulation; false_stale_dispersion is by how much counts vary more than Poisson
    counts; false_stale_network_per_node_day, _low and _high are the estimate and the interval of the network, NaN if it
    was not observed.
    """
    frame = qos.frame()
    spread = dispersions(qos.mistakes, qos.up_s / DAY_S, independent=qos.independent)
    interval = dispersed_interval(qos.mistakes.sum((0, 1)), qos.node_days, spread)
    frame["false_stale_low"], frame["false_stale_high"] = interval.T
    frame["false_stale_dispersion"] = spread
    frame["false_stale_network_per_node_day"] = np.nan if rates is None else rates.best
    low, high = (np.nan, np.nan) if rates is None else rates.interval()
    frame["false_stale_network_low"], frame["false_stale_network_high"] = low, high
    return frame


def recommend(
    goal: Goal,
    per: Per,
    current_s: float | None,
    fleet: pd.DataFrame,
    groups: Mapping[str, pd.DataFrame],
    hours: Mapping[str, float],
) -> Recommendation:
    """Choose among the thresholds of the frontiers, which are the same in each; the arguments are its attributes."""
    found = Recommendation(goal, per, False, current_s, math.nan, fleet, groups, hours)
    often, late = np.max([misses(each, goal) for each in found.judged.values()], axis=0)
    good = np.flatnonzero((often <= 1) & (late <= 1))
    chosen = good[0] if len(good) else int(np.argmin(np.where(late <= 1, often, math.inf))) if min(late) <= 1 else 0
    return replace(found, met=len(good) > 0, recommended_s=float(fleet.stale_after_s.iloc[chosen]))


def upper_end(frame: pd.DataFrame) -> NDArray[np.float64]:
    """Return how many false stales per node-day must be reckoned with at each threshold.

    The upper end of the interval of the network; of the simulation, if the network was not observed.
    """
    return frame.false_stale_network_high.fillna(frame.false_stale_high).to_numpy(float)


def misses(frame: pd.DataFrame, goal: Goal) -> NDArray[np.float64]:
    """By what factor each threshold misses each side of the goal, false stales and detection; shape (2, k).

    At most 1: it meets it.
    """
    false_stale = upper_end(frame) / max(goal.max_false_stale_per_node_day, TINY)
    detection = frame.detection_p99_s.to_numpy(float) / max(goal.max_detection_s, TINY)
    return np.array([false_stale, detection])


def row_number(frame: pd.DataFrame, stale_after_s: float) -> int:
    """Return the place of a threshold of the grid."""
    return int(np.flatnonzero(frame.stale_after_s == stale_after_s)[0])


def row_of(frame: pd.DataFrame, stale_after_s: float) -> dict[str, Any]:
    """Return one threshold's figures, see `rows_of`."""
    place = row_number(frame, stale_after_s)
    (row,) = rows_of(frame.iloc[place : place + 1])
    return row


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return each threshold's figures; intervals as `false_stale_ci` and `false_stale_network_ci` (None: not known)."""
    ends = [f"{name}_{end}" for name in INTERVALS for end in ("low", "high")]
    rows: list[dict[str, Any]] = frame.drop(columns=ends).to_dict("records")  # type: ignore[assignment]
    for row, values in zip(rows, frame[ends].to_numpy().tolist(), strict=True):
        for name, interval in zip(INTERVALS, (values[:2], values[2:]), strict=True):
            row[f"{name}_ci"] = None if math.isnan(interval[1]) else interval
    return rows
