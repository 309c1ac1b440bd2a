"""Which stale threshold to set: the lowest that meets a goal.

    met       the upper end of the interval of false stales and the 99th percentile of the detection time are within
              the goal, for each group of nodes or for the fleet
    interval  the network's if it was observed; else the simulation's, which does not cover other networks
    closest   if no threshold meets the goal: of those that detect failures in time, the one with the fewest false
              stales; if none does, the lowest threshold

This module only decides. `evidence` reads or simulates traces; `verdict` puts the recommendation into words.
"""

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heartbench.analysis.evidence import LONGEST_S, SHORTEST_S
from heartbench.analysis.intervals import dispersed_interval, dispersions, poisson_interval
from heartbench.analysis.networks import NetworkRates
from heartbench.analysis.qos import DAY_S, Qos
from heartbench.analysis.tail.rates import LogTail

STEP = 1 / 40
"""Distance of two thresholds of the grid, as a share of the threshold: finer than the steps of TCP's ladder."""
RUN_LENGTHS = 20.0
"""Minimum length of a run, in thresholds; in a shorter one its end would cut off too many of the gaps."""
ROUND_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
TINY = 1e-12
PRECISION = 1e-6
FLEET = "the fleet"
"""Name of all nodes together; no group can have it, because it contains a space."""
DAY_H = 24.0
INTERVALS = ("false_stale", "false_stale_network")
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Goal:
    """Limits of a hub's false stales per node-day and of its detection time (p99), s.

    `unit` is the one in which the rate was stated, such as "node-week"; empty: the shortest in which it is at least 1.
    """

    max_false_stale_per_node_day: float
    max_detection_s: float
    unit: str = ""


DEFAULT_GOAL = Goal(max_false_stale_per_node_day=1 / 7, max_detection_s=90.0)


class Per(enum.StrEnum):
    """Whether each group must meet a goal, or the fleet."""

    GROUP = "group"
    FLEET = "fleet"


@dataclass(frozen=True, slots=True)
class ThresholdFigures:
    """The figures of one threshold for some nodes, see `frontier`; an interval is None if it is not known."""

    stale_after_s: float
    false_stale: int
    false_stale_per_node_day: float
    mistake_duration_s: float
    mistake_recurrence_s: float
    query_accuracy: float
    detection_p50_s: float
    detection_p90_s: float
    detection_p99_s: float
    flaps_per_node_hour: float
    flaps_per_hour: float
    flashes_per_hour: float
    flapping_entries: int
    flapping_nodes: int
    false_stale_dispersion: float
    false_stale_network_per_node_day: float
    false_stale_ci: Interval | None
    false_stale_network_ci: Interval | None

    @property
    def best_estimate(self) -> float:
        """False stales per node-day on the network of greatest likelihood, or in the trace."""
        known = self.false_stale_network_per_node_day
        return self.false_stale_per_node_day if math.isnan(known) else known

    @property
    def deciding_interval(self) -> Interval | None:
        """The interval that decides, per node-day: the network's, or the simulation's if that is not known."""
        return self.false_stale_network_ci or self.false_stale_ci


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What to set, and why.

    Attributes:
        met: whether the recommended threshold meets the goal.
        current_s: current threshold, s; None if unknown.
        recommended_s: lowest threshold that meets the goal, or the closest, s.
        fleet: frontier of all nodes together: one row per threshold.
        groups: frontier of each group, with the same thresholds.
        hours: how long each group's network was observed, h; groups whose network was not observed are missing.
        coincidence: the finding that nodes seem to share outages, if there is one.
        recorded: whether the evidence is an imported trace, so that nothing was simulated.
        interval_s: the longest usual time between two heartbeats of a node, s; None if unknown.
        readings: the recommendation in each reading of an imported log, by its name; empty if there is only one.
        reading: name of the reading that decides, which is the worst.
        tails: what the log of each group says about longer gaps; empty for a run.
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
    interval_s: float | None = None
    readings: Mapping[str, "Recommendation"] = field(default_factory=dict)
    reading: str = ""
    tails: Mapping[str, LogTail] = field(default_factory=dict)

    @property
    def judged(self) -> Mapping[str, pd.DataFrame]:
        """The frontiers that must meet the goal."""
        return self.groups if self.per is Per.GROUP or len(self.groups) == 1 else {FLEET: self.fleet}

    @property
    def settings_s(self) -> list[float]:
        """The current threshold, if known, and the recommended one, s; only one if they are equal."""
        return list(dict.fromkeys(s for s in (self.current_s, self.recommended_s) if s is not None))

    def rows(self, stale_after_s: float) -> dict[str, ThresholdFigures]:
        """Return a threshold's figures by group, and for the fleet if there are several groups."""
        frames = self.groups if len(self.groups) == 1 else {**self.groups, FLEET: self.fleet}
        return {name: figures_at(frame, stale_after_s) for name, frame in frames.items()}

    def decides(self, stale_after_s: float) -> tuple[str, ThresholdFigures]:
        """Return the group that misses the goal most, or meets it by least, at a threshold, and its figures."""
        row = row_number(self.fleet, stale_after_s)

        def badness(name: str) -> tuple[float, float]:
            frame = self.judged[name]
            return float(misses(frame, self.goal)[:, row].max()), float(upper_end(frame).sum())

        name = max(self.judged, key=badness)
        return name, figures_at(self.judged[name], stale_after_s)

    def hours_watched(self) -> float | None:
        """Return how long the deciding group's network was observed, h; for a fleet, that of the least observed."""
        name, _ = self.decides(self.recommended_s)
        return self.hours.get(name, min(self.hours.values(), default=None) if name == FLEET else None)

    def hours_needed(self) -> float | None:
        """Return how long to observe the network, h, to show that the goal is met, if its rate is the estimated one.

        The shortest time after which Garwood's upper end of the expected count meets the goal at the recommended
        threshold, with the dispersion of the trace. None if the goal is met, or if no time would be enough.
        """
        _, row = self.decides(self.recommended_s)
        if self.met or row.detection_p99_s > self.goal.max_detection_s:
            return None
        unit = row.false_stale_dispersion
        days = node_days_needed(row.best_estimate / unit, self.goal.max_false_stale_per_node_day / unit)
        return None if days is None else days * DAY_H


def node_days_needed(rate: float, allowed: float) -> float | None:
    """Return the node-days of observation until the upper end of a rate is at most `allowed`; None if never.

    Both are per node-day. With no event, Garwood's upper end of 95% is 3.69 events.
    """
    if rate >= allowed or allowed <= TINY:
        return None

    def excess(days: float) -> float:
        return float(poisson_interval(np.array([rate * days]))[0, 1]) / days - allowed

    first = 3.0 / allowed  # too short even without an event
    last = 2 * first
    while excess(last) > 0:
        first, last = last, 2 * last
    while last - first > last * PRECISION:
        middle = (first + last) / 2
        first, last = (middle, last) if excess(middle) > 0 else (first, middle)
    return last


def grid(usual_gap_s: float, current_s: float | None, max_detection_s: float, duration_s: float) -> list[float]:
    """Return the thresholds to evaluate, s, ascending and rounded; `current_s` is among them.

    They range from the usual gap, below which a node flaps with every heartbeat, to well beyond the goal and the
    current threshold, if the run is long enough for that.
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
    """Return one row per threshold: `Qos.frame()` with intervals of the false stales per node-day.

    false_stale_low and _high are the simulation's interval; false_stale_dispersion is the variance of counts relative
    to Poisson counts; false_stale_network_per_node_day, _low and _high are the network's estimate and interval, NaN if
    it was not observed.
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
    """Choose a threshold of the frontiers, which have the same ones; the arguments are attributes of the result."""
    found = Recommendation(goal, per, False, current_s, math.nan, fleet, groups, hours)
    often, late = np.max([misses(each, goal) for each in found.judged.values()], axis=0)
    good = np.flatnonzero((often <= 1) & (late <= 1))
    chosen = good[0] if len(good) else int(np.argmin(np.where(late <= 1, often, math.inf))) if min(late) <= 1 else 0
    return replace(found, met=len(good) > 0, recommended_s=float(fleet.stale_after_s.iloc[chosen]))


def upper_end(frame: pd.DataFrame) -> NDArray[np.float64]:
    """Return the upper end of the network's interval, or else of the simulation's, at each threshold, per node-day.

    At thresholds too far beyond a log for an interval it is that of the furthest which has one: rates fall with the
    threshold, so it is a bound, and no threshold is good because nothing is known of it.
    """
    known = frame.sort_values("stale_after_s", kind="stable").false_stale_network_high.ffill()
    return known.reindex(frame.index).fillna(frame.false_stale_high).to_numpy(float)


def misses(frame: pd.DataFrame, goal: Goal) -> NDArray[np.float64]:
    """Return false stales and detection time as multiples of the goal, shape (2, k); at most 1 meets it."""
    false_stale = upper_end(frame) / max(goal.max_false_stale_per_node_day, TINY)
    detection = frame.detection_p99_s.to_numpy(float) / max(goal.max_detection_s, TINY)
    return np.array([false_stale, detection])


def row_number(frame: pd.DataFrame, stale_after_s: float) -> int:
    """Return the row of a threshold of the grid."""
    return int(np.flatnonzero(frame.stale_after_s == stale_after_s)[0])


def figures_at(frame: pd.DataFrame, stale_after_s: float) -> ThresholdFigures:
    """Return the figures of one threshold of a frontier."""
    (found,) = figures_of(frame[frame.stale_after_s == stale_after_s])
    return found


def figures_of(frame: pd.DataFrame) -> list[ThresholdFigures]:
    """Return the figures of each threshold of a frontier."""
    names = [field.name for field in fields(ThresholdFigures) if not field.name.endswith("_ci")]
    intervals = [zip(frame[f"{name}_low"], frame[f"{name}_high"], strict=True) for name in INTERVALS]
    return [
        ThresholdFigures(*row, *(None if math.isnan(high) else (low, high) for low, high in ends))
        for row, *ends in zip(frame[names].itertuples(index=False), *intervals, strict=True)
    ]
