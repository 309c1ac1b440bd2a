"""A test for a change of a rate: Page's cumulative sum (CUSUM) over counts of equal blocks of time.

    S_b = max(0, S_{b-1} + w_b)        w_b = (x_b ln r − (r − 1) μ_b) / d, at most LARGEST_STEP of the limit

(Page, "Continuous inspection schemes", Biometrika 41, 1954, section 2). x_b is the count of block b, μ_b its
expectation without a change, and w_b the log likelihood ratio of a Poisson count at r times the rate. Outages come in
clumps: they hit several nodes at once, and bad hours follow each other. So a count is taken as d times a Poisson count
of mean μ/d, as in `intervals`; d is the largest dispersion over blocks of 1, 2, 4 ... of the earlier part, as long as
it has SMALLEST_SAMPLE of them.

Limit: S crosses ln(1/a) within m blocks with probability of at most m a without a change, because that takes, from one
of the m blocks on, a likelihood ratio that ever reaches 1/a, which has a probability of at most a (Ville, "Étude
critique de la notion de collectif", 1939). With a = FALSE_ALARMS / (charts × blocks of a week), that is FALSE_ALARMS
within a week, for Poisson counts of clumps whose true rate is at most the upper end of the interval that they are
compared with (for fewer: at least the lower). Looks at a log that grows only come near to that: each lays its blocks
anew and knows more of the earlier part, and the first has BLOCKS blocks already. So the limit is made for a look per
block, and `analysis/validation/watch.py` tries it.

Without a change S falls on average as long as the true rate is below (r − 1) / ln r times that of the comparison: for
more, 1.44 times the upper end of its interval. One block alone, such as one outage of the whole fleet, never decides.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.intervals import SMALLEST_SAMPLE, dispersed_interval, dispersion
from heartbench.analysis.promise.counts import BLOCKS

Floats = NDArray[np.float64]

WEEK_S = 7 * 86_400.0
FALSE_ALARMS = 0.01
"""Probability of a false alarm within a week, over all charts, that the limit is made for."""
MORE, FEWER = 2.0, 0.5
"""Changes of a rate that the charts are made for: twice, and half."""
LARGEST_STEP = 0.34
"""Largest share of the limit by which one block raises S: three blocks decide, or more."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate per node-day: its best estimate, its interval, and the dispersion of its counts."""

    low: float
    best: float
    high: float
    dispersion: float

    @classmethod
    def of(cls, events: NDArray[np.integer], days: Floats) -> "Rate":
        """Return the rate of B blocks of time, from their counts and node-days."""
        spread = dispersion_over_time(events, days)
        total, watched = int(events.sum()), float(days.sum())
        low, high = dispersed_interval(np.array([total]), watched, np.array([spread]))[0]
        return cls(float(low), total / watched if watched else math.nan, float(high), spread)


@dataclass(frozen=True, slots=True)
class Chart:
    """S after each block of the recent part, the limit that it must not cross, and the ratio that it is made for."""

    sums: Floats
    limit: float
    ratio: float

    @property
    def crossed(self) -> bool:
        """Whether a change is shown."""
        return bool(np.any(self.sums >= self.limit))

    @property
    def begins(self) -> int:
        """Block after which S was last 0 before its maximum: the estimate of when the change began."""
        peak = int(np.argmax(self.sums))
        zero = np.flatnonzero(self.sums[: peak + 1] <= 0)
        return int(zero[-1]) + 1 if len(zero) else 0


def dispersion_over_time(events: NDArray[np.integer], days: Floats) -> float:
    """Return the largest dispersion of the counts of B blocks, over sums of 1, 2, 4 ... blocks; at least 1."""
    largest, width = 1.0, 1
    while (whole := len(events) // width) >= SMALLEST_SAMPLE:
        binned, watched = (each[-whole * width :].reshape(whole, width).sum(1) for each in (events, days))
        largest = max(largest, float(dispersion(binned[:, None], watched)[0]))
        width *= 2
    return largest


def limit_of(charts: int, block_s: float) -> float:
    """Return the limit of each of some charts that are looked at together; see the module."""
    return math.log(charts * WEEK_S / block_s / FALSE_ALARMS)


def chart(events: NDArray[np.integer], days: Floats, before: Rate, ratio: float, limit: float) -> Chart:
    """Return the chart of some blocks against the rate before: its upper end for more events, its lower for fewer."""
    expected = days * (before.high if ratio > 1 else before.low)
    steps = (events * math.log(ratio) - (ratio - 1) * expected) / before.dispersion
    total, sums = 0.0, np.zeros(len(events))
    for number, step in enumerate(np.minimum(steps, LARGEST_STEP * limit)):
        total = max(0.0, total + float(step))
        sums[number] = total
    return Chart(sums, limit, ratio)


def blocks_to_notice(before: Rate, days_of_a_block: float, limit: float) -> float:
    """Return after how many blocks a doubled rate crosses the limit, on average; infinite if after more than BLOCKS."""
    doubled = MORE * before.best * math.log(MORE) - (MORE - 1) * before.high
    step = min(doubled * days_of_a_block / before.dispersion, LARGEST_STEP * limit)
    blocks = math.ceil(limit / step) if step > 0 else math.inf
    return blocks if blocks <= BLOCKS else math.inf
