"""The last n values of something, with their mean and standard deviation, for O(1) a value and 8 bytes each.

Sums are kept as values come and go. Each time the ring has been filled once more they are computed afresh, so that
rounding errors do not add up over the life of a node.
"""

from array import array
from collections.abc import Iterable
from math import sqrt

MOST = 1e9
"""Greatest stored value that is taken over: the squares of far greater ones have no sum."""


class Window:
    """The last `size` values."""

    __slots__ = ("_next", "_size", "_squares", "_total", "_values")

    def __init__(self, size: int, values: Iterable[float] = ()) -> None:
        self._size = size
        self._values = array("d")
        self._next = 0  # the oldest of a full window
        self._total = self._squares = 0.0
        for value in values:
            self.add(value)

    def __len__(self) -> int:
        return len(self._values)

    def add(self, value: float) -> None:
        """Add a value; the oldest leaves a full window."""
        values = self._values
        if len(values) < self._size:
            values.append(value)
            self._total += value
            self._squares += value * value
            return
        oldest = values[self._next]
        values[self._next] = value
        self._total += value - oldest
        self._squares += value * value - oldest * oldest
        self._next += 1
        if self._next == self._size:
            self._next = 0
            self._total = sum(values)
            self._squares = sum(each * each for each in values)

    def clear(self) -> None:
        """Remove all values."""
        del self._values[:]
        self._next = 0
        self._total = self._squares = 0.0

    @property
    def mean(self) -> float:
        """Their mean; there must be one."""
        return self._total / len(self._values)

    @property
    def deviation(self) -> float:
        """Their standard deviation, divided by n and not by n - 1; there must be one."""
        mean = self._total / len(self._values)
        return sqrt(max(self._squares / len(self._values) - mean * mean, 0.0))

    def in_order(self) -> tuple[float, ...]:
        """Return the values, oldest first."""
        return (*self._values[self._next :], *self._values[: self._next])

    def restore(self, values: Iterable[float]) -> None:
        """Take over stored values from 0 to MOST, oldest first, unless there is none: a store may be damaged."""
        kept = [value for value in values if 0 <= value <= MOST]
        if kept:
            self.clear()
            for value in kept:
                self.add(value)
