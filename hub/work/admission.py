"""Admission of new streams: how many per second, and when the others may retry.

When a hub restarts, all nodes connect at once. A bucket of `per_s` tokens, one second deep, admits as many as the hub
can serve. Each of the others gets the next free slot behind all that were throttled before it, with some jitter: they
retry as fast as they can be served, and no faster. (Hubs with 10,000 nodes that gave all of them the same retry time
never converged: gravitational/teleport issue 6255.)

One peer that comes far more often than the others does not make them wait:

- A peer that was admitted RESERVED_SHARE of the rate within this second gets only tokens above a reserve, the rest of
  the bucket. So others find tokens at once, and a fleet behind one address is still admitted at the whole rate.
- Slots are given to peers in turns: while k peers wait, the slots of each are k / `per_s` apart.
"""

from collections import Counter
from collections.abc import Callable
from heapq import heappop, heappush

JITTER = 0.2
LONGEST_S = 60.0
RESERVED_SHARE = 0.5


class Admission:
    """A token bucket and retry slots. `draw` returns numbers in [0, 1); times in s, monotonic."""

    def __init__(self, per_s: float, draw: Callable[[], float], now: float) -> None:
        self.per_s = per_s
        self._draw = draw
        self._tokens = self._depth
        self._filled_s = now
        self._second_s = now  # when the present second began, in which each peer was admitted so often:
        self._admitted: Counter[str] = Counter()
        self._last_slot_s: dict[str, float] = {}  # of each peer that waits
        self._waiting: list[tuple[float, str]] = []  # a heap: one entry for each, at or before its slot

    @property
    def _depth(self) -> float:
        return max(1.0, self.per_s)

    def ask(self, now: float, peer: str = "") -> float:
        """Admit a stream and return 0, or return the time after which it may retry, s; no `peer`: it is not known."""
        if self.per_s == 0:
            return 0.0
        self._refill(now)
        often = bool(peer) and self._depth > 1 and self._admitted[peer] >= RESERVED_SHARE * self._depth
        if self._tokens >= 1 + often * (1 - RESERVED_SHARE) * self._depth:
            self._tokens -= 1
            self._admitted[peer] += 1
            return 0.0
        return (self._next_slot(now, peer) - now) * (1 + JITTER * self._draw())

    def _refill(self, now: float) -> None:
        self._tokens = min(self._depth, self._tokens + (now - self._filled_s) * self.per_s)
        self._filled_s = now
        if now - self._second_s >= 1:
            self._second_s = now
            self._admitted.clear()

    def _next_slot(self, now: float, peer: str) -> float:
        slots, waiting = self._last_slot_s, self._waiting
        while waiting and waiting[0][0] <= now:
            _, other = heappop(waiting)
            if slots[other] > now:
                heappush(waiting, (slots[other], other))
            else:
                del slots[other]
        last_s = slots.get(peer, now)
        turn_s = (len(slots) + (peer not in slots)) / self.per_s
        slots[peer] = min(last_s + turn_s, now + LONGEST_S)
        if len(waiting) < len(slots):
            heappush(waiting, (slots[peer], peer))
        return slots[peer]
