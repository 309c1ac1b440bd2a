"""Chen's detector: expect the next heartbeat from the arrivals of the last ones, and add a constant margin.

Algorithm NFD-E of Chen, Toueg and Aguilera, "On the quality of service of failure detectors" (IEEE Transactions on
Computers 51(5), May 2002), for clocks that are not synchronized. With A_i the arrival of the heartbeat with sequence
number s_i, η the heartbeat interval, n the number of heartbeats remembered, l the greatest sequence number received and
α the margin, the expected arrival EA of the next heartbeat and its deadline τ are

    EA_{l+1} ≈ (1/n) Σ (A_i − η · s_i) + (l + 1) · η,   over the n most recent heartbeats
    τ_{l+1}  = EA_{l+1} + α

As in the source, every heartbeat with a new greatest sequence number counts, whatever silence came before it, and one
that was overtaken does not. Three things are not in the source:

- There each node sends heartbeat i at time i · η. Our nodes number the heartbeats that they send, and send none while
  they have no stream. So a Hello empties the window. This is also why nothing is stored for a restart of the hub: it
  ends every stream, and each node's next message is a Hello.
- Any message is a sign of life and makes a node online. If EA is already past when it comes (heartbeats that TCP held
  back arrive together), the margin counts from the arrival: τ = max(EA, arrival) + α.
- While the window is empty, EA is one interval after the arrival.

`heartbench.analysis.policies.chen` computes the same over arrays.
"""

from collections import deque
from dataclasses import dataclass
from typing import ClassVar

from heartbench.mesh.kinds import Kind


@dataclass(frozen=True, slots=True)
class Chen:
    """Parameters of Chen's detector."""

    name: ClassVar[str] = "chen"

    margin_s: float  # α; higher values give fewer false stales and a longer detection time
    interval_s: float  # η of nodes that do not announce their heartbeat interval
    window: int = 32  # n, the number of heartbeats remembered

    def detector(self, interval_s: float) -> "ChenDetector":
        """Return a detector of one node."""
        return ChenDetector(self.margin_s, interval_s or self.interval_s, self.window)

    def usual_silence_s(self, interval_s: float) -> float:
        """Return the silence allowed when every message takes equally long, s."""
        return (interval_s or self.interval_s) + self.margin_s


class ChenDetector:
    """Chen's detector of one node."""

    name: ClassVar[str] = Chen.name

    __slots__ = ("_interval_s", "_margin_s", "_newest", "_shifts_s")

    def __init__(self, margin_s: float, interval_s: float, window: int) -> None:
        self._margin_s = margin_s
        self._interval_s = interval_s
        self._newest = 0
        self._shifts_s: deque[float] = deque(maxlen=window)  # A_i − η · s_i

    def observe(self, at: float, seq: int, kind: Kind) -> float:
        """Return the deadline of the next sign of life, s."""
        if kind is Kind.HEARTBEAT and seq > self._newest:
            self._newest = seq
            self._shifts_s.append(at - self._interval_s * seq)
        elif kind is Kind.HELLO:
            self._newest = 0
            self._shifts_s.clear()
        if not self._shifts_s:
            return at + self._interval_s + self._margin_s
        expected_s = sum(self._shifts_s) / len(self._shifts_s) + self._interval_s * (self._newest + 1)
        return max(expected_s, at) + self._margin_s

    def deadline_after_restart(self, heard_s: float) -> float:
        """Return the deadline while the window is empty."""
        return heard_s + self._interval_s + self._margin_s

    def state(self, heard_s: float) -> tuple[float, ...]:
        """Return nothing: a restart of the hub ends the stream, and a Hello empties the window."""
        return ()

    def restore(self, state: tuple[float, ...], heard_s: float) -> None:
        """Do nothing: there is no state to continue from."""
