"""The one place where monotonic and wall clock meet.

All deadlines are on the monotonic clock, all that is stored or shown is on the wall clock. The offset is read anew for
each conversion: the wall clock may be set while the hub runs, and a deadline must not care.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """Where the hub's time comes from."""

    def monotonic(self) -> float:
        """Time now, s, never set back."""
        ...

    def unix(self, at_s: float) -> float:
        """A monotonic time as s since the Unix epoch."""
        ...

    def at(self, unix_s: float) -> float:
        """A wall-clock time as monotonic time, s; of times before the machine started it is negative."""
        ...


class SystemClock:
    """The clocks of this machine."""

    monotonic = staticmethod(time.monotonic)

    def unix(self, at_s: float) -> float:
        """A monotonic time as s since the Unix epoch."""
        return time.time() + (at_s - time.monotonic())

    def at(self, unix_s: float) -> float:
        """A wall-clock time as monotonic time, s."""
        return time.monotonic() + (unix_s - time.time())


class ManualClock:
    """A clock that stands until it is told to go on: for tests and for simulated time."""

    def __init__(self, now_s: float = 0.0, unix_offset_s: float = 1_700_000_000.0) -> None:
        self.now_s = now_s
        self.unix_offset_s = unix_offset_s

    def monotonic(self) -> float:
        """Time as last told, s."""
        return self.now_s

    def unix(self, at_s: float) -> float:
        """A monotonic time as s since the Unix epoch."""
        return at_s + self.unix_offset_s

    def at(self, unix_s: float) -> float:
        """A wall-clock time as monotonic time, s."""
        return unix_s - self.unix_offset_s
