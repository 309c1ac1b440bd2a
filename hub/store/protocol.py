"""The contract of a store, which keeps histories and node records beyond the life of a hub.

The rules that every store keeps, checked by `tests/hub/store/test_contract.py`:

1. `write` returns when the whole batch is as safe as the store can make it, or raises and may be repeated: what
   was stored in spite of the error is recognised by its position, and is not stored twice.
2. Of each node a store holds one run of chunks in order, to the newest. It begins at `oldest` of the last write or a
   bounded number of chunks before it: a history with the same bounds that is restored from it is unchanged.
3. Opening a store begins an epoch, greater than all before it. A store of an older epoch writes nothing more:
   `FencedError`. So a hub that was stopped, and resumes after another replaced it, can do no harm. `check` finds this
   out without a write.

A store blocks and is called from one thread at a time: `writer.py` keeps it away from the event loop.
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
    """The store works but holds less than it had confirmed, like a Redis that restarted from an old snapshot."""


class StoreDamagedError(HubError):
    """The store holds something that no hub of this version has written; the message says what, and what to do."""


class FencedError(HubError):
    """Another hub has opened the store since: this one must not write and acknowledges nothing."""


class Durability(Enum):
    """When a chunk is acknowledged to the node that sent it."""

    BUFFERED = "buffered"
    """When it is queued in the hub's memory: chunks that are not yet written are lost with the process."""
    COMMITTED = "committed"
    """When the store has it: SQLite's commit returned, Redis replied."""


@dataclass(frozen=True, slots=True)
class NodeWrite:
    """The part of a batch for one node; its fields are applied in their order."""

    node_id: str
    anew: bool = False  # delete everything stored of this node first; with nothing else, this forgets the node
    after: Position = START  # the newest position that the store confirmed before, as the hub remembers it
    chunks: Sequence[StoredChunk] = ()  # to append, in order; those not after the stored newest position are skipped
    newest: Position = START  # when all of this is written, whether or not its chunk is still held
    oldest: Position = START  # at which the history begins now: chunks before it may be deleted
    record: NodeRecord | None = None  # replaces the stored one; None leaves it unchanged


@dataclass(frozen=True, slots=True)
class StoredNode:
    """A node as it was stored; `newest` is the last position that was confirmed, `START` if there was none."""

    node_id: str
    record: NodeRecord | None
    chunks: Sequence[StoredChunk]
    newest: Position


class Store(Protocol):
    """Histories and node records that outlive the hub. Open when constructed."""

    @property
    def epoch(self) -> int:
        """The number of this opening; it grows with each."""

    def load(self) -> Iterator[StoredNode]:
        """Yield everything stored, node by node. Called before the first write."""

    def write(self, batch: Sequence[NodeWrite]) -> None:
        """Make a batch durable, each node at most once in it.

        Raises:
            StoreUnavailableError: The store cannot write now; the batch may be repeated.
            StoreLostError: Everything must be written again.
            FencedError: This store can never write again.
        """

    def check(self) -> None:
        """Raise what `write` would raise if no write can succeed now; cheap enough to be called each second."""

    def close(self) -> None:
        """Close files and connections; safe to call twice."""
