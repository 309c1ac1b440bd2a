"""Events in one order for all, and a bounded queue for each who listens.

Publishing never waits: a subscriber that reads too slowly loses the *oldest* of what waits for it (the newest says how
things are), and is told how many at the place where they are missing. No I/O: a subscriber is woken by a callback.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from heartbench.hub.events import Body, Event, EventsLost


def nothing() -> None:
    """Wake nobody."""


class Subscription:
    """What waits for one subscriber. `wake` is called when something came to an empty queue."""

    __slots__ = ("_last_lost", "_limit", "_queue", "_unsaid", "lost", "node_id", "wake")

    def __init__(self, limit: int, node_id: str = "", wake: Callable[[], None] = nothing) -> None:
        self.node_id = node_id
        self.wake = wake
        self.lost = 0  # in all
        self._limit = limit
        self._queue: deque[Event] = deque()
        self._unsaid = 0  # lost and not yet told
        self._last_lost: Event | None = None

    def offer(self, event: Event) -> None:
        """Queue an event, in place of the oldest where the queue is full."""
        if len(self._queue) == self._limit:
            self._last_lost = self._queue.popleft()
            self._unsaid += 1
            self.lost += 1
        self._queue.append(event)
        if len(self._queue) == 1:
            self.wake()

    def take(self) -> Event | None:
        """The next event, first of all what was lost before it; None if nothing waits."""
        if self._last_lost is not None:
            last, self._last_lost = self._last_lost, None
            count, self._unsaid = self._unsaid, 0
            return Event(last.seq, last.at_s, EventsLost(count))
        return self._queue.popleft() if self._queue else None

    def __len__(self) -> int:
        return len(self._queue)


class EventBus:
    """Numbers events and hands them to all who subscribed."""

    def __init__(self, queue_limit: int) -> None:
        self.seq = 0
        self.lost = 0  # events that subscribers lost, in all
        self._queue_limit = queue_limit
        self._subscriptions: set[Subscription] = set()

    def publish(self, at_s: float, body: Body) -> Event:
        """Number an event and queue it for each who wants it."""
        self.seq += 1
        event = Event(self.seq, at_s, body)
        node_id = getattr(body, "node_id", "")
        for subscription in self._subscriptions:
            if subscription.node_id in ("", node_id):
                before = subscription.lost
                subscription.offer(event)
                self.lost += subscription.lost - before
        return event

    @contextmanager
    def subscribe(self, node_id: str = "", wake: Callable[[], None] = nothing) -> Iterator[Subscription]:
        """Listen from now on, to one node or (empty) to all."""
        subscription = Subscription(self._queue_limit, node_id, wake)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def __len__(self) -> int:
        return len(self._subscriptions)
