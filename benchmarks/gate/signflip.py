"""An exact test for paired log-ratios that is robust against outliers.

A pair is the log of (time of one process of the head / time of one process of the base). The order of the processes
within a round is random, so if the two revisions do not differ, a pair is as likely to be x as -x: flipping signs gives
2**n equally likely samples, and the p-value counts those that are at least as extreme. The test needs no normality, no
variance and no large n, and its level holds exactly.

    score(x, centre) = (x - centre) cut to ±c, in whole hundredths of c;  c = median |x - centre|
    p(centre)        = share of the 2**n sign flips of the scores whose positive part is at least the one observed

Any odd score keeps the test exact, so this one was chosen for power (`simulate.py`): cut at the median, scores lose
next to nothing on normal pairs, and detect 82 instead of 72 of 100 slowdowns of 3% if one process in thirty is
disturbed. With whole hundredths the flips are counted by n additions of arrays instead of being enumerated.

The interval contains all centres that the test does not reject; the estimate is the centre at which the scores balance.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

HUNDREDTHS = 100
STEPS = 20
"""Bisections: to a millionth of the range, far below what can be measured."""

Ratios = NDArray[np.float64]


def p_above(pairs: Ratios, centre: float) -> float:
    """Return the p-value of "the true log-ratio is at most `centre`": small if the pairs lie above it."""
    scores = _scores(pairs, centre)
    counts = _flips(np.abs(scores))
    return float(counts[int(scores[scores > 0].sum()) :].sum() / 2.0 ** len(scores))


def p_below(pairs: Ratios, centre: float) -> float:
    """Return the p-value of "the true log-ratio is at least `centre`"."""
    return p_above(-pairs, -centre)


def smallest_p(pairs: int) -> float:
    """Return the smallest possible p-value of this number of pairs: all of one sign."""
    return 2.0**-pairs


def pairs_needed(level: float) -> int:
    """Return the number of pairs from which on a p-value can be at most `level`."""
    return max(1, math.ceil(-math.log2(level)))


def estimate(pairs: Ratios) -> float:
    """Return the log-ratio about which the scores balance."""
    low, high = float(pairs.min()), float(pairs.max())
    return _bisect(lambda centre: int(_scores(pairs, centre).sum()) > 0, low, high)


def lower_limit(pairs: Ratios, level: float) -> float:
    """Return the largest log-ratio that the pairs lie above at one-sided `level`; -inf if there are too few pairs."""
    if smallest_p(len(pairs)) > level:
        return -math.inf
    reach = float(np.ptp(pairs)) or 1e-9
    return _bisect(lambda low: p_above(pairs, low) <= level, float(pairs.min()) - reach, float(pairs.max()))


def interval(pairs: Ratios, confidence: float = 0.95) -> tuple[float, float]:
    """Return the limits of the log-ratios that the two-sided test at 1 - `confidence` does not reject."""
    tail = (1 - confidence) / 2
    return lower_limit(pairs, tail), -lower_limit(-pairs, tail)


def _scores(pairs: Ratios, centre: float) -> NDArray[np.int64]:
    """Return the integer scores of the pairs about `centre`, in their order."""
    distance = pairs - centre
    size = np.abs(distance)
    # If more than half of the pairs lie exactly on the centre, any other counts in full.
    cut = float(np.median(size)) or float(size.max()) or 1.0
    return np.rint(HUNDREDTHS * (np.clip(distance, -cut, cut) / cut)).astype(np.int64)


def _flips(sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the number of the 2**n sign flips with a positive part of 0, 1, 2, … (exact up to 53 pairs)."""
    counts = np.zeros(int(sizes.sum()) + 1)
    counts[0], reached = 1.0, 0
    for size in sizes.tolist():
        counts[size : reached + size + 1] += counts[: reached + 1].copy()
        reached += size
    return counts


def _bisect(above: Callable[[float], bool], low: float, high: float) -> float:
    """Return the border in [low, high] below which `above` holds."""
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if above(middle) else (low, middle)
    return (low + high) / 2
