"""The statuses of a node, and why they change.

    status    goes to    when
    online    stale      the deadline passed without a sign of life
    online    offline    Goodbye
    stale     online     a sign of life, or several: hold_down.py       stale <-> online is a flap
    stale     offline    Goodbye
    offline   online     a Hello

A deadline comes from a detector (`detector.py`); the registry expires it (`registry.py`, `_expire_deadlines`). A node
is stale *after* its deadline; a sign of life exactly at the deadline is in time. Which nodes are flapping is decided by
a flap rule (`flap_rules.py`).
"""

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
