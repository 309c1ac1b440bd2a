"""The newest terminal output of a node: a ring with two bounds, chunks and bytes.

The rule: a history is the longest run of the newest chunks that has at most `max_chunks` chunks and at most `max_bytes`
bytes of data. Chunks are named by (boot_id, seq), which only grows: a chunk that is not greater than the newest changes
nothing here; `order.py` decides whether it is a duplicate or refused. Sequence numbers may skip. No I/O, no clock.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import TypeAlias

Position: TypeAlias = tuple[int, int]
"""(boot_id, seq): the name of a chunk among those of its node, and its place in their order."""

START: Position = (0, 0)
"""Before the first chunk."""


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk of terminal output: its name (boot_id, seq), when it was sent (s since the Unix epoch), its bytes."""

    boot_id: int
    seq: int
    sent_unix_s: float
    data: bytes

    @property
    def position(self) -> Position:
        """Its place among the chunks of its node."""
        return self.boot_id, self.seq


@dataclass(slots=True)
class HeldBytes:
    """Bytes of data that several histories hold together."""

    total: int = 0


class History:
    """The newest chunks of one node, oldest first; `held` counts its bytes together with those of other histories."""

    __slots__ = ("_chunks", "_held", "max_bytes", "newest", "released", "size_bytes")

    def __init__(self, max_chunks: int, max_bytes: int, held: HeldBytes | None = None) -> None:
        self.max_bytes = max_bytes
        self._held = held or HeldBytes()
        self.released = False
        self._chunks: deque[StoredChunk] = deque(maxlen=max_chunks)
        self.size_bytes = 0  # of data; the chunks' own records are not counted
        self.newest = START  # the last position appended, even if that chunk alone was over the bound

    def restore(self, chunks: Iterable[StoredChunk], newest: Position) -> None:
        """Fill a new history with stored chunks, in order; `newest` is the last position that was ever appended."""
        for chunk in chunks:
            self.append(chunk)
        self.newest = max(self.newest, newest)

    def append(self, chunk: StoredChunk) -> bool:
        """Append a chunk and drop the oldest ones past the bounds; return False for a duplicate or an older boot."""
        if chunk.position <= self.newest:
            return False
        self.newest = chunk.position
        chunks, before_bytes = self._chunks, self.size_bytes
        if len(chunks) == chunks.maxlen:
            self._drop_oldest()
        chunks.append(chunk)
        self.size_bytes += len(chunk.data)
        while self.size_bytes > self.max_bytes:
            self._drop_oldest()
        self._held.total += self.size_bytes - before_bytes
        return True

    def release(self) -> None:
        """Count this history's bytes no longer, and let nothing follow: its node is forgotten, or begins another."""
        self._held.total -= self.size_bytes
        self._held = HeldBytes()
        self.released = True

    def at(self, position: Position) -> StoredChunk | None:
        """Return the chunk held at a position, or None if none is."""
        index = bisect_left(self._chunks, position, key=lambda chunk: chunk.position)
        chunk = self._chunks[index] if index < len(self._chunks) else None
        return chunk if chunk is not None and chunk.position == position else None

    def _drop_oldest(self) -> None:
        self.size_bytes -= len(self._chunks.popleft().data)

    def __iter__(self) -> Iterator[StoredChunk]:
        return iter(self._chunks)

    def __len__(self) -> int:
        return len(self._chunks)

    @property
    def oldest(self) -> Position:
        """The position at which the history begins: its first chunk, or just after the newest if it holds none."""
        boot_id, seq = self.newest
        return self._chunks[0].position if self._chunks else (boot_id, seq + 1)

    def after(self, position: Position) -> list[StoredChunk]:
        """Return the chunks held that come after a position, oldest first; the cost is that of the result."""
        newer = list(takewhile(lambda chunk: chunk.position > position, reversed(self._chunks)))
        newer.reverse()
        return newer
