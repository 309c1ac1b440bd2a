"""False stales against detection time: what each detector costs if all must notice a power loss equally soon.

A detector has many parameters, of which one, its *knob*, trades false stales for detection time; a `Family` is all the
detectors that differ in it alone. `setting_for` turns the knob so far that the detection time (by default its p99) just
meets a goal, on some gaps; `outcome` judges the setting, on those gaps or on others. To judge on the gaps by which it
was set would flatter whatever adapts most.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from heartbench.analysis.gaps import Gaps
from heartbench.analysis.intervals import LEVEL, rate_interval
from heartbench.analysis.qos import DAY_S, Qos, judge
from heartbench.hub import (
    Bertier,
    Chen,
    DetectorParameters,
    FixedTimeout,
    HubSettings,
    Phi,
    PhiExponential,
    PolicySpec,
    TwoWindow,
)

Floats = NDArray[np.float64]

FLAPS = HubSettings.of().policy.flap_rule
"""Of no effect on what is compared here."""
TURNS = 13
"""Halvings of a knob's range, in ratio."""

Detection = Callable[[Gaps, PolicySpec, Qos], float]
"""Returns the detection time of a policy that was judged on gaps, s."""


def detection_p99(_: Gaps, __: PolicySpec, qos: Qos) -> float:
    """Return the 99th percentile of the detection time over power losses at uniform times, s."""
    return float(qos.detection_s(0.99)[0])


@dataclass(frozen=True, slots=True)
class Family:
    """Detectors that differ in one parameter alone; detection takes longer the greater it is."""

    detector: str
    with_knob: Callable[[float], DetectorParameters]
    low: float
    high: float


def families(interval_s: float) -> list[Family]:
    """Return the families of all detectors, for nodes with this heartbeat interval, s."""
    low_s, high_s, least_s = interval_s / 1000, 100 * interval_s, interval_s / 100
    return [
        Family("fixed", FixedTimeout, low_s, high_s),
        Family("chen", lambda margin_s: Chen(margin_s, 32), low_s, high_s),
        Family("chen", lambda margin_s: Chen(margin_s, 1000), low_s, high_s),
        Family("two-window", lambda margin_s: TwoWindow(margin_s, 1, 32), low_s, high_s),
        Family("two-window", lambda margin_s: TwoWindow(margin_s, 1, 1000), low_s, high_s),
        Family("bertier", lambda phi: Bertier(phi=phi, min_margin_s=least_s, window=32), 0.01, 1000.0),
        Family("bertier", lambda phi: Bertier(phi=phi, min_margin_s=least_s), 0.01, 1000.0),
        Family("bertier", lambda phi: Bertier(phi=phi, gamma=0.01, min_margin_s=least_s), 0.01, 1000.0),
        Family("phi", lambda phi: Phi(phi, 1000, interval_s / 20), 0.1, 300.0),
        Family("phi", lambda pause_s: Phi(8.0, 1000, interval_s / 20, pause_s), low_s, high_s),
        Family("phi-exponential", lambda phi: PhiExponential(phi, 1000), 0.1, 300.0),
    ]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a detector fared on some gaps.

    Attributes:
        parameters: of the detector.
        detection_s: its detection time, s.
        mistakes: times that a node was marked stale while up; shape (nodes,).
        up_s: time for which each node was up and watched, s; shape (nodes,).
        per_node_day: false stales per node-day, and the ends of its 95% interval (of the simulation).
    """

    parameters: DetectorParameters
    detection_s: float
    mistakes: NDArray[np.int64]
    up_s: Floats
    per_node_day: tuple[float, float, float]

    def less(self, other: "Outcome") -> tuple[float, float]:
        """Return the 95% interval of how many more false stales per node-day `other` had, on the same gaps.

        Nodes are taken to be independent (Student's t over them).
        """
        days = self.up_s / DAY_S
        difference = (other.mistakes - self.mistakes).astype(float)
        mean = difference.sum() / days.sum()
        error = np.std(difference - mean * days, ddof=1) / sqrt(len(days)) / days.mean()
        half = float(student.ppf((1 + LEVEL) / 2, len(days) - 1)) * error
        return float(mean - half), float(mean + half)


def outcome(
    gaps: Gaps, parameters: DetectorParameters, duration_s: float, detection: Detection = detection_p99
) -> Outcome:
    """Return how a detector fares on these gaps."""
    policy = PolicySpec(parameters, FLAPS)
    qos = judge(gaps, [policy], duration_s)
    days = qos.up_s / DAY_S
    low, high = rate_interval(qos.mistakes, days, independent=True)[0]
    rate = float(qos.mistakes.sum() / days.sum())
    by_node = qos.mistakes.sum((1, 2)).astype(np.int64)
    found = (rate, float(low), float(high))
    return Outcome(parameters, detection(gaps, policy, qos), by_node, qos.up_s.sum(1), found)


def setting_for(
    gaps: Gaps, family: Family, goal_s: float, duration_s: float, detection: Detection = detection_p99
) -> Outcome | None:
    """Return the slowest setting that meets a goal of detection on these gaps; None if even the fastest misses it."""
    low, high = family.low, family.high
    found = outcome(gaps, family.with_knob(low), duration_s, detection)
    if found.detection_s > goal_s:
        return None
    for _ in range(TURNS):
        middle = sqrt(low * high)
        tried = outcome(gaps, family.with_knob(middle), duration_s, detection)
        if tried.detection_s <= goal_s:
            low, found = middle, tried
        else:
            high = middle
    return found


def best_settings(
    gaps: Gaps, tried: Sequence[Family], goal_s: float, duration_s: float, detection: Detection = detection_p99
) -> dict[str, Outcome]:
    """Return for each detector the setting that meets a goal with the fewest false stales on these gaps."""
    best: dict[str, Outcome] = {}
    for family in tried:
        found = setting_for(gaps, family, goal_s, duration_s, detection)
        if found and (family.detector not in best or found.per_node_day < best[family.detector].per_node_day):
            best[family.detector] = found
    return best
