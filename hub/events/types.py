"""What the hub tells: small typed events. Times are in s on the hub's monotonic clock."""

from dataclasses import dataclass

from heartbench.hub.liveness.rules import Reason, Status


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
class Forgotten:
    """A node was removed for good."""

    node_id: str


@dataclass(frozen=True, slots=True)
class Paused:
    """The hub could not hear for this time, and gave every node so much longer."""

    lasted_s: float


@dataclass(frozen=True, slots=True)
class MassSilenceBegan:
    """So many of the online nodes fell silent together that the hub suspects its own network."""

    silent: int
    online: int


@dataclass(frozen=True, slots=True)
class MassSilenceEnded:
    """Of the nodes silent at its beginning, so many were heard again; `gave_up`: its greatest length ended it."""

    heard_again: int
    silent: int
    lasted_s: float
    gave_up: bool


@dataclass(frozen=True, slots=True)
class StoreChanged:
    """How it stands with the store, in its own word, and what it said."""

    state: str
    error: str


@dataclass(frozen=True, slots=True)
class EventsLost:
    """So many events are missing before the next one: the subscriber read too slowly, or came back too late."""

    count: int


@dataclass(frozen=True, slots=True)
class LogBegan:
    """The subscriber asked for events of another epoch: this is another log, and its numbers begin anew."""

    asked_epoch: int


Body = Change | Forgotten | Paused | MassSilenceBegan | MassSilenceEnded | StoreChanged | EventsLost | LogBegan


@dataclass(frozen=True, slots=True)
class Event:
    """An event and its place in the hub's order: `seq` counts from 1 without gaps.

    EventsLost and LogBegan have no place of their own: they carry the `seq` before the next event.
    """

    seq: int
    at_s: float
    body: Body

    @property
    def node_id(self) -> str:
        """The node that it is about; empty: all."""
        return self.body.node_id if isinstance(self.body, Change | Forgotten) else ""
