"""What a store is: the place where a hub's histories and node records outlive the hub.

The rules that every store keeps, and `tests/hub/store/test_contract.py` holds them to:

1. `write` returns when the whole batch is as safe as the store can make it, or raises and may be repeated: what had
   arrived in spite of the error is recognised by its position, and is not there twice.
2. Of each node a store holds one run of chunks in order, to the newest. It begins at `oldest` of the last write or a
   bounded number of chunks before it: a history of the same bounds, restored from it, is the history that was.
3. Opening a store begins an epoch, greater than all before it. A store of an older epoch writes nothing any more:
   `FencedError`. So a hub that was stopped, and wakes after another took its place, can do no harm.

A store blocks, and is called from one thread at a time: `writer.py` keeps it away from the event loop.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from heartbench.hub.errors import HubError
from heartbench.hub.store.history import START, Position, StoredChunk
from heartbench.hub.store.record import NodeRecord


class StoreUnavailableError(HubError):
    """The store cannot be reached or has no room; the same write may succeed later."""


class StoreLostError(StoreUnavailableError):
    """The store works but holds less than it had confirmed, as a Redis that restarted from an old snapshot."""


class FencedError(HubError):
    """Another hub has opened the store since: this one must not write, and acknowledges nothing."""


class Durability(Enum):
    """When a chunk is acknowledged to the node that sent it."""

    BUFFERED = "buffered"
    """As soon as it is queued in the hub's memory: what was not yet written is lost with the process."""
    COMMITTED = "committed"
    """When the store has it: SQLite's commit returned, Redis replied."""


@dataclass(frozen=True, slots=True)
class NodeWrite:
    """What a batch holds for one node; its parts are applied in the order of the fields.

    Attributes:
        node_id: Whose.
        anew: Drop all that is stored of this node first; with nothing else, this forgets the node.
        after: The newest position that the store confirmed before, as the hub remembers it.
        chunks: What to append, in order. Those that are not after the stored newest position are passed over.
        newest: The newest position when all of this is written, whether or not its chunk is still held.
        oldest: Where the history begins now: chunks before it may go.
        record: Takes the place of the stored one; None: leave that as it is.
    """

    node_id: str
    anew: bool = False
    after: Position = START
    chunks: Sequence[StoredChunk] = ()
    newest: Position = START
    oldest: Position = START
    record: NodeRecord | None = None

    @property
    def forgets(self) -> bool:
        """Whether nothing of the node is to be left."""
        return self.anew and self.newest == START and self.record is None


@dataclass(frozen=True, slots=True)
class StoredNode:
    """What a store held of one node; `newest` is the last position it confirmed, `START` where there was none."""

    node_id: str
    record: NodeRecord | None
    chunks: Sequence[StoredChunk]
    newest: Position


class Store(Protocol):
    """Histories and node records that outlive the hub. Open when constructed."""

    @property
    def epoch(self) -> int:
        """Of this opening; grows with each."""

    def load(self) -> Iterator[StoredNode]:
        """All that is held, node by node. Called before the first write."""

    def write(self, batch: Sequence[NodeWrite]) -> None:
        """Make a batch durable, each node at most once in it.

        Raises:
            StoreUnavailableError: Not now; the batch may be repeated.
            StoreLostError: The store has to be told everything anew.
            FencedError: Never again.
        """

    def close(self) -> None:
        """Let go of files and connections; safe to call twice."""
