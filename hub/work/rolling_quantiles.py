"""Quantiles of the last measurements, in bounded memory."""

from collections import deque


class RollingQuantiles:
    """The last `size` values of a repeated measurement."""

    def __init__(self, size: int = 512) -> None:
        self._values: deque[float] = deque(maxlen=size)

    def add(self, value: float) -> None:
        """Add a measurement, and drop the oldest if there are more than `size`."""
        self._values.append(value)

    def quantile(self, p: float) -> float:
        """Return the value that a share `p` (0 to 1) of the last measurements does not exceed; 0 before the first."""
        if not self._values:
            return 0.0
        ordered = sorted(self._values)
        return ordered[min(len(ordered) - 1, int(p * len(ordered)))]
