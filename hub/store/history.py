"""What a node last said on its terminal: a ring with two bounds, chunks and bytes.

The rule: a history is the longest run of the newest chunks that has at most `max_chunks` chunks and at most `max_bytes`
bytes of data. Chunks are named by (boot_id, seq) and only ever grow: one that is not greater than the newest is a
repetition, or of a boot that is over, and changes nothing. Sequence numbers may skip. No I/O, no clock.
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
    """A piece of terminal output: its name (boot_id, seq), when it was sent (s since the Unix epoch), its bytes."""

    boot_id: int
    seq: int
    sent_unix_s: float
    data: bytes

    @property
    def position(self) -> Position:
        """Where it stands among the chunks of its node."""
        return self.boot_id, self.seq


class History:
    """The newest chunks of one node, oldest first."""

    __slots__ = ("_chunks", "_newest", "_size_bytes", "max_bytes")

    def __init__(self, max_chunks: int, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._chunks: deque[StoredChunk] = deque(maxlen=max_chunks)
        self._size_bytes = 0
        self._newest = START

    @classmethod
    def restore(cls, max_chunks: int, max_bytes: int, chunks: Iterable[StoredChunk], newest: Position) -> Self:
        """A history as it was stored: its chunks in order, and the last position that was ever appended."""
        history = cls(max_chunks, max_bytes)
        for chunk in chunks:
            history.append(chunk)
        history._newest = max(history._newest, newest)
        return history

    def append(self, chunk: StoredChunk) -> bool:
        """Take a chunk in and drop the oldest ones past the bounds; False if it was known or of an older boot."""
        if chunk.position <= self._newest:
            return False
        self._newest = chunk.position
        chunks = self._chunks
        if len(chunks) == chunks.maxlen:
            self._drop_oldest()
        chunks.append(chunk)
        self._size_bytes += len(chunk.data)
        while self._size_bytes > self.max_bytes:
            self._drop_oldest()
        return True

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
        """The last position appended, also where that chunk alone was over the budget; (0, 0) before the first."""
        return self._newest

    @property
    def oldest(self) -> Position:
        """Where the history begins: its first chunk, or just after the newest position if it holds none."""
        boot_id, seq = self._newest
        return self._chunks[0].position if self._chunks else (boot_id, seq + 1)

    def last_seq(self, boot_id: int) -> int:
        """The greatest sequence number of this boot, 0 if the newest chunk is of another."""
        return self._newest[1] if self._newest[0] == boot_id else 0

    def after(self, position: Position) -> list[StoredChunk]:
        """The chunks held that come after a position, oldest first; costs what it returns."""
        newer = list(takewhile(lambda chunk: chunk.position > position, reversed(self._chunks)))
        newer.reverse()
        return newer
