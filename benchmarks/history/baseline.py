"""Baselines for the hub's history: a list that is copied at each append, and a plain `deque`.

Neither has a byte budget or detects duplicates.
"""

from collections import deque
from collections.abc import Iterator

from heartbench.hub.store.history import StoredChunk


class SplicedHistory:
    """The last `max_chunks` chunks, kept by `chunks = chunks[-max_chunks:]`."""

    def __init__(self, max_chunks: int) -> None:
        self.max_chunks = max_chunks
        self.chunks: list[StoredChunk] = []

    def append(self, chunk: StoredChunk) -> bool:
        """Append a chunk; always True."""
        self.chunks.append(chunk)
        self.chunks = self.chunks[-self.max_chunks :]
        return True

    def __iter__(self) -> Iterator[StoredChunk]:
        return iter(self.chunks)


class PlainDeque:
    """The last `max_chunks` chunks in a `deque`."""

    def __init__(self, max_chunks: int) -> None:
        self.chunks: deque[StoredChunk] = deque(maxlen=max_chunks)

    def append(self, chunk: StoredChunk) -> bool:
        """Append a chunk; always True."""
        self.chunks.append(chunk)
        return True

    def __iter__(self) -> Iterator[StoredChunk]:
        return iter(self.chunks)
