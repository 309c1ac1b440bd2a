"""Lengths of many gaps in bounded memory: each exact for as long as they are few, then counted in narrow bins.

A bin is 1/2048 of a length wide, and keeps the number and the sum of its lengths. So totals stay exact, and a quantile,
of the lengths or of the age of the last sign of life, is off by at most 0.05% of a gap.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EXACT = 1 << 23
"""Lengths that are kept one by one: 64 MiB."""
BINS_PER_E = 2048
SHORTEST_S, LONGEST_S = 1e-6, 1e12
BINS = int(np.log(LONGEST_S / SHORTEST_S) * BINS_PER_E) + 1


class GapLengths:
    """Lengths that were added block by block, s."""

    def __init__(self, exact: int = EXACT) -> None:
        self._exact, self._parts, self._held = exact, [np.zeros(0)], 0
        self._counts: Floats | None = None
        self._sums_s = np.zeros(0)

    def add(self, lengths_s: Floats) -> None:
        """Add lengths, s."""
        if self._counts is None and self._held + len(lengths_s) <= self._exact:
            self._parts.append(lengths_s)
            self._held += len(lengths_s)
            return
        if self._counts is None:
            self._counts, self._sums_s = np.zeros(BINS), np.zeros(BINS)
        for part in (*self._parts, lengths_s):
            place = (np.log(np.clip(part, SHORTEST_S, LONGEST_S) / SHORTEST_S) * BINS_PER_E).astype(np.int32)
            self._counts += np.bincount(place, minlength=BINS)
            self._sums_s += np.bincount(place, part, BINS)
        self._parts = []

    def lengths(self) -> tuple[Floats, Floats | None]:
        """Return lengths, s, and how many gaps each stands for; None: one."""
        if self._counts is None:
            return np.concatenate(self._parts), None
        some = np.flatnonzero(self._counts)
        return self._sums_s[some] / self._counts[some], self._counts[some]

    def median(self) -> float:
        """Return the median, s; NaN without a length."""
        lengths_s, counts = self.lengths()
        if counts is None:
            return float(np.median(lengths_s)) if len(lengths_s) else np.nan
        below = np.cumsum(counts)
        return float(lengths_s[np.searchsorted(below, below[-1] / 2)])
