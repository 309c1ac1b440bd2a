"""The cost of one way to keep histories: `python -m ….measure WAY CHUNKS BYTES NODES` prints JSON.

Appends are timed in thread CPU time, one clock reading per batch. The chunks of a batch are created before, so only
keeping them is measured.
"""

import gc
import json
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Protocol

from heartbench.benchmarks.history import memory
from heartbench.benchmarks.history.baseline import PlainDeque, SplicedHistory
from heartbench.hub.store.history import History, StoredChunk

BUDGET_BYTES = 256 << 10
"""The byte budget of a node, if there is one: the hub's default."""
BATCH, BATCHES = 500, 15
BATCH_BYTES = 4 << 20
BURST_CHUNKS, BURST_CHUNK_BYTES, BURST_NODES = 150, 64 << 10, 20
BURST_FIRST_SEQ = 10_000_000


class ChunkHistory(Protocol):
    """The last chunks of a node, oldest first."""

    def append(self, chunk: StoredChunk) -> bool: ...  # noqa: D102
    def __iter__(self) -> Iterator[StoredChunk]: ...


BUDGETED = "deque, byte budget"
WAYS: dict[str, Callable[[int], ChunkHistory]] = {
    "list splice": SplicedHistory,
    "deque": PlainDeque,
    BUDGETED: lambda chunks: History(chunks, BUDGET_BYTES),
}


@dataclass(frozen=True, slots=True)
class Figures:
    """The cost of one way: CPU times in s, memory in bytes.

    `data_bytes` is the data alone, `resident_bytes` the growth of the process. A burst is a build log in 64 KiB chunks;
    the figures *after* it are those when small chunks have replaced the log. `retained_bytes` and `peak_bytes` are what
    Python's objects take for one node: at rest, and at most during an append.
    """

    append_s: float
    read_s: float
    data_bytes: int
    resident_bytes: float
    collections: int
    collector_longest_s: float
    burst_resident_bytes: float
    after_burst_resident_bytes: float
    after_burst_data_bytes: int
    after_burst_malloc_free_bytes: float
    allocations_per_append: float
    retained_bytes: int
    peak_bytes: int


class Fleet:
    """The histories of some nodes, and the chunks that they receive in turn."""

    def __init__(self, histories: Sequence[ChunkHistory], chunk_bytes: int, first_seq: int = 1) -> None:
        self.histories = histories
        self.chunk_bytes = chunk_bytes
        self.batch = max(20, min(BATCH, BATCH_BYTES // chunk_bytes))
        self._seq = count(first_seq)
        self._appended = 0

    def new_chunks(self, number: int, size: int) -> list[StoredChunk]:
        """Return new chunks, each with bytes of its own."""
        return [StoredChunk(1, next(self._seq), 0.0, b"x" * size) for _ in range(number)]

    def append(self, chunks: list[StoredChunk]) -> None:
        """Append the chunks to the nodes in turn."""
        histories, nodes = self.histories, len(self.histories)
        for position, chunk in enumerate(chunks, self._appended):
            histories[position % nodes].append(chunk)
        self._appended += len(chunks)

    def append_new(self, number: int, size: int) -> None:
        """Append new chunks that are referenced nowhere else."""
        for left in range(number, 0, -self.batch):
            self.append(self.new_chunks(min(left, self.batch), size))

    def fill(self, number: int) -> None:
        """Append new chunks, without copying spliced lists while they grow: with 1,000 nodes that takes a minute."""
        for position in range(number):
            history = self.histories[position % len(self.histories)]
            (chunk,) = self.new_chunks(1, self.chunk_bytes)
            (history.chunks if isinstance(history, SplicedHistory) else history).append(chunk)

    def append_s(self) -> float:
        """Return the CPU time of one append to full histories: the median of batches."""
        times = []
        for _ in range(BATCHES):
            chunks = self.new_chunks(self.batch, self.chunk_bytes)
            start_s = time.thread_time()
            self.append(chunks)
            times.append((time.thread_time() - start_s) / len(chunks))
        return median(times)

    def read_s(self) -> float:
        """Return the CPU time of reading one node's history and joining it to a page of text."""
        times = []
        for _ in range(BATCHES):
            start_s = time.thread_time()
            b"".join(chunk.data for chunk in self.histories[0])
            times.append(time.thread_time() - start_s)
        return median(times)

    def allocations_per_append(self) -> float:
        """Return the number of allocations of one append; NaN without memray."""
        chunks = self.new_chunks(self.batch, min(self.chunk_bytes, 4096))
        with TemporaryDirectory(prefix="heartbench-") as folder:
            return memory.allocations(lambda: self.append(chunks), Path(folder, "allocations")) / len(chunks)

    @property
    def data_bytes(self) -> int:
        """Bytes of data in all histories."""
        return sum(len(chunk.data) for history in self.histories for chunk in history)


def chunks_when_full(way: str, max_chunks: int, chunk_bytes: int) -> int:
    """Return the number of chunks in a full history."""
    return min(max_chunks, BUDGET_BYTES // chunk_bytes) if way == BUDGETED else max_chunks


def measure(way: str, max_chunks: int, chunk_bytes: int, nodes: int) -> Figures:
    """Return the figures of one way; use it once per process, because it affects the memory of the process."""
    full = chunks_when_full(way, max_chunks, chunk_bytes)
    empty = memory.resident_bytes()
    fleet = Fleet([WAYS[way](max_chunks) for _ in range(nodes)], chunk_bytes)
    with memory.collector_pauses() as pauses_s:
        fleet.fill(full * nodes)
        gc.collect()
        resident, data = memory.resident_bytes() - empty, fleet.data_bytes
        append_s = fleet.append_s()
    read_s = fleet.read_s()
    in_burst = send_burst(fleet, full)
    after_burst, data_after_burst = memory.resident_bytes(), fleet.data_bytes
    malloc_free, allocations = memory.malloc_free_bytes(), fleet.allocations_per_append()
    retained, peak = traced_bytes(way, max_chunks, chunk_bytes)
    return Figures(
        append_s=append_s,
        read_s=read_s,
        data_bytes=data,
        resident_bytes=resident,
        collections=len(pauses_s),
        collector_longest_s=max(pauses_s, default=0.0),
        burst_resident_bytes=in_burst - empty,
        after_burst_resident_bytes=after_burst - empty,
        after_burst_data_bytes=data_after_burst,
        after_burst_malloc_free_bytes=malloc_free,
        allocations_per_append=allocations,
        retained_bytes=retained,
        peak_bytes=peak,
    )


def send_burst(fleet: Fleet, full: int) -> float:
    """Send a build log to some nodes, replace it by small chunks again; return the resident bytes in between."""
    nodes = min(len(fleet.histories), BURST_NODES)
    burst = Fleet(fleet.histories[:nodes], BURST_CHUNK_BYTES, BURST_FIRST_SEQ)
    burst.append_new(nodes * BURST_CHUNKS, BURST_CHUNK_BYTES)
    resident = memory.resident_bytes()
    burst.append_new(nodes * max(full, BURST_CHUNKS), fleet.chunk_bytes)
    gc.collect()
    return resident


def traced_bytes(way: str, max_chunks: int, chunk_bytes: int) -> tuple[int, int]:
    """Return what Python's objects take for one node: at rest, and at most during an append."""
    tracemalloc.start()
    fleet = Fleet([WAYS[way](max_chunks)], chunk_bytes)
    fleet.fill(chunks_when_full(way, max_chunks, chunk_bytes))
    retained = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    fleet.append(fleet.new_chunks(1, chunk_bytes))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return retained, peak


if __name__ == "__main__":
    print(json.dumps(asdict(measure(sys.argv[1], *map(int, sys.argv[2:5])))))  # noqa: T201
