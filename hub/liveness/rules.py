"""When a node counts as gone, and when it counts as flapping: the rules, without the nodes.

A failure detector is one small idea, **a deadline**: after each sign of life it says by when the next must have come.
A node is stale *after* its deadline; a sign of life at the very deadline is in time.

    status    goes to    when
    online    stale      the deadline passed without a sign of life
    online    offline    Goodbye
    stale     online     a sign of life                                 stale <-> online is a flap
    stale     offline    Goodbye
    offline   online     a Hello

A flap is remembered for `window_s`: it counts while its age is less than that. A node is flapping from the flap that
brings the count to `threshold` until the count falls below `exit_below`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Status(StrEnum):
    """What the hub says of a node."""

    ONLINE = "online"
    STALE = "stale"
    OFFLINE = "offline"


class Reason(StrEnum):
    """Why a status, the connection or the flapping mark changed."""

    REGISTERED = "registered"
    HEARD = "heard"
    SILENCE = "silence"
    GOODBYE = "goodbye"
    CONNECTED = "connected"
    STREAM_ENDED = "stream_ended"
    REPLACED = "replaced"
    FLAPS_ENTRY = "flaps_entry"
    FLAPS_EXIT = "flaps_exit"


class MoveReason(StrEnum):
    """Why a deadline was moved without a sign of life."""

    PAUSE = "pause"
    """The hub could not hear."""
    MASS_SILENCE = "mass_silence"
    """The hub suspects its own network."""
    RESTART_GRACE = "restart_grace"
    """The hub has just started."""


class Detector(Protocol):
    """A failure detector of one node."""

    def heartbeat(self, at: float) -> float:
        """A sign of life came at `at` (s, monotonic): the deadline (s) of the next one."""
        ...


@dataclass(frozen=True, slots=True)
class FixedTimeout:
    """Stale after a fixed silence. It remembers nothing, so that one serves all nodes."""

    stale_after_s: float

    def heartbeat(self, at: float) -> float:
        """The deadline is `stale_after_s` later."""
        return at + self.stale_after_s


@dataclass(frozen=True, slots=True)
class FlapRule:
    """When a node is flapping; `times` are its flaps (s, ascending)."""

    window_s: float
    threshold: int
    exit_below: int

    def remembered(self, times: tuple[float, ...], at: float) -> tuple[float, ...]:
        """Those of the flaps that count at `at`."""
        return tuple(time for time in times if time + self.window_s > at)

    def enters(self, times: tuple[float, ...]) -> bool:
        """Whether so many remembered flaps mark a node."""
        return len(times) >= self.threshold

    def stays(self, times: tuple[float, ...]) -> bool:
        """Whether so many flaps keep a mark."""
        return len(times) >= self.exit_below

    def leaves_at(self, times: tuple[float, ...]) -> float:
        """When the mark, which these flaps keep, is taken away if no other comes (s)."""
        return times[-self.exit_below] + self.window_s
