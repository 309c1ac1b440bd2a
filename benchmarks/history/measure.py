"""One way to keep histories, measured: `python -m ….measure WAY CHUNKS BYTES NODES` prints JSON.

A process of its own, because what a process once held decides what it holds now. Appends are timed in thread CPU time,
a batch of them between two looks at the clock, and the batch's chunks exist before: what is measured is the keeping.
"""

import gc
import json
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Protocol

from heartbench.benchmarks.history import memory
from heartbench.benchmarks.history.baseline import PlainDeque, SplicedHistory
from heartbench.hub.store.history import History, StoredChunk

BUDGET_BYTES = 256 << 10
"""Bytes for a node where there is a budget: the hub's default."""
BATCH, BATCHES = 500, 15
BATCH_BYTES = 4 << 20
BURST_CHUNKS, BURST_CHUNK_BYTES, BURST_NODES = 150, 64 << 10, 20


class Keeper(Protocol):
    """A history, whoever's."""

    def append(self, chunk: StoredChunk) -> bool:
        """Take a chunk in."""
        ...


BUDGETED = "deque, byte budget"
WAYS: dict[str, Callable[[int], Keeper]] = {
    "list splice": SplicedHistory,
    "deque": PlainDeque,
    BUDGETED: lambda chunks: History(chunks, BUDGET_BYTES),
}


def chunks_of(keeper: Keeper) -> Iterator[StoredChunk]:
    """What it holds, oldest first."""
    return iter(keeper if isinstance(keeper, History) else keeper.history)  # type: ignore[attr-defined]


def chunk(seq: int, size: int) -> StoredChunk:
    """A chunk whose bytes are its own."""
    return StoredChunk(1, seq, 0.0, b"x" * size)


def append(keepers: list[Keeper], chunks: list[StoredChunk], first: int) -> None:
    """Give the chunks to the nodes in turn."""
    nodes = len(keepers)
    for at, each in enumerate(chunks, first):
        keepers[at % nodes].append(each)


class Subject:
    """So many histories, and the chunks that come to them."""

    def __init__(self, keepers: list[Keeper], chunk_bytes: int, first: int = 1) -> None:
        self.keepers = keepers
        self.chunk_bytes = chunk_bytes
        self.batch = max(20, min(BATCH, BATCH_BYTES // chunk_bytes))
        self._seq = count(first)
        self._at = 0

    def some(self, number: int, size: int) -> list[StoredChunk]:
        """New chunks."""
        return [chunk(next(self._seq), size) for _ in range(number)]

    def take(self, chunks: list[StoredChunk]) -> None:
        """Append them, a node after the other."""
        append(self.keepers, chunks, self._at)
        self._at += len(chunks)

    def pour(self, number: int, size: int) -> None:
        """Append so many new chunks, none of them held elsewhere."""
        for left in range(number, 0, -self.batch):
            self.take(self.some(min(left, self.batch), size))

    def fill(self, number: int, size: int) -> None:
        """Pour, without the list's copies while it grows: for 1,000 nodes they take most of a minute."""
        for at in range(number):
            keeper, new = self.keepers[at % len(self.keepers)], chunk(next(self._seq), size)
            (keeper.history if isinstance(keeper, SplicedHistory) else keeper).append(new)

    def append_s(self) -> float:
        """CPU time of one append to full histories: the median of batches."""
        times = []
        for _ in range(BATCHES):
            chunks = self.some(self.batch, self.chunk_bytes)
            began = time.thread_time()
            self.take(chunks)
            times.append((time.thread_time() - began) / len(chunks))
        return median(times)

    def read_s(self) -> float:
        """CPU time to read the whole of one node, joined as a page of text."""
        times = []
        for _ in range(BATCHES):
            began = time.thread_time()
            b"".join(each.data for each in chunks_of(self.keepers[0]))
            times.append(time.thread_time() - began)
        return median(times)

    @property
    def data_bytes(self) -> int:
        """Data that is held."""
        return sum(len(each.data) for keeper in self.keepers for each in chunks_of(keeper))


def held(way: str, max_chunks: int, chunk_bytes: int) -> int:
    """Chunks of a full history."""
    return min(max_chunks, BUDGET_BYTES // chunk_bytes) if way == BUDGETED else max_chunks


def measure(way: str, max_chunks: int, chunk_bytes: int, nodes: int) -> dict[str, float]:
    """All figures of one way; memory in bytes, times in s. Leaves the process as a measured one: use it once."""
    full = held(way, max_chunks, chunk_bytes)
    empty = memory.resident_bytes()
    subject = Subject([WAYS[way](max_chunks) for _ in range(nodes)], chunk_bytes)
    with memory.collector_pauses() as pauses:
        subject.fill(full * nodes, chunk_bytes)
        gc.collect()
        resident, data = memory.resident_bytes() - empty, subject.data_bytes
        append_s = subject.append_s()
    read_s = subject.read_s()
    figures = {
        "append_s": append_s,
        "read_s": read_s,
        "data_bytes": data,
        "resident_bytes": resident,
        "collections": len(pauses.seconds),
        "collector_longest_s": pauses.longest_s,
        **after_a_burst(subject, full, empty),
    }
    return {**figures, "allocations_per_append": asked_for(subject), **traced(way, max_chunks, chunk_bytes)}


def after_a_burst(subject: Subject, full: int, empty: float) -> dict[str, float]:
    """A build log comes to one node in 64 KiB chunks, and its own small ones again: what the process is left with."""
    number = min(len(subject.keepers), BURST_NODES)
    burst = Subject(subject.keepers[:number], BURST_CHUNK_BYTES, first=10_000_000)
    burst.pour(number * BURST_CHUNKS, BURST_CHUNK_BYTES)
    at_most = memory.resident_bytes() - empty
    burst.pour(number * max(full, BURST_CHUNKS), subject.chunk_bytes)
    gc.collect()
    return {
        "burst_resident_bytes": at_most,
        "after_burst_resident_bytes": memory.resident_bytes() - empty,
        "after_burst_data_bytes": subject.data_bytes,
        "after_burst_malloc_free_bytes": memory.malloc_free_bytes(),
    }


def traced(way: str, max_chunks: int, chunk_bytes: int) -> dict[str, float]:
    """What Python's objects ask for, for one node: in the end, and at most while it is appended to."""
    tracemalloc.start()
    subject = Subject([WAYS[way](max_chunks)], chunk_bytes)
    subject.fill(held(way, max_chunks, chunk_bytes), chunk_bytes)
    retained = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    subject.take(subject.some(1, chunk_bytes))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {"retained_bytes": retained, "peak_bytes": peak}


def asked_for(subject: Subject) -> float:
    """Allocations of one append, counted."""
    chunks = subject.some(subject.batch, min(subject.chunk_bytes, 4096))
    with TemporaryDirectory(prefix="heartbench-") as folder:
        return memory.allocations(lambda: subject.take(chunks), Path(folder, "allocations")) / len(chunks)


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], *map(int, sys.argv[2:5]))))  # noqa: T201
