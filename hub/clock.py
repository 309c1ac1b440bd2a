"""The conversion between monotonic and wall clock.

All deadlines are on the monotonic clock; everything stored or shown is on the wall clock. The offset is read for each
conversion: the wall clock may be set while the hub runs, and that must move no deadline. The two clocks are read one
after the other, so an offset that differs by less than READING_S is the same: one moment has one time on the wall
clock, and two moments have theirs in the same order.
"""

import time

READING_S = 1e-5
"""Between the two readings passes 0.1 µs, and some µs on a busy machine."""


class Clock:
    """The clocks of this machine."""

    monotonic = staticmethod(time.monotonic)

    def __init__(self) -> None:
        self._offset_s = time.time() - time.monotonic()

    def unix(self, at_s: float) -> float:
        """Return a monotonic time in s since the Unix epoch."""
        offset_s = time.time() - time.monotonic()
        if abs(offset_s - self._offset_s) > READING_S:
            self._offset_s = offset_s
        return at_s + self._offset_s

    def at(self, unix_s: float) -> float:
        """Return a wall-clock time as monotonic time, s; negative for times before the machine started."""
        return time.monotonic() + (unix_s - time.time())


class ManualClock(Clock):
    """A clock that only moves when it is set: for tests and for simulated time."""

    def __init__(self, now_s: float = 0.0, unix_offset_s: float = 1_700_000_000.0) -> None:
        self.now_s = now_s
        self.unix_offset_s = unix_offset_s

    def monotonic(self) -> float:  # noqa: D102
        return self.now_s

    def unix(self, at_s: float) -> float:  # noqa: D102
        return at_s + self.unix_offset_s

    def at(self, unix_s: float) -> float:  # noqa: D102
        return unix_s - self.unix_offset_s
