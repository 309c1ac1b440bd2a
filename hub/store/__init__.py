"""Where histories and node records outlive the hub: `memory:`, `sqlite:///path.db`, `redis://host:port/db`."""

from heartbench.hub.store.protocol import (
    Durability,
    FencedError,
    NodeWrite,
    Store,
    StoredNode,
    StoreLostError,
    StoreUnavailableError,
)
from heartbench.hub.store.record import NodeRecord
from heartbench.hub.store.url import open_store
from heartbench.hub.store.writer import StoreHealth, StoreState, Writer, WriterStats

__all__ = [
    "Durability",
    "FencedError",
    "NodeRecord",
    "NodeWrite",
    "Store",
    "StoreHealth",
    "StoreLostError",
    "StoreState",
    "StoreUnavailableError",
    "StoredNode",
    "Writer",
    "WriterStats",
    "open_store",
]
