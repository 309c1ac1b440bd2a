"""The distribution of the round-trip time: its least value, and quantiles with intervals.

Round trips that follow each other are alike, so n of them say less than n independent ones would. For each quantile
the share of round trips below it is averaged over blocks of time; from how these averages scatter follows the number of
independent round trips that would scatter as much. The interval is the exact one of that many (Clopper and Pearson),
read from the sorted round trips. It is widened by their resolution, and by what the table of a modelled link, in which
the profile is realised, may differ from the profile's quantiles (TABLE_ERROR).

A network that holds packets in its outages may hold a single probe in a short one. Its answer is late and cannot be
told from jitter. So the lower end is that of the other round trips if all that late were held.
"""

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from heartbench.analysis.fit.model import LEVEL, Estimate
from heartbench.analysis.intervals import share_interval
from heartbench.simulator.delay_table import TABLE_ERROR

Floats = NDArray[np.float64]

CURVE = (
    *(0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.985, 0.99),
    *(0.995, 0.998, 0.999, 0.9995, 0.9999),
)
"""Shares at which a profile states its quantiles."""
SHARES = (0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
"""Shares whose quantiles get an interval."""
MOST_BLOCKS, FEWEST_BLOCKS, LEAST_OF_BLOCK = 48, 5, 60
MOST_RESOLUTION = 0.02
"""Round trips next to each other that differ by a greater share are rare, not coarse."""
FEWEST_BEYOND = 3.0
"""A quantile is given if the independent round trips beyond it are at least as many."""


@dataclass(frozen=True, slots=True)
class Delays:
    """Delays, s.

    Attributes:
        least: the least.
        quantiles: quantiles by their share, as far as the recording carries an interval.
        curve: quantiles at CURVE, as far as there are any round trips beyond.
    """

    least: Estimate
    quantiles: dict[float, Estimate]
    curve: dict[float, float]


def fit_delays(delay_s: Floats, held: int = 0) -> Delays:
    """Return the figures of delays in order of time, s; up to `held` of the longest may be those of short outages."""
    ordered = np.sort(delay_s)
    blocks = int(np.clip(len(delay_s) // LEAST_OF_BLOCK, FEWEST_BLOCKS, MOST_BLOCKS))
    starts = (np.arange(blocks) * len(delay_s)) // blocks
    sizes = np.diff(np.append(starts, len(delay_s)))
    found: dict[float, Estimate] = {}
    for share in SHARES:
        value = float(ordered[_place(share, len(ordered))])
        counts = np.add.reduceat(delay_s <= value, starts, dtype=np.int64)
        count = independent(counts, sizes)
        if min(share, 1 - share) * count < FEWEST_BEYOND:
            continue
        low, high = share_interval(share * count, count, LEVEL)
        ends = ordered[[_place(low, len(ordered) - held), _place(high, len(ordered))]]
        margin = TABLE_ERROR * value + resolution(ordered, value) / 2
        found[share] = Estimate(value, (float(ends[0]) - margin, float(ends[1]) + margin))
    carried = [share for share in CURVE if share <= 1 - 1 / len(ordered)]
    curve = {share: float(ordered[_place(share, len(ordered))]) for share in carried}
    return Delays(_least(ordered, found), found, curve)


def _least(ordered: Floats, quantiles: dict[float, Estimate]) -> Estimate:
    """Return the least delay; the network's may be lower by what separates it from the first quantile."""
    least = float(ordered[0])
    margin = TABLE_ERROR * least
    first = next(iter(quantiles.values()), Estimate(least)).value or least
    return Estimate(least, (max(2 * least - first - margin, 0.0), least + margin))


def independent(counts: NDArray[np.int64], sizes: NDArray[np.int64]) -> float:
    """Return how many independent trials would scatter as the shares of the blocks do; at most as many as there are."""
    total = float(sizes.sum())
    share = counts.sum() / total
    variance = float(((counts - share * sizes) ** 2).sum()) / total**2 * len(sizes) / (len(sizes) - 1)
    if variance <= 0 or not 0 < share < 1:
        return total
    # The variance is itself an estimate: Student's t.
    unsure = (stdtrit(len(sizes) - 1, (1 + LEVEL) / 2) / ndtri((1 + LEVEL) / 2)) ** 2
    return min(float(share * (1 - share) / (variance * unsure)), total)


def resolution(ordered: Floats, value: float) -> float:
    """Return the step between different delays around `value`, s."""
    below, above = np.searchsorted(ordered, value, "left"), np.searchsorted(ordered, value, "right")
    previous, following = ordered[max(int(below) - 1, 0)], ordered[min(int(above), len(ordered) - 1)]
    return min(float(following - previous) / 2, MOST_RESOLUTION * value)


def _place(share: float, count: int) -> int:
    return min(max(ceil(share * count) - 1, 0), count - 1)
