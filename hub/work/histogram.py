"""Counts of a repeated measurement by size, as Prometheus adds them up over time and over many hubs."""

from bisect import bisect_left
from collections.abc import Sequence


class Histogram:
    """Counts values by the first of `bounds` (ascending) that is not less than the value; constant memory."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)  # the last one: greater than all bounds
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def copy(self) -> "Histogram":
        """Return one with the same counts, which counts nothing more."""
        other = Histogram(self.bounds)
        other.counts, other.total = self.counts.copy(), self.total
        return other
