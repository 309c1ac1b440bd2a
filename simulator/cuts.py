"""Cuts of a link by order of the scenario: partitions, holds and flaps.

A cut is a row of columns, times in s; columns that are 0 make it a partition of both directions:

    from, to       when it is in force
    only           0: it cuts both directions; 1 + UP or 1 + DOWN: that one alone
    holds          0: packets are dropped; 1: they are kept, and released together, in order, when it ends
    period, down   0: it cuts all the time; else only in the first `down` of each `period`
"""

from collections.abc import Sequence
from math import floor, inf, nan

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator.kernel import kernel, part
from heartbench.simulator.record import Array

FROM, TO, ONLY, HOLDS, PERIOD, DOWN_FOR = range(6)
COLUMNS = 6


def rows_of(cuts: Sequence[tuple[float, ...]]) -> NDArray[np.float64]:
    """Return the rows of cuts whose last columns may be left out: shape (cuts, COLUMNS)."""
    rows = np.zeros((len(cuts), COLUMNS))
    for row, cut in zip(rows, cuts, strict=True):
        row[: len(cut)] = cut
    return rows


@part
def _until(cut: Array[float], direction: int, t: float) -> float:
    """Return when a cut that lets nothing pass in `direction` at `t` ends, in s, or -inf if it lets packets pass."""
    if not cut[FROM] <= t < cut[TO] or (cut[ONLY] > 0.0 and cut[ONLY] != 1.0 + direction):
        return -inf
    if cut[PERIOD] == 0.0:
        return cut[TO]
    ends = cut[FROM] + floor((t - cut[FROM]) / cut[PERIOD]) * cut[PERIOD] + cut[DOWN_FOR]
    return min(ends, cut[TO]) if t < ends else -inf


@part
def is_cut(cuts: Array[Array[float]], count: int, direction: int, t: float) -> bool:
    """Return whether one of the first `count` cuts lets nothing pass in `direction` at `t`."""
    for i in range(count):  # noqa: SIM110 (Numba compiles no generator inside a kernel)
        if _until(cuts[i], direction, t) > t:
            return True
    return False


@kernel
def released(cuts: Array[Array[float]], count: int, direction: int, t: float) -> float:
    """Return when the cuts in force at `t` pass a packet on, in s, or NaN if one of them drops it."""
    at = t
    for i in range(count):
        until = _until(cuts[i], direction, t)
        if until > t:
            if cuts[i][HOLDS] == 0.0:
                return nan
            at = max(at, until)
    return at
