"""Two nodes with one name: streams of it that replace each other again and again.

A node that reconnects replaces a stream of its own now and then, if the hub has not noticed yet that the old one is
dead. Clones do it all the time: each ends the other's stream, and comes back at once. So after MOST takeovers within
WINDOW_S the name is *contested*: the stream that is open keeps it, and every other Hello of the name must wait. That
ends once no other Hello has come for WINDOW_S. No I/O, no clock.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

MOST = 10
"""An honest node needs a dead connection for each takeover, and some seconds to notice that."""

WINDOW_S = 60.0


@dataclass(slots=True)
class Name:
    """A name whose stream was taken over lately."""

    taken_s: deque[float] = field(default_factory=lambda: deque(maxlen=MOST))
    asked_s: float = 0.0


class Takeovers:
    """The names of which a stream was replaced within WINDOW_S; `draw` returns numbers in [0, 1), for jitter."""

    def __init__(self, draw: Callable[[], float]) -> None:
        self.contested: set[str] = set()
        self._draw = draw
        self._names: dict[str, Name] = {}  # the one that was asked for longest ago first

    def ask(self, node_id: str, now: float) -> float:
        """Allow a stream to replace the open one of its name and return 0, or return when it may retry, s."""
        name = self._names.pop(node_id) if node_id in self._names else Name()
        self._names[node_id] = name
        name.asked_s = now
        if node_id not in self.contested:
            if len(name.taken_s) < MOST or now - name.taken_s[0] >= WINDOW_S:
                name.taken_s.append(now)
                return 0.0
            self.contested.add(node_id)
        return WINDOW_S * (0.25 + 0.5 * self._draw())

    def forget(self, node_id: str) -> None:
        """Forget a name."""
        self._names.pop(node_id, None)
        self.contested.discard(node_id)

    def expire(self, now: float) -> list[str]:
        """Forget the names that nobody else has asked for lately; return those that were contested."""
        over = []
        while self._names:
            node_id, name = next(iter(self._names.items()))
            if name.asked_s + WINDOW_S >= now:
                break
            if node_id in self.contested:
                over.append(node_id)
            self.forget(node_id)
        return over
