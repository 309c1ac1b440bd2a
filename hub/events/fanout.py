"""Events in one order for all, a bounded queue for each who listens, and a bounded log for those who come back.

Publishing never waits: a subscriber that reads too slowly loses the *oldest* of what waits for it (the newest says how
things are), and is told how many at the place where they are missing. Who comes back asks for what came after (epoch,
seq): it is in the log, or the subscriber is told that it is not. No I/O: a subscriber is woken by a callback.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

from heartbench.hub.errors import BadMessageError, NoRoomError
from heartbench.hub.events.types import Body, Event, EventsLost, LogBegan


def nothing() -> None:
    """Wake nobody."""


class Subscription:
    """What waits for one subscriber. `wake` is called when something came to an empty queue."""

    __slots__ = ("_first", "_last_lost", "_limit", "_queue", "_unsaid", "lost", "node_id", "wake")

    def __init__(self, limit: int, node_id: str = "", wake: Callable[[], None] = nothing) -> None:
        self.node_id = node_id
        self.wake = wake
        self.lost = 0  # in all
        self._limit = limit
        self._queue: deque[Event] = deque()
        self._first: Event | None = None  # told before all else
        self._last_lost: Event | None = None
        self._unsaid = 0  # lost and not yet told

    def offer(self, event: Event) -> None:
        """Queue an event if it is wanted, in place of the oldest where the queue is full."""
        if self.node_id and event.node_id not in ("", self.node_id):
            return
        if len(self._queue) == self._limit:
            self._last_lost = self._queue.popleft()
            self._unsaid += 1
            self.lost += 1
        self._queue.append(event)
        if len(self._queue) == 1:
            self.wake()

    def resume(self, first: Event | None, missed: Iterable[Event]) -> None:
        """Begin with something that must be said first, and with missed events, which get room beside the queue's."""
        self._first = first
        self._queue.extend(event for event in missed if not self.node_id or event.node_id in ("", self.node_id))
        self._limit += len(self._queue)

    def take(self) -> Event | None:
        """The next event, after what must be said before it; None if nothing waits."""
        if self._first is not None:
            first, self._first = self._first, None
            return first
        if self._last_lost is not None:
            last, self._last_lost = self._last_lost, None
            count, self._unsaid = self._unsaid, 0
            return Event(last.seq, last.at_s, EventsLost(count))
        return self._queue.popleft() if self._queue else None

    def __len__(self) -> int:
        return len(self._queue)


class EventFanout:
    """Numbers events and hands them to all who subscribed."""

    def __init__(self, queue_limit: int, log_limit: int = 1, most: int = 1000, epoch: int = 0) -> None:
        self.seq = 0
        self.epoch = epoch
        self._queue_limit = queue_limit
        self._log: deque[Event] = deque(maxlen=log_limit)
        self._most = most
        self._subscriptions: set[Subscription] = set()
        self._lost_by_those_who_left = 0

    @property
    def lost(self) -> int:
        """Events that subscribers lost, in all."""
        return self._lost_by_those_who_left + sum(subscription.lost for subscription in self._subscriptions)

    def publish(self, at_s: float, body: Body) -> Event:
        """Number an event, keep it, and queue it for each who wants it."""
        self.seq += 1
        event = Event(self.seq, at_s, body)
        self._log.append(event)
        for subscription in self._subscriptions:
            subscription.offer(event)
        return event

    @contextmanager
    def subscribe(
        self, node_id: str = "", wake: Callable[[], None] = nothing, after: tuple[int, int] | None = None
    ) -> Iterator[Subscription]:
        """Listen to one node or (empty) to all; from now on, or from what came `after` (epoch, seq).

        Raises:
            NoRoomError: There are as many subscribers as are allowed.
            BadMessageError: `after` lies ahead.
        """
        if len(self._subscriptions) >= self._most:
            raise NoRoomError(f"{self._most} subscribers listen; HUB_MAX_SUBSCRIBERS allows no more")
        subscription = Subscription(self._queue_limit, node_id, wake)
        if after is not None:
            subscription.resume(*self._missed(*after))
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
            self._lost_by_those_who_left += subscription.lost

    def _missed(self, epoch: int, seq: int) -> tuple[Event | None, Iterable[Event]]:
        """What to tell first to one who knows everything up to `seq`, and what came since."""
        if epoch != self.epoch:
            return Event(self.seq, 0.0, LogBegan(epoch)), ()
        if seq > self.seq:
            raise BadMessageError(f"after_seq={seq} lies ahead of epoch {epoch}; allowed is up to {self.seq}")
        oldest = self.seq - len(self._log) + 1
        gone = max(0, oldest - seq - 1)
        first = Event(oldest - 1, 0.0, EventsLost(gone)) if gone else None
        return first, islice(self._log, max(0, seq + 1 - oldest), None)

    def __len__(self) -> int:
        return len(self._subscriptions)
