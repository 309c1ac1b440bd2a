"""The events that the hub publishes: small typed bodies, numbered. Times are in s on the hub's monotonic clock."""

from dataclasses import dataclass

from heartbench.hub.liveness.changes import Change, MassSilenceBegan, MassSilenceEnded, Paused

__all__ = [
    "Announcement",
    "Body",
    "Change",
    "Event",
    "EventsLost",
    "Forgotten",
    "LogBegan",
    "MassSilenceBegan",
    "MassSilenceEnded",
    "Paused",
    "StoreChanged",
]


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A node was removed for good."""

    node_id: str


@dataclass(frozen=True, slots=True)
class StoreChanged:
    """The store's state changed (`StoreState`); `error` is the store's message, empty if it works."""

    state: str
    error: str


@dataclass(frozen=True, slots=True)
class EventsLost:
    """`count` events are missing before the next one: the subscriber read too slowly, or came back too late."""

    count: int


@dataclass(frozen=True, slots=True)
class LogBegan:
    """The subscriber asked for events of another epoch; this log is a new one, and its numbers start at 1."""

    asked_epoch: int


Announcement = Forgotten | Paused | MassSilenceBegan | MassSilenceEnded | StoreChanged | EventsLost | LogBegan
Body = Change | Announcement


@dataclass(frozen=True, slots=True)
class Event:
    """An event and its place in the hub's order: `seq` counts from 1 without gaps.

    EventsLost and LogBegan have no number of their own: they carry the `seq` before the next event.
    """

    seq: int
    at_s: float
    body: Body

    @property
    def node_id(self) -> str:
        """The node that the event is about; empty if it is about all."""
        return self.body.node_id if isinstance(self.body, Change | Forgotten) else ""
