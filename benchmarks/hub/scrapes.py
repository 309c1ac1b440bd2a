"""What reading the metrics each second costs a hub with many nodes, compared with the same hub that nobody reads.

    python -m heartbench.benchmarks.hub.scrapes --nodes 10000 --interval 10 --seconds 5 --pairs 10 --per-s 20

Periods with and without a scraper alternate on one hub, a process of its own whose CPU time is read from /proc. So that
the difference stands out of a machine's noise, the metrics are read more often than anyone would, and the figure is the
CPU time of one scrape. Each node has its own connection; its heartbeats ask for an acknowledgement, and their delays
count from when they were due.
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
from typing import TYPE_CHECKING
from urllib.request import Request, urlopen

from heartbench.benchmarks.hub.chunks import quantiles
from heartbench.benchmarks.hub.ingest import HUB, cpu_s, server
from heartbench.mesh.channel import open_aio_channel
from heartbench.mesh.encoding import heartbeat, hello
from heartbench.mesh.v1.mesh_pb2 import GetStatsRequest, HubStats
from heartbench.mesh.v1.mesh_pb2_grpc import HubAdminStub, NodeMeshStub

if TYPE_CHECKING:
    from heartbench.mesh.v1.mesh_pb2_grpc import HubAdminAsyncStub

PROGRAM = "python -m heartbench.benchmarks.hub.scrapes"
CONNECTED_AT_ONCE = 100
MOST_SCRAPE_S = 0.01
"""CPU time of a scrape: one a second is 1% of a core."""


@dataclass(frozen=True, slots=True)
class Period:
    """Figures of one period: CPU time of the hub per s, scrapes, pauses of the hub, heartbeats and their delays, s."""

    hub_cores: float
    scrapes: int
    pauses: int
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


class Scraper:
    """Reads the metrics `per_s` times a second while its block runs, and counts how often it did."""

    def __init__(self, url: str, per_s: float) -> None:
        self.scrapes = 0
        self._url = url
        self._per_s = per_s

    async def __aenter__(self) -> None:
        """Begin."""
        self._reading = asyncio.create_task(self._read())

    async def __aexit__(self, *_: object) -> None:
        """End; raises what kept it from reading."""
        self._reading.cancel()
        await asyncio.wait([self._reading])
        if not self._reading.cancelled():
            self._reading.result()

    async def _read(self) -> None:
        began_s = monotonic()
        while self._per_s:
            await asyncio.to_thread(scrape, self._url)
            self.scrapes += 1
            await asyncio.sleep(max(0.0, began_s + self.scrapes / self._per_s - monotonic()))


class Fleet:
    """Connected nodes of one hub."""

    def __init__(
        self, pid: int, url: str, interval_s: float, nodes: Sequence[Node], admin: "HubAdminAsyncStub"
    ) -> None:
        self.nodes = nodes
        self._pid = pid
        self._url = url
        self._interval_s = interval_s
        self._admin = admin

    async def period(self, seconds: float, scrapes_per_s: float) -> Period:
        """Measure one period."""
        for node in self.nodes:
            node.delays_s.clear()
        before, before_s, began_s = await self.stats(), cpu_s(self._pid), monotonic()
        scraper = Scraper(self._url, scrapes_per_s)
        async with scraper:
            await drive(self.nodes, self._interval_s, seconds)
        cores = (cpu_s(self._pid) - before_s) / (monotonic() - began_s)
        pauses = (await self.stats()).pauses - before.pauses
        delays_s = [delay for node in self.nodes for delay in node.delays_s]
        return Period(cores, scraper.scrapes, pauses, len(delays_s), *quantiles(delays_s))

    async def stats(self) -> HubStats:
        """Return the hub's figures now."""
        return await self._admin.GetStats(GetStatsRequest())


@asynccontextmanager
async def connected(address: str, pid: int, url: str, count: int, interval_s: float) -> AsyncIterator[Fleet]:
    """Connect nodes, CONNECTED_AT_ONCE at a time, and let each send one heartbeat."""
    nodes = [Node(f"n{number}") for number in range(count)]
    async with AsyncExitStack() as closing:
        for first in range(0, count, CONNECTED_AT_ONCE):
            await asyncio.gather(*(node.connect(address, closing) for node in nodes[first : first + CONNECTED_AT_ONCE]))
        admin = HubAdminStub(await closing.enter_async_context(open_aio_channel(address)))
        await drive(nodes, interval_s, interval_s)
        yield Fleet(pid, url, interval_s, nodes, admin)


async def measure(
    address: str, pid: int, url: str, count: int, interval_s: float, seconds: float, pairs: int, per_s: float
) -> tuple[list[Period], list[Period]]:
    """Return the periods without and with a scraper."""
    without, scraping = [], []
    async with connected(address, pid, url, count, interval_s) as fleet:
        for _ in range(pairs):
            without.append(await fleet.period(seconds, 0.0))
            scraping.append(await fleet.period(seconds, per_s))
    return without, scraping


def free_port() -> int:
    """Return a port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print the figures; return 1 if reading the metrics costs more than it may."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__.split("\n")[0])
    parser.add_argument("--nodes", type=int, default=10_000)
    parser.add_argument("--interval", type=float, default=10.0, help="s between two heartbeats of a node")
    parser.add_argument("--seconds", type=float, default=5.0, help="duration of a period")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--per-s", type=float, default=20.0, help="scrapes per second")
    args = parser.parse_args(words)
    http = f"127.0.0.1:{free_port()}"
    with server(HUB, HUB_HTTP_LISTEN=http) as (address, process):
        url = f"http://{http}/metrics"
        found = measure(address, process.pid, url, args.nodes, args.interval, args.seconds, args.pairs, args.per_s)
        without, scraping = asyncio.run(found)
    scrape_s = median(
        (one.hub_cores - plain.hub_cores) * args.seconds / one.scrapes
        for plain, one in zip(without, scraping, strict=True)
    )
    report = {
        "nodes": args.nodes,
        "scrape_ms": 1000 * scrape_s,
        "hub_cores": median(one.hub_cores for one in without),
        "heartbeat_p99_ms": 1000 * median(one.p99_s for one in without),
        "heartbeat_p99_ms_scraped": 1000 * median(one.p99_s for one in scraping),
        "pauses": sum(one.pauses for one in without),
        "pauses_scraped": sum(one.pauses for one in scraping),
        "periods": {"without": [asdict(one) for one in without], "scraped": [asdict(one) for one in scraping]},
    }
    print(json.dumps(report, indent=1))  # noqa: T201
    return int(scrape_s > MOST_SCRAPE_S)


if __name__ == "__main__":
    sys.exit(main())
