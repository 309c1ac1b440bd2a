"""How many streams are let in a second, and when the others are to come back.

When a hub restarts, all nodes come at once, and a hub that serves all of them badly serves none. A bucket of
`per_s` tokens, one second deep, lets in what it can. Each refused node is given the next free place behind all who were
refused before it, with some jitter: so that they come back as fast as they can be served, and no faster. (Hubs with
10,000 nodes that told all of them the same time never converged: gravitational/teleport issue 6255.)
"""

from collections.abc import Callable

JITTER = 0.2
LONGEST_S = 60.0


class Admission:
    """A token bucket, and a queue of promises. `chance` gives numbers in [0, 1); times in s, monotonic."""

    def __init__(self, per_s: float, chance: Callable[[], float], now: float) -> None:
        self.refused = 0
        self._per_s = per_s
        self._chance = chance
        self._tokens = max(1.0, per_s)
        self._filled_s = now
        self._promised_s = now

    def ask(self, now: float) -> float:
        """0: come in. Else: come back in so many s."""
        if self._per_s == 0:
            return 0.0
        depth = max(1.0, self._per_s)
        self._tokens = min(depth, self._tokens + (now - self._filled_s) * self._per_s)
        self._filled_s = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        self.refused += 1
        self._promised_s = min(max(self._promised_s, now) + 1 / self._per_s, now + LONGEST_S)
        return (self._promised_s - now) * (1 + JITTER * self._chance())
