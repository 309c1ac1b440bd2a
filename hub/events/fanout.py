"""The event fan-out: one order for all, a bounded queue per subscriber, and a bounded log for those that return.

Publishing never waits: a subscriber that reads too slowly loses the *oldest* events in its queue, because the newest
hold the current state, and gets their number in their place. A subscriber that returns asks for the events after
(epoch, seq): it gets them from the log, or an event that reports them lost. No I/O: a callback wakes a subscriber.
Times are in s on the hub's monotonic clock.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

from heartbench.hub.errors import BadMessageError, NoRoomError
from heartbench.hub.liveness.mass_silence import MassSilenceBegan, MassSilenceEnded
from heartbench.hub.liveness.rules import Change
from heartbench.hub.liveness.self_health import Paused
from heartbench.hub.work.shares import Shares


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
class NameContested:
    """Streams of one name replace each other: `holder` keeps it, `other` and further ones must wait.

    Both are addresses. `over`: for a while no other has come.
    """

    node_id: str
    holder: str = ""
    other: str = ""
    over: bool = False


@dataclass(frozen=True, slots=True)
class EventsLost:
    """`count` events are missing before the next one: the subscriber read too slowly, or came back too late."""

    count: int


@dataclass(frozen=True, slots=True)
class LogBegan:
    """The subscriber asked for events of another epoch; this log is a new one, and its numbers start at 1."""

    asked_epoch: int


Announcement = (
    Forgotten | NameContested | Paused | MassSilenceBegan | MassSilenceEnded | StoreChanged | EventsLost | LogBegan
)
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
        return self.body.node_id if isinstance(self.body, Change | Forgotten | NameContested) else ""


class Subscription:
    """The events that wait for one subscriber. `wake` is called when an event comes to an empty queue."""

    __slots__ = ("_first", "_last_lost", "_limit", "_queue", "_unreported", "lost", "node_id", "wake")

    def __init__(self, limit: int, node_id: str = "", wake: Callable[[], object] = lambda: None) -> None:
        self.node_id = node_id
        self.wake = wake
        self.lost = 0  # in all
        self._limit = limit
        self._queue: deque[Event] = deque()
        self._first: Event | None = None  # delivered before all others
        self._last_lost: Event | None = None
        self._unreported = 0  # lost and not yet reported

    def offer(self, event: Event) -> None:
        """Queue an event that the subscriber wants, in place of the oldest if the queue is full."""
        if self.node_id and event.node_id not in ("", self.node_id):
            return
        if len(self._queue) == self._limit:
            self._last_lost = self._queue.popleft()
            self._unreported += 1
            self.lost += 1
        self._queue.append(event)
        if len(self._queue) == 1:
            self.wake()

    def resume(self, first: Event | None, missed: Iterable[Event]) -> None:
        """Begin with `first`, if any, and with missed events, which do not count against the queue's limit."""
        self._first = first
        self._queue.extend(event for event in missed if not self.node_id or event.node_id in ("", self.node_id))
        self._limit += len(self._queue)

    def take(self) -> Event | None:
        """Return the next event, or the report of lost ones before it; None if nothing waits."""
        if self._first is not None:
            first, self._first = self._first, None
            return first
        if self._last_lost is not None:
            last, self._last_lost = self._last_lost, None
            count, self._unreported = self._unreported, 0
            return Event(last.seq, last.at_s, EventsLost(count))
        return self._queue.popleft() if self._queue else None

    def __len__(self) -> int:
        return len(self._queue)


class EventFanout:
    """Numbers events and queues them for all subscribers."""

    def __init__(
        self, queue_limit: int, log_limit: int = 1, most: int = 1000, epoch: int = 0, peer_share: float = 1.0
    ) -> None:
        self.seq = 0
        self.epoch = epoch
        self._queue_limit = queue_limit
        self._log: deque[Event] = deque(maxlen=log_limit)
        self._most = most
        self._of_peer = Shares(most, peer_share)
        self._subscriptions: set[Subscription] = set()
        self._lost_before = 0

    @property
    def lost(self) -> int:
        """Events that subscribers lost, in total."""
        return self._lost_before + sum(subscription.lost for subscription in self._subscriptions)

    def publish(self, at_s: float, body: Body) -> Event:
        """Number an event, log it, and queue it for each subscriber that wants it."""
        self.seq += 1
        event = Event(self.seq, at_s, body)
        self._log.append(event)
        for subscription in self._subscriptions:
            subscription.offer(event)
        return event

    @contextmanager
    def subscribe(
        self,
        node_id: str = "",
        wake: Callable[[], object] = lambda: None,
        after: tuple[int, int] | None = None,
        peer: str = "",
    ) -> Iterator[Subscription]:
        """Subscribe to one node or (empty) to all; from now on, or from the events `after` (epoch, seq).

        Raises NoRoomError if there are HUB_MAX_SUBSCRIBERS subscribers, or this peer has its share of them,
        BadMessageError if `after` lies ahead.
        """
        self._of_peer.check(peer, "subscriptions")
        if len(self._subscriptions) >= self._most:
            raise NoRoomError(f"there are {self._most} subscribers; HUB_MAX_SUBSCRIBERS allows no more")
        subscription = Subscription(self._queue_limit, node_id, wake)
        if after is not None:
            subscription.resume(*self._missed(*after))
        self._subscriptions.add(subscription)
        self._of_peer.add(peer)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
            self._of_peer.remove(peer)
            self._lost_before += subscription.lost

    def _missed(self, epoch: int, seq: int) -> tuple[Event | None, Iterable[Event]]:
        """Return what a subscriber that has everything up to `seq` gets first, and the events since."""
        if epoch != self.epoch:
            return Event(self.seq, 0.0, LogBegan(epoch)), ()
        if seq > self.seq:
            raise BadMessageError(f"after_seq={seq} lies ahead of epoch {epoch}; use {self.seq} or less")
        oldest = self.seq - len(self._log) + 1
        gone = max(0, oldest - seq - 1)
        first = Event(oldest - 1, 0.0, EventsLost(gone)) if gone else None
        return first, islice(self._log, max(0, seq + 1 - oldest), None)

    def __len__(self) -> int:
        return len(self._subscriptions)
