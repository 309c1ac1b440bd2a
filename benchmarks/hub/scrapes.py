"""What reading the metrics each second costs a hub with many nodes, compared with the same hub that nobody reads.

    python -m heartbench.benchmarks.hub.scrapes --nodes 10000 --interval 10 --seconds 20 --pairs 5

Periods with and without a scraper alternate on one hub, a process of its own whose CPU time is read from /proc. Each
node has its own connection; its heartbeats ask for an acknowledgement, and their delays count from when they were due.
"""

import argparse
import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from statistics import median
from time import monotonic
from urllib.request import Request, urlopen

from heartbench.benchmarks.hub.chunks import quantiles
from heartbench.benchmarks.hub.ingest import HUB, cpu_s, server
from heartbench.mesh.channel import open_aio_channel
from heartbench.mesh.encoding import heartbeat, hello
from heartbench.mesh.v1.mesh_pb2 import GetStatsRequest, HubStats
from heartbench.mesh.v1.mesh_pb2_grpc import HubAdminStub, NodeMeshStub

PROGRAM = "python -m heartbench.benchmarks.hub.scrapes"
CONNECTED_AT_ONCE = 100
MOST_CORE = 0.01


@dataclass(frozen=True, slots=True)
class Period:
    """Figures of one period: CPU time of the hub per s, heartbeats, and their delays, s."""

    hub_cores: float
    heartbeats: int
    p50_s: float
    p99_s: float


class Node:
    """One node: its stream, and how long its acknowledgements took."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.delays_s: list[float] = []
        self._seq = 0

    async def connect(self, address: str, closing: AsyncExitStack) -> None:
        """Open the stream; `closing` closes it."""
        channel = await closing.enter_async_context(open_aio_channel(address))
        self._stream = NodeMeshStub(channel).Connect()
        await self._stream.write(hello(self.name))
        await self._stream.read()

    async def beat(self, due_s: float) -> None:
        """Send a heartbeat, which was due then, and wait for its acknowledgement."""
        self._seq += 1
        await self._stream.write(heartbeat(self._seq, ack=True))
        await self._stream.read()
        self.delays_s.append(monotonic() - due_s)


async def drive(nodes: Sequence[Node], interval_s: float, seconds: float) -> None:
    """Beat on a fixed schedule, evenly spread over the nodes."""
    began_s, step_s = monotonic(), interval_s / len(nodes)
    async with asyncio.TaskGroup() as beats:
        for turn in range(round(seconds / step_s)):
            due_s = began_s + turn * step_s
            await asyncio.sleep(max(0.0, due_s - monotonic()))
            beats.create_task(nodes[turn % len(nodes)].beat(due_s))


def scrape(url: str) -> None:
    """Read the metrics once, as Prometheus does."""
    with urlopen(Request(url, headers={"Accept": "application/openmetrics-text; version=1.0.0"})) as answer:  # noqa: S310
        answer.read()


@asynccontextmanager
async def scraped(url: str, each_s: float = 1.0) -> AsyncIterator[None]:
    """Read the metrics each second until the block ends; without a URL, do not."""

    async def read() -> None:
        while True:
            await asyncio.to_thread(scrape, url)
            await asyncio.sleep(each_s)

    reading = asyncio.create_task(read() if url else asyncio.sleep(0))
    try:
        yield
    finally:
        reading.cancel()
        await asyncio.wait([reading])
        if not reading.cancelled():
            reading.result()


async def period(nodes: Sequence[Node], pid: int, interval_s: float, seconds: float, url: str) -> Period:
    """Measure one period."""
    for node in nodes:
        node.delays_s.clear()
    before_s, began_s = cpu_s(pid), monotonic()
    async with scraped(url):
        await drive(nodes, interval_s, seconds)
    cores = (cpu_s(pid) - before_s) / (monotonic() - began_s)
    delays_s = [delay for node in nodes for delay in node.delays_s]
    return Period(cores, len(delays_s), *quantiles(delays_s))


async def measure(
    address: str, pid: int, url: str, count: int, interval_s: float, seconds: float, pairs: int
) -> tuple[list[Period], list[Period], HubStats]:
    """Return the periods without and with a scraper, and the hub's figures at the end."""
    nodes = [Node(f"n{number}") for number in range(count)]
    without, scraping = [], []
    async with AsyncExitStack() as closing:
        for first in range(0, count, CONNECTED_AT_ONCE):
            await asyncio.gather(*(node.connect(address, closing) for node in nodes[first : first + CONNECTED_AT_ONCE]))
        await drive(nodes, interval_s, interval_s)
        for _ in range(pairs):
            without.append(await period(nodes, pid, interval_s, seconds, ""))
            scraping.append(await period(nodes, pid, interval_s, seconds, url))
        channel = await closing.enter_async_context(open_aio_channel(address))
        stats = await HubAdminStub(channel).GetStats(GetStatsRequest())
    return without, scraping, stats


def free_port() -> int:
    """Return a port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print the figures; return 1 if reading the metrics costs more than it may, or pauses the hub."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__.split("\n")[0])
    parser.add_argument("--nodes", type=int, default=10_000)
    parser.add_argument("--interval", type=float, default=10.0, help="s between two heartbeats of a node")
    parser.add_argument("--seconds", type=float, default=20.0, help="duration of a period")
    parser.add_argument("--pairs", type=int, default=5)
    args = parser.parse_args(words)
    http = f"127.0.0.1:{free_port()}"
    with server(HUB, HUB_HTTP_LISTEN=http) as (address, process):
        url = f"http://{http}/metrics"
        found = measure(address, process.pid, url, args.nodes, args.interval, args.seconds, args.pairs)
        without, scraping, stats = asyncio.run(found)
    added = median(with_.hub_cores - plain.hub_cores for plain, with_ in zip(without, scraping, strict=True))
    report = {
        "nodes": args.nodes,
        "added_cores": added,
        "hub_cores": median(one.hub_cores for one in without),
        "heartbeat_p99_ms": 1000 * median(one.p99_s for one in without),
        "heartbeat_p99_ms_scraped": 1000 * median(one.p99_s for one in scraping),
        "loop_lag_max_ms": 1000 * stats.loop_lag_max_s,
        "pauses": stats.pauses,
        "periods": {"without": [asdict(one) for one in without], "scraped": [asdict(one) for one in scraping]},
    }
    print(json.dumps(report, indent=1))  # noqa: T201
    return int(added > MOST_CORE or stats.pauses > 0)


if __name__ == "__main__":
    sys.exit(main())
