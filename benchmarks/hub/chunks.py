"""Terminal output of many nodes into a store that commits, compared with the same hub without a store, in one run.

    python -m heartbench.benchmarks.hub.chunks --nodes 1000 --per-s 2 --bytes 200 --seconds 20 --pairs 2

Each node writes its chunks at times that are fixed in advance, and every few seconds a heartbeat that asks for an
acknowledgement. Delays count from the time when a message was due, so a load that falls behind makes them longer and
hides nothing. Runs with and without the store alternate. The hub is a process of its own, whose CPU time is read from
/proc. The load costs about as much CPU time as the hub: `load_cores` near 1 means that the load itself is the limit.
"""

import argparse
import asyncio
import gc
import json
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from statistics import median
from time import monotonic
from typing import TypeVar

import numpy as np

from heartbench.benchmarks.hub.ingest import HUB, cpu_s, resident_kib, server
from heartbench.hub.store.url import open_store
from heartbench.mesh.channel import open_aio_channel
from heartbench.mesh.encoding import chunk, heartbeat, hello, upload_metadata
from heartbench.mesh.v1.mesh_pb2 import Chunk, ChunkAck, HubMessage, NodeMessage
from heartbench.mesh.v1.mesh_pb2_grpc import NodeMeshStub

T = TypeVar("T")
PROGRAM = "python -m heartbench.benchmarks.hub.chunks"
BEAT_EVERY_S = 5.0
ACKS_WITHIN_S = 20.0
CONNECTED_AT_ONCE = 100
MOST_ACK_S = 0.25
ALLOWED_TIMES, ALLOWED_S = 1.5, 0.005


@dataclass(frozen=True, slots=True)
class Load:
    """The load: nodes, chunks per second and node, bytes of a chunk, and the duration in s."""

    nodes: int
    per_s: float
    chunk_bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of one hub: delays in s, CPU time of its process per chunk in µs, its memory at the end in MiB."""

    chunks: int
    lost: int
    ack_p50_s: float
    ack_p99_s: float
    heartbeat_p50_s: float
    heartbeat_p99_s: float
    chunk_us: float
    hub_cores: float
    load_cores: float
    load_behind_p99_s: float
    resident_mib: float


class Writer:
    """One node: the messages that it sent, and how long the answers took."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.welcomed = asyncio.Event()
        self.seq = self.heartbeats = 0
        self.ack_s: list[float] = []
        self.heartbeat_s: list[float] = []
        self.unacknowledged: deque[tuple[int, float]] = deque()
        self._beats: dict[int, float] = {}
        self._control: asyncio.Queue[NodeMessage] = asyncio.Queue()
        self._output: asyncio.Queue[Chunk] = asyncio.Queue()

    def write(self, due_s: float, data: bytes) -> None:
        """Send the next chunk, which was due then."""
        self.seq += 1
        self.unacknowledged.append((self.seq, due_s))
        self._output.put_nowait(chunk(self.seq, data, sent_unix_s=time.time()))

    def beat(self, due_s: float) -> None:
        """Send a heartbeat that asks for an acknowledgement."""
        self.heartbeats += 1
        self._beats[self.heartbeats] = due_s
        self._control.put_nowait(heartbeat(self.heartbeats, ack=True))

    async def run(self, address: str) -> None:
        """Serve both streams until cancelled; an end that the hub causes is an error."""
        self._control.put_nowait(hello(self.name))
        async with open_aio_channel(address) as channel, asyncio.TaskGroup() as tasks:
            node = NodeMeshStub(channel)
            tasks.create_task(self._read_control(node.Connect(queued(self._control))))
            await self.welcomed.wait()
            await self._read_output(node.Upload(queued(self._output), metadata=upload_metadata(self.name)))

    async def _read_control(self, control: AsyncIterable[HubMessage]) -> None:
        async for message in control:
            if message.HasField("heartbeat_ack"):
                self.heartbeat_s.append(monotonic() - self._beats.pop(message.heartbeat_ack.seq))
            else:
                self.welcomed.set()
        raise ConnectionError(f"{self.name}: the hub ended Connect")

    async def _read_output(self, output: AsyncIterable[ChunkAck]) -> None:
        async for ack in output:
            now = monotonic()
            while self.unacknowledged and self.unacknowledged[0][0] <= ack.seq:
                self.ack_s.append(now - self.unacknowledged.popleft()[1])
        raise ConnectionError(f"{self.name}: the hub ended Upload")


async def queued(queue: "asyncio.Queue[T]") -> AsyncIterator[T]:
    """Yield what is put into a queue, without end."""
    while True:
        yield await queue.get()


async def measure(address: str, pid: int, load: Load) -> tuple[Figures, dict[str, int]]:
    """Put the load on one hub; return its figures, and the last chunk of each node that it acknowledged."""
    writers = [Writer(f"n{number}") for number in range(load.nodes)]
    async with connected(address, writers):
        await asyncio.sleep(1.0)
        gc.collect()
        gc.freeze()
        before_s, ours_s, began_s = cpu_s(pid), time.process_time(), monotonic()
        behind_s = await drive(writers, load)
        lasted_s = monotonic() - began_s
        until_s = monotonic() + ACKS_WITHIN_S
        while monotonic() < until_s and any(writer.unacknowledged for writer in writers):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        used_s, ours_s, mib = cpu_s(pid) - before_s, time.process_time() - ours_s, resident_kib(pid) / 1024
    chunks = sum(writer.seq for writer in writers)
    ack_p50_s, ack_p99_s = quantiles(delay for writer in writers for delay in writer.ack_s)
    heartbeat_p50_s, heartbeat_p99_s = quantiles(delay for writer in writers for delay in writer.heartbeat_s)
    figures = Figures(
        chunks=chunks,
        lost=sum(len(writer.unacknowledged) for writer in writers),
        ack_p50_s=ack_p50_s,
        ack_p99_s=ack_p99_s,
        heartbeat_p50_s=heartbeat_p50_s,
        heartbeat_p99_s=heartbeat_p99_s,
        chunk_us=1e6 * used_s / chunks,
        hub_cores=used_s / lasted_s,
        load_cores=ours_s / lasted_s,
        load_behind_p99_s=quantiles(behind_s)[1],
        resident_mib=mib,
    )
    return figures, {writer.name: writer.seq - len(writer.unacknowledged) for writer in writers}


def quantiles(values: Iterable[float]) -> tuple[float, float]:
    """Return the median and the 99th percentile."""
    p50, p99 = np.quantile(list(values), (0.5, 0.99))
    return float(p50), float(p99)


@asynccontextmanager
async def connected(address: str, writers: Sequence[Writer]) -> AsyncIterator[None]:
    """Connect all nodes, CONNECTED_AT_ONCE at a time, and serve their streams until the block ends."""
    async with asyncio.TaskGroup() as group:
        tasks: list[asyncio.Task[None]] = []
        for first in range(0, len(writers), CONNECTED_AT_ONCE):
            some = writers[first : first + CONNECTED_AT_ONCE]
            tasks += [group.create_task(writer.run(address)) for writer in some]
            async with asyncio.timeout(30):
                await asyncio.gather(*(writer.welcomed.wait() for writer in some))
        yield
        for task in tasks:
            task.cancel()


async def drive(writers: Sequence[Writer], load: Load) -> list[float]:
    """Write and beat on a fixed schedule, evenly spread over the nodes; return how late each chunk was sent, s."""
    data = bytes(load.chunk_bytes)
    period_s, nodes = 1 / load.per_s, len(writers)
    rounds, beat_rounds = round(load.seconds * load.per_s), max(1, round(BEAT_EVERY_S * load.per_s))
    began_s, behind_s = monotonic(), []
    for turn in range(rounds):
        for number, writer in enumerate(writers):
            due_s = began_s + (turn + number / nodes) * period_s
            if (ahead_s := due_s - monotonic()) > 0:
                await asyncio.sleep(ahead_s)
            elif number % 20 == 0:
                await asyncio.sleep(0)  # reads the answers, also when the load is behind
            writer.write(due_s, data)
            behind_s.append(monotonic() - due_s)
            other = writers[(number + nodes // 2) % nodes]  # its own chunk is half a period away
            if (turn + number) % beat_rounds == 0:
                other.beat(due_s)
    return behind_s


def missing(url: str, acknowledged_seq: dict[str, int]) -> int:
    """Return how many acknowledged chunks a store lacks, among those that its bounds let it hold."""
    store = open_store(url)
    try:
        held = {node.node_id: {chunk.seq for chunk in node.chunks} for node in store.load()}
    finally:
        store.close()
    wanted = {name: set(range(max(1, last - 149), last + 1)) for name, last in acknowledged_seq.items()}
    return sum(len(seqs - held.get(name, set())) for name, seqs in wanted.items())


def one(load: Load, url: str, loop: asyncio.Runner) -> Figures:
    """Measure a new hub on this store; chunks that the store lacks afterwards count as lost."""
    with server(HUB, HUB_STORE_URL=url, HUB_STORE_DURABILITY="committed") as (address, process):
        figures, seqs = loop.run(measure(address, process.pid, load))
    if url == "memory:":
        return figures
    return replace(figures, lost=figures.lost + missing(url, seqs))


def compare(load: Load, pairs: int) -> dict[str, list[Figures]]:
    """Measure without and with the store, alternating, on one event loop: gRPC keeps to the first that it sees."""
    found: dict[str, list[Figures]] = {"memory": [], "sqlite": []}
    with asyncio.Runner() as loop:
        for _ in range(pairs):
            with tempfile.TemporaryDirectory(prefix="heartbench-chunks-") as folder:
                found["memory"].append(one(load, "memory:", loop))
                found["sqlite"].append(one(load, f"sqlite:///{folder}/hub.db", loop))
    return found


def verdict(found: dict[str, list[Figures]]) -> dict[str, float | bool]:
    """Return medians over the pairs, and whether the bounds hold."""
    without, stored = found["memory"], found["sqlite"]
    ack_p99_s = median(figures.ack_p99_s for figures in stored)
    plain_s = median(figures.heartbeat_p99_s for figures in without)
    beside_s = median(figures.heartbeat_p99_s for figures in stored)
    lost = sum(figures.lost for figures in stored)
    in_time = beside_s <= ALLOWED_TIMES * plain_s or beside_s <= plain_s + ALLOWED_S
    return {
        "lost": lost,
        "ack_p99_ms": 1000 * ack_p99_s,
        "heartbeat_p99_ms_without_store": 1000 * plain_s,
        "heartbeat_p99_ms": 1000 * beside_s,
        "hub_us_a_chunk_without_store": median(figures.chunk_us for figures in without),
        "hub_us_a_chunk": median(figures.chunk_us for figures in stored),
        "holds": lost == 0 and ack_p99_s < MOST_ACK_S and in_time,
    }


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print the figures; return 1 if a bound does not hold."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__.split("\n")[0])
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--per-s", type=float, default=2.0, help="chunks per second and node")
    parser.add_argument("--bytes", type=int, default=200, help="size of a chunk")
    parser.add_argument("--seconds", type=float, default=20.0, help="duration of each run")
    parser.add_argument("--pairs", type=int, default=2)
    given = parser.parse_args(words)
    found = compare(Load(given.nodes, given.per_s, given.bytes, given.seconds), given.pairs)
    result = verdict(found)
    runs = {name: [asdict(figures) for figures in runs] for name, runs in found.items()}
    print(json.dumps({"runs": runs, **result}, indent=2))  # noqa: T201
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
