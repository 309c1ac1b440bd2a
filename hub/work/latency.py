"""Latency of heartbeats: from the node's clock when it sent one, to the hub's when it read it.

Two wall clocks are compared, so the error of the node's clock is part of it. What cannot be a latency (negative, or
over LONGEST_S) is a clock error: it is counted apart, and leaves the rest as it is.
"""

from heartbench.hub.work.histogram import Histogram

BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0)
LONGEST_S = 600.0


class HeartbeatLatency:
    """The latencies of all heartbeats that carry the time at which they were sent."""

    __slots__ = ("clock_errors", "offset_s", "seconds")

    def __init__(self) -> None:
        self.offset_s = 0.0  # of the wall clock to the monotonic one; kept current from outside
        self.seconds = Histogram(BOUNDS_S)
        self.clock_errors = 0

    def add(self, now: float, sent_unix_s: float) -> None:
        """Count a heartbeat that was read at `now` (s, monotonic)."""
        latency_s = now + self.offset_s - sent_unix_s
        if 0.0 <= latency_s <= LONGEST_S:
            self.seconds.add(latency_s)
        else:
            self.clock_errors += 1
