"""What the hub tells: small typed events. Times are in s on the hub's monotonic clock."""

from dataclasses import dataclass

from heartbench.hub.liveness import Reason, Status


@dataclass(frozen=True, slots=True)
class Change:
    """Something about a node changed, and what it is since then."""

    at_s: float
    node_id: str
    status: Status
    connected: bool
    flapping: bool
    reason: Reason


@dataclass(frozen=True, slots=True)
class EventsLost:
    """A subscriber read too slowly: so many events were dropped before the next one."""

    count: int


Body = Change | EventsLost


@dataclass(frozen=True, slots=True)
class Event:
    """An event and its place in the hub's order: `seq` counts from 1 without gaps.

    Of EventsLost it is the `seq` of the last event that was lost.
    """

    seq: int
    at_s: float
    body: Body
