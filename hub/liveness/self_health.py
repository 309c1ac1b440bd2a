"""The hub's own health: did it run at all while a node was silent?

The ticker is due at a known time. If it is later than tolerated, the process was stopped, the machine suspended, or the
event loop held up, and no message could be read meanwhile. The first call after that, for a message or a tick, gives
the lost time to every online node before anything is judged; each moment of a pause is given once. (Compare Lifeguard's
local health, `awareness.go` in hashicorp/memberlist: a member that finds itself slow gives the others more time.)
"""

from collections.abc import Callable
from dataclasses import dataclass

from heartbench.hub.liveness.node import Node
from heartbench.hub.liveness.registry import Registry
from heartbench.hub.work.rolling_quantiles import RollingQuantiles

TICK_S = 0.1
"""Time between two ticks, s: a stale node is found up to this much late, and a pause is measured as coarsely."""

CATCH_UP_S = 5.0
"""Least time that a node has left after a pause, s (its whole threshold if that is less): what waits in the sockets
must be read before any node is judged."""

LAGS_KEPT = 600
"""A minute of ticks."""

Move = Callable[[Node, float, float], None]


@dataclass(frozen=True, slots=True)
class Paused:
    """The hub did not run for `lasted_s` and extended every deadline by that time."""

    lasted_s: float


class PauseDetector:
    """Extends deadlines by the time in which the hub did not run; `move(node, deadline_s, now)` does it for a node."""

    def __init__(self, registry: Registry, tolerated_s: float, now: float, move: Move) -> None:
        self.suspect_s = 0.0  # a time later than this means a pause
        self.pauses = 0
        self.paused_s = 0.0
        self.lag_s = RollingQuantiles(LAGS_KEPT)
        self._registry = registry
        self._tolerated_s = tolerated_s
        self._move = move
        self._due_s = now
        self._given_until_s = now
        self._expect(now + TICK_S)

    def check(self, now: float) -> Paused | None:
        """Extend all deadlines by a pause of the hub that ends `now`, unless the ticker is within its tolerance."""
        if now <= self.suspect_s:
            return None
        lost_s = now - self._given_until_s
        self.pauses += self._given_until_s == self._due_s
        self.paused_s += lost_s
        self._given_until_s = now
        self.suspect_s = now + self._tolerated_s
        for node in self._registry.online():
            at_least_s = now + min(CATCH_UP_S, node.threshold_s)
            self._move(node, max(node.deadline_s + lost_s, at_least_s), now)
        return Paused(lost_s)

    def tick(self, now: float) -> None:
        """Record a tick and its lag; the next is due in TICK_S."""
        self.lag_s.add(max(0.0, now - self._due_s))
        self._expect(now + TICK_S)

    def _expect(self, due_s: float) -> None:
        self._due_s = self._given_until_s = due_s
        self.suspect_s = due_s + self._tolerated_s
