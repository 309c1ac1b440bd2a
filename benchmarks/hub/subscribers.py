"""What a subscriber that never reads costs the others: how late they have their events, without it and beside it.

    python -m heartbench.benchmarks.hub.subscribers --subscribers 10 --rate 300 --seconds 5 --pairs 4

The hub is a process of its own. Spells without and with the one that does not read take turns, so that whatever else
the machine does falls on both. At the end of its spell it reads after all: what it is given, and what it is told that
it lost, must add up.
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
from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1.mesh_pb2_grpc import HubAdminStub

PROGRAM = "python -m heartbench.benchmarks.hub.subscribers"
TALKATIVE = ["-m", "heartbench.benchmarks.hub.events_hub"]
OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0)]
ALLOWED_SHARE, ALLOWED_S = 0.2, 0.005
WARM_UP_S = 1.0
GIVEN_EVENTS = 4_000
"""At most, of those that waited in gRPC and in the hub's queue: some 1.5 MB."""


@dataclass(frozen=True, slots=True)
class Spell:
    """One spell: p99 of how late the others had their events (s), the hub's CPU time (s) and memory after it (MiB)."""

    p99_s: float
    cpu_s: float
    resident_mib: float
    events: int


@dataclass(frozen=True, slots=True)
class Silent:
    """What became of the one that did not read: events it was given, lost, and whether they were counted right."""

    given: int
    told_lost: int
    adds_up: bool


@dataclass(frozen=True, slots=True)
class Found:
    """All spells, in their order."""

    alone: list[Spell]
    beside: list[Spell]
    silent: list[Silent]

    @property
    def change_s(self) -> float:
        """The median of what the p99 grew by, between neighbours."""
        return median(with_it.p99_s - without.p99_s for without, with_it in zip(self.alone, self.beside, strict=True))

    @property
    def share(self) -> float:
        """The same as a share of the p99 without it."""
        return self.change_s / median(spell.p99_s for spell in self.alone)

    @property
    def holds(self) -> bool:
        """Whether the others hardly noticed it, and it was told what it lost."""
        told = all(silent.adds_up and silent.told_lost for silent in self.silent)
        return told and (self.share < ALLOWED_SHARE or self.change_s < ALLOWED_S)


class Listener:
    """A subscriber that reads at once, and notes how late each event was."""

    def __init__(self, address: str) -> None:
        self.late_s: list[float] = []
        self._channel = grpc.aio.insecure_channel(address, options=OPTIONS)

    async def listen(self) -> None:
        """Until cancelled."""
        async with self._channel as channel:
            async for event in HubAdminStub(channel).WatchEvents(pb.WatchEventsRequest()):
                self.late_s.append(time.time() - event.at_unix_s)


async def compare(address: str, pid: int, subscribers: int, seconds: float, pairs: int) -> Found:
    """Spells without and with a subscriber that does not read, in turn."""
    found = Found([], [], [])
    listeners = [Listener(address) for _ in range(subscribers)]
    tasks = [asyncio.create_task(listener.listen()) for listener in listeners]
    await asyncio.sleep(WARM_UP_S)
    for _ in range(pairs):
        found.alone.append(await spell(listeners, pid, seconds))
        async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
            silent = HubAdminStub(channel).WatchEvents(pb.WatchEventsRequest())
            await silent.initial_metadata()
            found.beside.append(await spell(listeners, pid, seconds))
            found.silent.append(await read_after_all(silent))
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return found


async def spell(listeners: Sequence[Listener], pid: int, seconds: float) -> Spell:
    """Listen for so long."""
    for listener in listeners:
        listener.late_s.clear()
    before_s = cpu_s(pid)
    await asyncio.sleep(seconds)
    late_s = sorted(late for listener in listeners for late in listener.late_s)
    return Spell(late_s[int(0.99 * len(late_s))], cpu_s(pid) - before_s, resident_kib(pid) / 1024, len(late_s))


async def read_after_all(events: "grpc.aio.UnaryStreamCall[pb.WatchEventsRequest, pb.Event]") -> Silent:
    """Read what waited, until the hub has said what was lost and goes on with the newest."""
    first = await events.read()
    assert isinstance(first, pb.Event)  # noqa: S101
    last, given, lost, adds_up = first.seq, 1, 0, True
    with suppress(TimeoutError):
        async with asyncio.timeout(WARM_UP_S):
            while given < GIVEN_EVENTS and isinstance(event := await events.read(), pb.Event):
                step = event.lost.count if event.HasField("lost") else 1
                adds_up &= event.seq == last + step
                last = event.seq
                lost += step if event.HasField("lost") else 0
                given += not event.HasField("lost")
    return Silent(given, lost, adds_up)


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print the figures; 1 if the others noticed it."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__.split("\n")[0])
    parser.add_argument("--subscribers", type=int, default=10, help="those that read")
    parser.add_argument("--rate", type=float, default=300.0, help="events a second")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of a spell; long enough for it to lose some")
    parser.add_argument("--pairs", type=int, default=4)
    given = parser.parse_args(words)
    with server([*TALKATIVE, str(given.rate)]) as (address, pid):
        found = asyncio.run(compare(address, pid, given.subscribers, given.seconds, given.pairs))
    figures = {"change_ms": 1000 * found.change_s, "share": found.share, "holds": found.holds}
    print(json.dumps({**asdict(found), **figures}, indent=2))  # noqa: T201
    return 0 if found.holds else 1


if __name__ == "__main__":
    sys.exit(main())
