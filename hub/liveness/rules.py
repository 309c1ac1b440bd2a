"""The statuses of a node, and when it counts as flapping.

    status    goes to    when
    online    stale      the deadline passed without a sign of life
    online    offline    Goodbye
    stale     online     a sign of life                                 stale <-> online is a flap
    stale     offline    Goodbye
    offline   online     a Hello

A deadline comes from a detector (`detector.py`); the registry expires it (`registry.py`, `_expire_deadlines`). A node
is stale *after* its deadline; a sign of life exactly at the deadline is in time.

A flap counts while its age is less than `window_s`. A node is flapping from the flap that brings the count to
`threshold` until the count falls below `exit_below`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Status(StrEnum):
    """The state of a node."""

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


class Change(NamedTuple):
    """Something about a node changed; the fields hold the node's state from `at_s` (s, monotonic) on."""

    at_s: float
    node_id: str
    status: Status
    connected: bool
    flapping: bool
    reason: Reason


class MoveReason(StrEnum):
    """Why a deadline was moved without a sign of life."""

    PAUSE = "pause"
    """The hub was paused and could not receive."""
    MASS_SILENCE = "mass_silence"
    """The hub suspects its own network."""
    RESTART_GRACE = "restart_grace"
    """The hub has just started."""


@dataclass(frozen=True, slots=True)
class FlapRule:
    """When a node is flapping; `times` are its flaps (s, ascending)."""

    window_s: float
    threshold: int
    exit_below: int

    def remembered(self, times: tuple[float, ...], at: float) -> tuple[float, ...]:
        """Return the flaps that count at `at`."""
        return tuple(time for time in times if time + self.window_s > at)

    def enters(self, times: tuple[float, ...]) -> bool:
        """Return whether these remembered flaps mark a node."""
        return len(times) >= self.threshold

    def stays(self, times: tuple[float, ...]) -> bool:
        """Return whether these flaps keep a mark."""
        return len(times) >= self.exit_below

    def leaves_at(self, times: tuple[float, ...]) -> float:
        """Return when the mark that these flaps keep is removed if no other flap comes, s."""
        return times[-self.exit_below] + self.window_s
