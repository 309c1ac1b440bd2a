"""When the next heartbeat of a node is expected, from the arrivals of its last ones: the first half of NFD-E.

From Chen, Toueg and Aguilera, "On the quality of service of failure detectors" (IEEE Transactions on Computers 51(5),
May 2002), for clocks that are not synchronized. With A_i the arrival of the heartbeat with sequence number s_i, η the
heartbeat interval, n the number of heartbeats remembered, and l the greatest sequence number received,

    EA_{l+1} ≈ (1/n) Σ (A_i − η · s_i) + (l + 1) · η,   over the n most recent heartbeats

As in the source, every heartbeat with a new greatest sequence number counts, whatever silence came before it, and one
that was overtaken does not. Three things are not in the source:

- There each node sends heartbeat i at time i · η. Our nodes number the heartbeats that they send, and send none while
  they have no stream. So a Hello empties the window. This is also why nothing of it is stored for a restart of the hub:
  it ends every stream, and each node's next message is a Hello.
- Any message is a sign of life and makes a node online. If EA is already past when it comes (heartbeats that TCP held
  back arrive together), the next heartbeat is expected now: max(EA, arrival).
- While the window is empty, the next heartbeat is expected one interval after the arrival.
"""

from math import inf

from heartbench.hub.liveness.window import Window
from heartbench.mesh.kinds import Kind


class ExpectedArrival:
    """The heartbeats of one node with their numbers, over windows of one or more sizes."""

    __slots__ = ("_interval_s", "_newest", "_shift_s", "_windows")

    def __init__(self, interval_s: float, *sizes: int) -> None:
        self._interval_s = interval_s
        self._newest = 0
        self._shift_s = 0.0  # the greatest mean of A_i − η · s_i over the windows
        self._windows = tuple(Window(size) for size in sizes)  # of A_i − η · s_i

    def observe(self, at: float, seq: int, kind: Kind) -> float | None:
        """Record a sign of life; return how much later than expected a heartbeat came, s; None: it was not expected."""
        late_s = None
        if kind is Kind.HEARTBEAT and seq > self._newest:
            if self._newest:
                late_s = at - self._expected_s(seq)
            self._newest, self._shift_s = seq, -inf
            for window in self._windows:
                window.add(at - self._interval_s * seq)
                self._shift_s = max(self._shift_s, window.mean)
        elif kind is Kind.HELLO:
            self._newest = 0
            for window in self._windows:
                window.clear()
        return late_s

    def next_s(self, at: float) -> float:
        """Return when the next heartbeat is expected after a sign of life at `at`, by the window that expects it last.

        In s; never before `at`.
        """
        if not self._newest:
            return at + self._interval_s
        return max(self._expected_s(self._newest + 1), at)

    def _expected_s(self, seq: int) -> float:
        return self._shift_s + self._interval_s * seq
