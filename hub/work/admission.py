"""Admission of new streams: how many per second, and when the others may retry.

When a hub restarts, all nodes connect at once. A bucket of `per_s` tokens, one second deep, admits as many as the hub
can serve. Each of the others gets the next free slot behind all that were throttled before it, with some jitter: they
retry as fast as they can be served, and no faster. (Hubs with 10,000 nodes that gave all of them the same retry time
never converged: gravitational/teleport issue 6255.)
"""

from collections.abc import Callable

JITTER = 0.2
LONGEST_S = 60.0


class Admission:
    """A token bucket and the next free retry slot. `draw` returns numbers in [0, 1); times in s, monotonic."""

    def __init__(self, per_s: float, draw: Callable[[], float], now: float) -> None:
        self.refused = 0
        self._per_s = per_s
        self._draw = draw
        self._tokens = max(1.0, per_s)
        self._filled_s = now
        self._last_slot_s = now

    def ask(self, now: float) -> float:
        """Admit a stream and return 0, or return the time after which it may retry, s."""
        if self._per_s == 0:
            return 0.0
        depth = max(1.0, self._per_s)
        self._tokens = min(depth, self._tokens + (now - self._filled_s) * self._per_s)
        self._filled_s = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        self.refused += 1
        self._last_slot_s = min(max(self._last_slot_s, now) + 1 / self._per_s, now + LONGEST_S)
        return (self._last_slot_s - now) * (1 + JITTER * self._draw())
