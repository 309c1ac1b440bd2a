"""One way to run blocking work, under arrivals that do not wait for it: `python -m ….openloop WAY LOAD` prints JSON.

Messages come at times that were fixed before (an absolute schedule, so that a slow executor cannot slow its own load:
no coordinated omission), from STREAMS nodes in turn. Each makes one call to a device that serves SLOTS at a time and
takes SERVICE_S for each: a disk, a remote store. So the capacity, SLOTS / SERVICE_S, does not depend on the machine.
A stream that waits for its call reads no more of its node meanwhile: later messages wait at the node.

    in the hub     came in, and has not begun          at the nodes    was due, and has not come in

In the same process, on the same event loop, runs a hub core whose NODES nodes send heartbeats on their own schedule:
how late the hub sees them is what the executor costs the rest of the fleet.
"""

import asyncio
import gc
import json
import math
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog

from heartbench.benchmarks.executors.ways import CallerRuns, Executor, ThreadAMessage, UnboundedPool
from heartbench.benchmarks.history.memory import resident_bytes
from heartbench.hub import Hello, HubSettings
from heartbench.hub.clock import Clock
from heartbench.hub.composition import open_hub
from heartbench.hub.work.executor import BoundedExecutor, ExecutorFullError, Policy

SLOTS, SERVICE_S = 4, 0.010
CAPACITY_PER_S = SLOTS / SERVICE_S
WORKERS, QUEUE = SLOTS, 16
STREAMS = 50
MESSAGE_BYTES = 16 << 10
LOAD_S = 2.0
NODES, HEARTBEAT_S = 100, 1.0
LOOK_S = 0.005
WAVE_S, WAVE_SHARE = 1.0, 0.2

WAYS: dict[str, Callable[[], Executor]] = {
    "unbounded pool": lambda: UnboundedPool(WORKERS),
    "thread a message": ThreadAMessage,
    "bounded, block": lambda: BoundedExecutor(WORKERS, QUEUE),
    "bounded, reject": lambda: BoundedExecutor(WORKERS, QUEUE, Policy.REJECT),
    "bounded, caller runs": lambda: CallerRuns(WORKERS, QUEUE),
}
AWAITED = {"bounded, block", "bounded, reject", "bounded, caller runs"}
"""Ways in which a stream waits for its call. The others take whatever comes: that is what unbounded means."""
LOADS: dict[str, float] = {"0.5": 0.5, "0.9": 0.9, "1.1": 1.1, "2": 2.0, "5": 5.0, "waves": 0.9}
"""By name, the mean arrivals as a share of the capacity; waves bring them in a fifth of each second."""


def arrivals(load: str, duration_s: float = LOAD_S) -> list[float]:
    """When messages come, s from the start, evenly spaced; in waves, evenly within each wave."""
    rate = LOADS[load] * CAPACITY_PER_S
    if load != "waves":
        return [number / rate for number in range(round(rate * duration_s))]
    each = round(rate * WAVE_S)
    waves = range(round(duration_s / WAVE_S))
    return [wave * WAVE_S + number * WAVE_S * WAVE_SHARE / each for wave in waves for number in range(each)]


@dataclass(slots=True)
class Message:
    """One message on its way: times in s, NaN where it did not get so far."""

    due_s: float
    came_s: float = math.nan
    began_s: float = math.nan
    ended_s: float = math.nan
    refused: bool = False


@dataclass(slots=True)
class Seen:
    """The worst that was seen, look by look."""

    in_hub: int = 0
    at_nodes: int = 0
    threads: int = 0
    resident: float = 0.0
    late_s: list[float] = field(default_factory=list)


class Trial:
    """One way under one load."""

    def __init__(self, way: str, load: str) -> None:
        self.way = way
        self.executor = WAYS[way]()
        self.slots = threading.Semaphore(SLOTS)
        self.messages = [Message(due_s) for due_s in arrivals(load)]
        self.seen = Seen()
        self.unawaited: set[asyncio.Task[None]] = set()
        self.started_s = 0.0

    def now(self) -> float:
        """Time since the start, s."""
        return time.perf_counter() - self.started_s

    async def run(self) -> None:
        """Start everything, wait until the last message is done, end everything."""
        self.executor.start()
        self.started_s = time.perf_counter() + 0.05
        beside = [asyncio.create_task(each) for each in (self.look(), self.heartbeats())]
        async with asyncio.TaskGroup() as group:
            for stream in range(STREAMS):
                group.create_task(self.stream(self.messages[stream::STREAMS]))
        while self.unawaited:
            await asyncio.gather(*self.unawaited)
        for task in beside:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self.executor.close()

    async def stream(self, messages: list[Message]) -> None:
        """The messages of one node, in order."""
        for message in messages:
            await asyncio.sleep(max(0.0, message.due_s - self.now()))
            message.came_s = self.now()
            call = self.call(message, b"x" * MESSAGE_BYTES)
            if self.way in AWAITED:
                await call
            else:
                task = asyncio.create_task(call)
                self.unawaited.add(task)
                task.add_done_callback(self.unawaited.discard)

    async def call(self, message: Message, data: bytes) -> None:
        """Have a message worked on; refused is done."""
        try:
            await self.executor.submit(self.work, message, data)
        except (ExecutorFullError, RuntimeError):  # RuntimeError: no more threads
            message.refused = True

    def work(self, message: Message, _: bytes) -> None:
        """The blocking call."""
        with self.slots:
            message.began_s = self.now()
            time.sleep(SERVICE_S)
        message.ended_s = self.now()

    async def look(self) -> None:
        """See how many wait where, again and again, until cancelled."""
        seen, turn = self.seen, 0
        while True:
            now = self.now()
            due = came = gone = 0
            for each in self.messages:
                if each.due_s > now:
                    break
                due += 1
                came += not math.isnan(each.came_s)
                gone += each.refused or not math.isnan(each.began_s)
            seen.in_hub, seen.at_nodes = max(seen.in_hub, came - gone), max(seen.at_nodes, due - came)
            seen.threads = max(seen.threads, threading.active_count())
            if turn % 10 == 0:
                seen.resident = max(seen.resident, resident_bytes())
            turn += 1
            await asyncio.sleep(LOOK_S)

    async def heartbeats(self) -> None:
        """A hub hears its nodes, each on its own schedule, until cancelled."""
        hub = open_hub(HubSettings.of(admit_per_s=0, store_url="memory:"), Clock(), seed=1)
        said = [hub.hello(Hello(f"node-{number}", 1, 0, HEARTBEAT_S), time.monotonic())[0] for number in range(NODES)]
        sessions = [session for session in said if session is not None]
        seq = 0
        while True:
            due_s = seq * HEARTBEAT_S / NODES
            await asyncio.sleep(max(0.0, due_s - self.now()))
            hub.heartbeat(sessions[seq % NODES], time.monotonic(), seq, 0.0)
            self.seen.late_s.append(self.now() - due_s)
            seq += 1
            if seq % (NODES // 4) == 0:
                hub.tick(time.monotonic())


def measure(way: str, load: str) -> dict[str, float]:
    """All figures of one way under one load; times in s, memory in bytes."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))  # what the hub says of its pauses
    trial = Trial(way, load)
    gc.collect()
    empty = resident_bytes()
    asyncio.run(trial.run())
    return figures(trial.messages, trial.seen, empty)


def figures(messages: list[Message], seen: Seen, empty: float) -> dict[str, float]:
    """What became of the messages; a wait is from when a message was due until work on it began."""
    done = [each for each in messages if not math.isnan(each.ended_s)]
    waits = sorted(each.began_s - each.due_s for each in done)
    late = sorted(seen.late_s)
    last_due_s = messages[-1].due_s
    return {
        "offered": len(messages),
        "done": len(done),
        "refused": sum(each.refused for each in messages),
        "throughput_per_s": len(done) / max(each.ended_s for each in done),
        "wait_p50_s": quantile(waits, 0.5),
        "wait_p99_s": quantile(waits, 0.99),
        "wait_p999_s": quantile(waits, 0.999),
        "peak_in_hub": seen.in_hub,
        "peak_at_nodes": seen.at_nodes,
        "peak_bytes": seen.resident - empty,
        "threads": seen.threads,
        "recovery_s": max(0.0, max(each.ended_s for each in done) - last_due_s),
        "heartbeat_late_p50_s": quantile(late, 0.5),
        "heartbeat_late_p99_s": quantile(late, 0.99),
        "heartbeat_late_max_s": late[-1],
    }


def quantile(ordered: list[float], share: float) -> float:
    """The smallest that at least this share does not exceed; NaN of none."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def main(way: str, load: str) -> dict[str, Any]:
    """Measure, with the names that belong to it."""
    return {"way": way, "load": load, **measure(way, load)}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:3])))  # noqa: T201
