"""The difference between one node and its store: one node's part of the queue in front of the store.

The queue holds no copies: chunks wait in the node's history, and a write takes what the history holds after the saved
position. So a write that is retried after an outage of the store carries the newest chunks and none that the history
dropped meanwhile, and a store that lost everything is restored by resetting the saved position.
"""

from asyncio import Future
from collections import deque
from dataclasses import dataclass, field

from heartbench.hub.store.history import START, History, Position
from heartbench.hub.store.protocol import NodeWrite
from heartbench.hub.store.record import NodeRecord


@dataclass(slots=True)  # not frozen: one is made for each chunk, and takes a third of the time so
class Pending:
    """A chunk that is not yet saved: its position, its size, and the future that resolves when it is."""

    position: Position
    size_bytes: int
    saved: "Future[None]"


@dataclass(slots=True)
class Unsaved:
    """The difference between a node and what its store confirmed."""

    node_id: str
    history: History | None = None
    saved: Position = START
    record: NodeRecord | None = None
    anew: bool = False
    pending: deque[Pending] = field(default_factory=deque)

    def follow(self, history: History) -> None:
        """Take chunks from this history from now on; what it holds already is saved."""
        if self.history is not history:
            self.history, self.saved = history, history.newest

    def rewrite(self, history: History | None, record: NodeRecord | None) -> None:
        """Start over: the store has lost everything of the node."""
        self.history, self.saved, self.anew = history, START, True
        self.record = self.record or record

    def to_write(self) -> NodeWrite:
        """Return the write that saves everything that is not saved now."""
        history = self.history
        if history is None:
            return NodeWrite(self.node_id, self.anew, record=self.record)
        return NodeWrite(
            self.node_id, self.anew, self.saved, history.after(self.saved), history.newest, history.oldest, self.record
        )

    def confirm(self, write: NodeWrite) -> list[Pending]:
        """Record that the store has this write, and return the chunks that are saved by it."""
        self.anew = False
        self.saved = max(self.saved, write.newest)
        if self.record is write.record:
            self.record = None
        confirmed = []
        while self.pending and self.pending[0].position <= write.newest:
            confirmed.append(self.pending.popleft())
        return confirmed

    @property
    def is_saved(self) -> bool:
        """Whether the store has everything."""
        saved = self.history is None or self.history.newest <= self.saved
        return saved and self.record is None and not self.anew and not self.pending
