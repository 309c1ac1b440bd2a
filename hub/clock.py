"""The conversion between monotonic and wall clock.

All deadlines are on the monotonic clock; everything stored or shown is on the wall clock. The offset is read for each
conversion: the wall clock may be set while the hub runs, and that must move no deadline. The clocks are read one after
the other, so an offset that differs by less than READING_S is the same, and one that took longer to read is not used.
So while the wall clock is not set, one moment has one time on it, and two moments have theirs in the same order.
"""

import time

READING_S = 1e-5
"""A reading takes 0.1 µs, and some µs on a busy machine; longer if another process has the core in between."""


class Clock:
    """The clocks of this machine."""

    monotonic = staticmethod(time.monotonic)

    def __init__(self) -> None:
        self._offset_s = time.time() - time.monotonic()

    def unix(self, at_s: float) -> float:
        """Return a monotonic time in s since the Unix epoch."""
        return at_s + self._offset()

    def at(self, unix_s: float) -> float:
        """Return a wall-clock time as monotonic time, s; negative for times before the machine started."""
        return unix_s - self._offset()

    def _offset(self) -> float:
        """Return the wall clock less the monotonic one, s."""
        before_s, unix_s, after_s = time.monotonic(), time.time(), time.monotonic()
        offset_s = unix_s - before_s
        if after_s - before_s <= READING_S < abs(offset_s - self._offset_s):
            self._offset_s = offset_s
        return self._offset_s


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
