"""One way to run blocking work under an open-loop load: `python -m ….openloop WAY LOAD` prints JSON.

Messages arrive on an absolute schedule, from STREAMS nodes in turn, so a slow executor cannot slow its own load (no
coordinated omission). Each makes one call to a device, such as a disk or a remote store, that serves SLOTS calls at a
time and takes SERVICE_S for each. So the capacity, SLOTS / SERVICE_S, does not depend on the machine. While a stream
waits for its call, it does not read: later messages wait at the node.

    waiting in the hub     arrived, not begun          waiting at the nodes    due, not arrived

The same event loop runs a hub core whose NODES nodes send heartbeats on their own schedule: the lateness of their
processing is what the executor costs the rest of the fleet.
"""

import asyncio
import gc
import json
import math
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field

import numpy as np
import structlog

from heartbench.benchmarks.executors.ways import CallerRuns, Executor, ThreadPerMessage, UnboundedPool
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
SAMPLE_S = 0.005
WAVE_S, WAVE_SHARE = 1.0, 0.2

WAYS: dict[str, Callable[[], Executor]] = {
    "unbounded pool": lambda: UnboundedPool(WORKERS),
    "thread a message": ThreadPerMessage,
    "bounded, block": lambda: BoundedExecutor(WORKERS, QUEUE),
    "bounded, reject": lambda: BoundedExecutor(WORKERS, QUEUE, Policy.REJECT),
    "bounded, caller runs": lambda: CallerRuns(WORKERS, QUEUE),
}
AWAITED = {"bounded, block", "bounded, reject", "bounded, caller runs"}
"""Ways in which a stream waits for its call; with the unbounded ones it reads on."""
LOADS: dict[str, float] = {"0.5": 0.5, "0.9": 0.9, "1.1": 1.1, "2": 2.0, "5": 5.0, "waves": 0.9}
"""Mean arrival rate by name, as a share of the capacity; in waves, all arrive in a fifth of each second."""


def arrivals(load: str, duration_s: float = LOAD_S) -> list[float]:
    """Return the arrival times in s from the start: evenly spaced, or evenly within each wave."""
    rate = LOADS[load] * CAPACITY_PER_S
    if load != "waves":
        return [number / rate for number in range(round(rate * duration_s))]
    each = round(rate * WAVE_S)
    waves = range(round(duration_s / WAVE_S))
    return [wave * WAVE_S + number * WAVE_S * WAVE_SHARE / each for wave in waves for number in range(each)]


@dataclass(slots=True)
class Message:
    """The times of one message in s, NaN until they are reached."""

    due_s: float
    arrived_s: float = math.nan
    began_s: float = math.nan
    ended_s: float = math.nan
    refused: bool = False


@dataclass(slots=True)
class Peaks:
    """The maxima over all samples, and the lateness of each heartbeat."""

    in_hub: int = 0
    at_nodes: int = 0
    threads: int = 0
    resident_bytes: float = 0.0
    late_s: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Figures:
    """The outcome of a trial: times in s, memory in bytes above that at the start, else numbers of messages.

    A wait lasts from when a message was due until its work began, of those that were done. `recovery_s` is the time
    from the last arrival until everything was done.
    """

    offered: int
    done: int
    refused: int
    throughput_per_s: float
    wait_p50_s: float
    wait_p99_s: float
    wait_p999_s: float
    peak_in_hub: int
    peak_at_nodes: int
    peak_bytes: float
    threads: int
    recovery_s: float
    heartbeat_late_p50_s: float
    heartbeat_late_p99_s: float
    heartbeat_late_max_s: float


class Trial:
    """One way under one load."""

    def __init__(self, way: str, load: str) -> None:
        self.way = way
        self.executor = WAYS[way]()
        self.slots = threading.Semaphore(SLOTS)
        self.messages = [Message(due_s) for due_s in arrivals(load)]
        self.peaks = Peaks()
        self.unawaited: set[asyncio.Task[None]] = set()
        self.started_s = 0.0

    def now(self) -> float:
        """Return the time since the start, s."""
        return time.perf_counter() - self.started_s

    async def run(self) -> None:
        """Run the trial until the last message is done."""
        self.executor.start()
        self.started_s = time.perf_counter() + 0.05
        background = [asyncio.create_task(each) for each in (self.sample(), self.heartbeats())]
        async with asyncio.TaskGroup() as group:
            for stream in range(STREAMS):
                group.create_task(self.stream(self.messages[stream::STREAMS]))
        while self.unawaited:
            await asyncio.gather(*self.unawaited)
        for task in background:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self.executor.close()

    async def stream(self, messages: list[Message]) -> None:
        """Receive the messages of one node, in order."""
        for message in messages:
            await asyncio.sleep(max(0.0, message.due_s - self.now()))
            message.arrived_s = self.now()
            call = self.call(message, b"x" * MESSAGE_BYTES)
            if self.way in AWAITED:
                await call
            else:
                task = asyncio.create_task(call)
                self.unawaited.add(task)
                task.add_done_callback(self.unawaited.discard)

    async def call(self, message: Message, data: bytes) -> None:
        """Submit the work of a message, or mark the message as refused."""
        try:
            await self.executor.submit(self.work, message, data)
        except (ExecutorFullError, RuntimeError):  # RuntimeError: no more threads
            message.refused = True

    def work(self, message: Message, _: bytes) -> None:
        """Make the blocking call."""
        with self.slots:
            message.began_s = self.now()
            time.sleep(SERVICE_S)
        message.ended_s = self.now()

    async def sample(self) -> None:
        """Update the peaks every SAMPLE_S, until cancelled."""
        peaks, turn = self.peaks, 0
        while True:
            now = self.now()
            due = arrived = gone = 0
            for each in self.messages:
                if each.due_s > now:
                    break
                due += 1
                arrived += not math.isnan(each.arrived_s)
                gone += each.refused or not math.isnan(each.began_s)
            peaks.in_hub, peaks.at_nodes = max(peaks.in_hub, arrived - gone), max(peaks.at_nodes, due - arrived)
            peaks.threads = max(peaks.threads, threading.active_count())
            if turn % 10 == 0:
                peaks.resident_bytes = max(peaks.resident_bytes, resident_bytes())
            turn += 1
            await asyncio.sleep(SAMPLE_S)

    async def heartbeats(self) -> None:
        """Pass the heartbeats of all nodes to a hub, on schedule, until cancelled."""
        hub = open_hub(HubSettings.of(admit_per_s=0, store_url="memory:"), Clock(), seed=1)
        answers = [hub.hello(Hello(f"node-{number}", 1, 0, HEARTBEAT_S), time.monotonic()) for number in range(NODES)]
        sessions = [session for session, _ in answers if session is not None]
        seq = 0
        while True:
            due_s = seq * HEARTBEAT_S / NODES
            await asyncio.sleep(max(0.0, due_s - self.now()))
            hub.heartbeat(sessions[seq % NODES], time.monotonic(), seq, 0.0)
            self.peaks.late_s.append(self.now() - due_s)
            seq += 1
            if seq % (NODES // 4) == 0:
                hub.tick(time.monotonic())


def measure(way: str, load: str) -> Figures:
    """Return the figures of one way under one load."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))  # silences the hub's pause warnings
    trial = Trial(way, load)
    gc.collect()
    empty = resident_bytes()
    asyncio.run(trial.run())
    return figures(trial.messages, trial.peaks, empty)


def figures(messages: list[Message], peaks: Peaks, empty_bytes: float) -> Figures:
    """Return the figures that follow from the messages and the peaks."""
    done = [each for each in messages if not math.isnan(each.ended_s)]
    last_ended_s = max(each.ended_s for each in done)
    waits_s = [each.began_s - each.due_s for each in done]
    return Figures(
        offered=len(messages),
        done=len(done),
        refused=sum(each.refused for each in messages),
        throughput_per_s=len(done) / last_ended_s,
        wait_p50_s=quantile(waits_s, 0.5),
        wait_p99_s=quantile(waits_s, 0.99),
        wait_p999_s=quantile(waits_s, 0.999),
        peak_in_hub=peaks.in_hub,
        peak_at_nodes=peaks.at_nodes,
        peak_bytes=peaks.resident_bytes - empty_bytes,
        threads=peaks.threads,
        recovery_s=max(0.0, last_ended_s - messages[-1].due_s),
        heartbeat_late_p50_s=quantile(peaks.late_s, 0.5),
        heartbeat_late_p99_s=quantile(peaks.late_s, 0.99),
        heartbeat_late_max_s=max(peaks.late_s),
    )


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share does not exceed."""
    return float(np.quantile(values, share, method="inverted_cdf"))


if __name__ == "__main__":
    print(json.dumps(asdict(measure(*sys.argv[1:3]))))  # noqa: T201
