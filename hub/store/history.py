"""The newest terminal output of a node: a ring with two bounds, chunks and bytes.

The rule: a history is the longest run of the newest chunks that has at most `max_chunks` chunks and at most `max_bytes`
bytes of data. Chunks are named by (boot_id, seq), which only grows: a chunk that is not greater than the newest is a
duplicate, or belongs to a boot that is over, and changes nothing. Sequence numbers may skip. No I/O, no clock.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Self, TypeAlias

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

    __slots__ = ("_chunks", "_held", "_newest", "_size_bytes", "max_bytes")

    def __init__(self, max_chunks: int, max_bytes: int, held: HeldBytes | None = None) -> None:
        self.max_bytes = max_bytes
        self._held = held or HeldBytes()
        self._chunks: deque[StoredChunk] = deque(maxlen=max_chunks)
        self._size_bytes = 0
        self._newest = START

    @classmethod
    def restore(
        cls,
        max_chunks: int,
        max_bytes: int,
        chunks: Iterable[StoredChunk],
        newest: Position,
        held: HeldBytes | None = None,
    ) -> Self:
        """Return a history as it was stored: its chunks in order, and the last position that was ever appended."""
        history = cls(max_chunks, max_bytes, held)
        for chunk in chunks:
            history.append(chunk)
        history._newest = max(history._newest, newest)
        return history

    def append(self, chunk: StoredChunk) -> bool:
        """Append a chunk and drop the oldest ones past the bounds; return False for a duplicate or an older boot."""
        if chunk.position <= self._newest:
            return False
        self._newest = chunk.position
        chunks, before_bytes = self._chunks, self._size_bytes
        if len(chunks) == chunks.maxlen:
            self._drop_oldest()
        chunks.append(chunk)
        self._size_bytes += len(chunk.data)
        while self._size_bytes > self.max_bytes:
            self._drop_oldest()
        self._held.total += self._size_bytes - before_bytes
        return True

    def release(self) -> None:
        """Count this history's bytes no longer: its node is being forgotten."""
        self._held.total -= self._size_bytes
        self._held = HeldBytes()

    def _drop_oldest(self) -> None:
        self._size_bytes -= len(self._chunks.popleft().data)

    def __iter__(self) -> Iterator[StoredChunk]:
        return iter(self._chunks)

    def __len__(self) -> int:
        return len(self._chunks)

    @property
    def size_bytes(self) -> int:
        """Bytes of data that are held; the chunks' own records are not counted."""
        return self._size_bytes

    @property
    def newest(self) -> Position:
        """The last position appended, even if that chunk alone was over the bound; (0, 0) before the first."""
        return self._newest

    @property
    def oldest(self) -> Position:
        """The position at which the history begins: its first chunk, or just after the newest if it holds none."""
        boot_id, seq = self._newest
        return self._chunks[0].position if self._chunks else (boot_id, seq + 1)

    def last_seq(self, boot_id: int) -> int:
        """Return the greatest sequence number of this boot, 0 if the newest chunk is of another."""
        return self._newest[1] if self._newest[0] == boot_id else 0

    def after(self, position: Position) -> list[StoredChunk]:
        """Return the chunks held that come after a position, oldest first; the cost is that of the result."""
        newer = list(takewhile(lambda chunk: chunk.position > position, reversed(self._chunks)))
        newer.reverse()
        return newer
