"""The cost of a subscriber that never reads: how late the others get their events, without it and beside it.

    python -m heartbench.benchmarks.hub.subscribers --subscribers 10 --rate 300 --seconds 5 --pairs 4

The hub is a process of its own. Periods without and with the silent subscriber alternate, so that noise on the machine
affects both. At the end of its period it reads after all: the events that it gets, and the number that it learns were
lost, must add up.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from statistics import median

import grpc.aio

from heartbench.benchmarks.hub.ingest import cpu_s, resident_kib, server
from heartbench.mesh.channel import open_aio_channel
from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1.mesh_pb2_grpc import HubAdminStub

PROGRAM = "python -m heartbench.benchmarks.hub.subscribers"
EVENTS_HUB = ["-m", "heartbench.benchmarks.hub.events_hub"]
ALLOWED_SHARE, ALLOWED_S = 0.2, 0.005
WARM_UP_S = 1.0
MAX_EVENTS = 4_000
"""Limit on the events that waited in gRPC and in the hub's queue, which hold some 1.5 MB."""


@dataclass(frozen=True, slots=True)
class Period:
    """One period: p99 of how late the others got events (s), the hub's CPU time (s) and its memory after it (MiB)."""

    p99_s: float
    cpu_s: float
    resident_mib: float
    events: int


@dataclass(frozen=True, slots=True)
class Silent:
    """The silent subscriber: events that it received, events reported as lost, and whether both add up."""

    received: int
    reported_lost: int
    adds_up: bool


@dataclass(frozen=True, slots=True)
class Found:
    """All periods, in order."""

    alone: list[Period]
    beside: list[Period]
    silent: list[Silent]

    @property
    def change_s(self) -> float:
        """Median increase of the p99 between neighbouring periods, s."""
        return median(with_it.p99_s - without.p99_s for without, with_it in zip(self.alone, self.beside, strict=True))

    @property
    def share(self) -> float:
        """The increase as a share of the p99 without the silent subscriber."""
        return self.change_s / median(period.p99_s for period in self.alone)

    @property
    def holds(self) -> bool:
        """Whether the others were hardly affected, and the silent subscriber learned what it lost."""
        reported = all(silent.adds_up and silent.reported_lost for silent in self.silent)
        return reported and (self.share < ALLOWED_SHARE or self.change_s < ALLOWED_S)


async def listen(address: str, late_s: list[float]) -> None:
    """Read events at once, and record how late each was, until cancelled."""
    async with open_aio_channel(address) as channel:
        async for event in HubAdminStub(channel).WatchEvents(pb.WatchEventsRequest()):
            late_s.append(time.time() - event.at_unix_s)  # noqa: PERF401  (the stream never ends)


async def compare(address: str, pid: int, subscribers: int, seconds: float, pairs: int) -> Found:
    """Measure periods without and with a subscriber that does not read, alternating."""
    found = Found([], [], [])
    late_s: list[float] = []
    tasks = [asyncio.create_task(listen(address, late_s)) for _ in range(subscribers)]
    await asyncio.sleep(WARM_UP_S)
    for _ in range(pairs):
        found.alone.append(await period(late_s, pid, seconds))
        async with open_aio_channel(address) as channel:
            silent = HubAdminStub(channel).WatchEvents(pb.WatchEventsRequest())
            await silent.initial_metadata()
            found.beside.append(await period(late_s, pid, seconds))
            found.silent.append(await read_after_all(silent))
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return found


async def period(late_s: list[float], pid: int, seconds: float) -> Period:
    """Return the figures of a period, during which all listeners add to `late_s`."""
    late_s.clear()
    before_s = cpu_s(pid)
    await asyncio.sleep(seconds)
    events = len(late_s)
    return Period(sorted(late_s)[int(0.99 * events)], cpu_s(pid) - before_s, resident_kib(pid) / 1024, events)


async def read_after_all(events: "grpc.aio.UnaryStreamCall[pb.WatchEventsRequest, pb.Event]") -> Silent:
    """Read the waiting events, the number of lost ones, and the newest."""
    first = await events.read()
    assert isinstance(first, pb.Event)  # noqa: S101
    last, received, lost, adds_up = first.seq, 1, 0, True
    with suppress(TimeoutError):
        async with asyncio.timeout(WARM_UP_S):
            while received < MAX_EVENTS and isinstance(event := await events.read(), pb.Event):
                step = event.lost.count if event.HasField("lost") else 1
                adds_up &= event.seq == last + step
                last = event.seq
                lost += step if event.HasField("lost") else 0
                received += not event.HasField("lost")
    return Silent(received, lost, adds_up)


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print the figures; return 1 if the others were affected."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__.split("\n")[0])
    parser.add_argument("--subscribers", type=int, default=10, help="number of those that read")
    parser.add_argument("--rate", type=float, default=300.0, help="events per second")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of a period; long enough to lose events")
    parser.add_argument("--pairs", type=int, default=4)
    given = parser.parse_args(words)
    with server([*EVENTS_HUB, str(given.rate)]) as (address, process):
        found = asyncio.run(compare(address, process.pid, given.subscribers, given.seconds, given.pairs))
    figures = {"change_ms": 1000 * found.change_s, "share": found.share, "holds": found.holds}
    print(json.dumps({**asdict(found), **figures}, indent=2))  # noqa: T201
    return 0 if found.holds else 1


if __name__ == "__main__":
    sys.exit(main())
