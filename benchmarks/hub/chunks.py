"""Terminal output of many nodes into a store that commits, against the same hub without a store, in one run.

    python -m heartbench.benchmarks.hub.chunks --nodes 2000 --per-s 2 --bytes 200 --seconds 20 --pairs 2

Each node writes its chunks at times that were fixed before, and a heartbeat every few seconds that asks for an answer.
Delays count from when a message was due, so that a load which falls behind makes them longer and hides nothing. With
and without the store take turns. The hub is a process of its own, of which the CPU time is read from /proc; of a load
by gRPC's own client two cores would be too little, see `frames`.
"""

import argparse
import asyncio
import gc
import json
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import monotonic

from heartbench.benchmarks.hub.frames import CONNECT, UPLOAD, RawNode
from heartbench.benchmarks.hub.ingest import HUB, cpu_s, resident_kib, server
from heartbench.hub.store import open_store
from heartbench.mesh.v1 import mesh_pb2 as pb

PROGRAM = "python -m heartbench.benchmarks.hub.chunks"
BEAT_EVERY_S = 5.0
ACKS_WITHIN_S = 20.0
CONNECTED_AT_ONCE = 100
MOST_ACK_S = 0.25
ALLOWED_TIMES, ALLOWED_S = 1.5, 0.005


@dataclass(frozen=True, slots=True)
class Load:
    """How much is written: nodes, chunks a second of each, bytes of a chunk, and for how long (s)."""

    nodes: int
    per_s: float
    chunk_bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What one hub did: delays in s, CPU time of its process for a chunk in µs, its memory at the end in MiB."""

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
    """One node: what it wrote, and how long the answers took."""

    def __init__(self, name: str) -> None:
        self.node = RawNode(name, self._told, self._acknowledged)
        self.welcomed = asyncio.Event()
        self.seq = self.heartbeats = 0
        self.ack_s: list[float] = []
        self.heartbeat_s: list[float] = []
        self.unacknowledged: deque[tuple[int, float]] = deque()
        self._beats: dict[int, float] = {}

    def write(self, due_s: float, data: bytes) -> None:
        """Send the next chunk, which was due then."""
        self.seq += 1
        self.unacknowledged.append((self.seq, due_s))
        self.node.send(UPLOAD, pb.Chunk(boot_id=1, seq=self.seq, sent_unix_s=time.time(), data=data))

    def beat(self, due_s: float) -> None:
        """Send a heartbeat that is to be answered."""
        self.heartbeats += 1
        self._beats[self.heartbeats] = due_s
        self.node.send(CONNECT, pb.NodeMessage(heartbeat=pb.Heartbeat(seq=self.heartbeats, ack=True)))

    def _told(self, message: pb.HubMessage) -> None:
        if message.HasField("welcome"):
            self.welcomed.set()
        elif message.HasField("heartbeat_ack"):
            self.heartbeat_s.append(monotonic() - self._beats.pop(message.heartbeat_ack.seq))

    def _acknowledged(self, ack: pb.ChunkAck) -> None:
        now = monotonic()
        while self.unacknowledged and self.unacknowledged[0][0] <= ack.seq:
            self.ack_s.append(now - self.unacknowledged.popleft()[1])


async def measure(address: str, pid: int, load: Load) -> tuple[Figures, dict[str, int]]:
    """The load into one hub; and which chunk of each node it acknowledged last."""
    writers = [Writer(f"n{number}") for number in range(load.nodes)]
    await connect(address, writers)
    await asyncio.sleep(1.0)
    gc.collect()
    gc.freeze()
    before_s, ours_s, began_s = cpu_s(pid), time.process_time(), monotonic()
    behind_s = await drive(writers, load)
    lasted_s = monotonic() - began_s
    await acknowledged(writers)
    used_s, mib = cpu_s(pid) - before_s, resident_kib(pid) / 1024
    chunks = sum(writer.seq for writer in writers)
    ack_s = sorted(delay for writer in writers for delay in writer.ack_s)
    heartbeat_s = sorted(delay for writer in writers for delay in writer.heartbeat_s)
    figures = Figures(
        chunks=chunks,
        lost=sum(len(writer.unacknowledged) for writer in writers),
        ack_p50_s=quantile(ack_s, 0.5),
        ack_p99_s=quantile(ack_s, 0.99),
        heartbeat_p50_s=quantile(heartbeat_s, 0.5),
        heartbeat_p99_s=quantile(heartbeat_s, 0.99),
        chunk_us=1e6 * used_s / chunks,
        hub_cores=used_s / lasted_s,
        load_cores=(time.process_time() - ours_s) / lasted_s,
        load_behind_p99_s=quantile(sorted(behind_s), 0.99),
        resident_mib=mib,
    )
    for writer in writers:
        writer.node.close()
    return figures, {writer.node.name: writer.seq - len(writer.unacknowledged) for writer in writers}


async def connect(address: str, writers: Sequence[Writer]) -> None:
    """Connect all, so many at a time, until each was welcomed."""
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    for first in range(0, len(writers), CONNECTED_AT_ONCE):
        some = writers[first : first + CONNECTED_AT_ONCE]
        await asyncio.gather(
            *(loop.create_connection(lambda node=writer.node: node, host, int(port)) for writer in some)  # type: ignore[misc]
        )
        for writer in some:
            await asyncio.wait_for(writer.welcomed.wait(), 30)


async def drive(writers: Sequence[Writer], load: Load) -> list[float]:
    """Write and beat on an absolute schedule, the nodes evenly spread; how far behind it each chunk was sent, s."""
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
                await asyncio.sleep(0)  # hear the answers, also where the load is behind
            writer.write(due_s, data)
            behind_s.append(monotonic() - due_s)
            other = writers[(number + nodes // 2) % nodes]  # its own chunk is half a period away
            if (turn + number) % beat_rounds == 0:
                other.beat(due_s)
    return behind_s


async def acknowledged(writers: Sequence[Writer]) -> None:
    """Wait until all that was written is acknowledged, and each heartbeat answered; or for as long as is reasonable."""
    until_s = monotonic() + ACKS_WITHIN_S
    while monotonic() < until_s and any(writer.unacknowledged for writer in writers):  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    ended = next((writer.node.ended for writer in writers if writer.node.ended), "")
    assert not ended, ended  # noqa: S101


def quantile(ordered: Sequence[float], share: float) -> float:
    """Of values in order."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def missing(url: str, acknowledged_seq: dict[str, int]) -> int:
    """How many acknowledged chunks a store does not hold, of those that its bounds let it hold."""
    store = open_store(url)
    try:
        held = {node.node_id: {chunk.seq for chunk in node.chunks} for node in store.load()}
    finally:
        store.close()
    wanted = {name: set(range(max(1, last - 149), last + 1)) for name, last in acknowledged_seq.items()}
    return sum(len(seqs - held.get(name, set())) for name, seqs in wanted.items())


def one(load: Load, url: str) -> Figures:
    """A hub of its own on this store, which is looked into afterwards: what it lacks counts as lost."""
    with server(HUB, HUB_STORE_URL=url, HUB_STORE_DURABILITY="committed") as (address, pid):
        figures, seqs = asyncio.run(measure(address, pid, load))
    if url == "memory:":
        return figures
    return Figures(**{**asdict(figures), "lost": figures.lost + missing(url, seqs)})


def compare(load: Load, pairs: int, scratch: Path | None) -> dict[str, list[Figures]]:
    """Without and with the store, in turn."""
    found: dict[str, list[Figures]] = {"memory": [], "sqlite": []}
    for number in range(pairs):
        with tempfile.TemporaryDirectory(prefix="heartbench-chunks-", dir=scratch) as folder:
            found["memory"].append(one(load, "memory:"))
            found["sqlite"].append(one(load, f"sqlite:///{folder}/hub-{number}.db"))
    return found


def verdict(found: dict[str, list[Figures]]) -> dict[str, float | bool]:
    """Medians over the pairs, and whether the bounds hold."""
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
    """Measure, print the figures; 1 if a bound does not hold."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__.split("\n")[0])
    parser.add_argument("--nodes", type=int, default=2000)
    parser.add_argument("--per-s", type=float, default=2.0, help="chunks a second of each node")
    parser.add_argument("--bytes", type=int, default=200, help="of a chunk")
    parser.add_argument("--seconds", type=float, default=20.0, help="of one hub; up to 60, see `frames`")
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--scratch", type=Path, help="folder for the databases; default: the system's")
    given = parser.parse_args(words)
    found = compare(Load(given.nodes, given.per_s, given.bytes, given.seconds), given.pairs, given.scratch)
    said = verdict(found)
    runs = {name: [asdict(figures) for figures in runs] for name, runs in found.items()}
    print(json.dumps({"runs": runs, **said}, indent=2))  # noqa: T201
    return 0 if said["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
