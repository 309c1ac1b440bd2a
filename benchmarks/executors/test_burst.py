"""A burst of 1,000 messages at once, each hashed in the executor, while a task measures the event loop's lag.

`extra_info` contains the greatest lag of the event loop, and the most threads at a time.
"""

import asyncio
import hashlib
import threading
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from heartbench.benchmarks.executors.ways import CallerRuns, Executor, ThreadPerMessage, UnboundedPool
from heartbench.hub.work.executor import BoundedExecutor

MESSAGES = 1000
DATA = bytes(50_000)
WORKERS, QUEUE = 2, 16
TICK_S = 0.001

WAYS: dict[str, Callable[[], Executor]] = {
    "bounded, block": lambda: BoundedExecutor(WORKERS, QUEUE),
    "caller-runs": lambda: CallerRuns(WORKERS, QUEUE),
    "unbounded pool": lambda: UnboundedPool(WORKERS),
    "thread a message": ThreadPerMessage,
}


class Watch:
    """The maxima during a burst."""

    def __init__(self) -> None:
        self.lag_ms = 0.0
        self.threads = 0

    def hash(self) -> bytes:
        """Do the work of one message."""
        self.threads = max(self.threads, threading.active_count())
        return hashlib.sha256(DATA).digest()

    async def tick(self) -> None:
        """Measure the lag until cancelled."""
        while True:
            began_s = perf_counter()
            await asyncio.sleep(TICK_S)
            self.lag_ms = max(self.lag_ms, (perf_counter() - began_s - TICK_S) * 1000)


async def burst(make: Callable[[], Executor], watch: Watch) -> None:
    """Submit all messages at once, and wait until the last is done."""
    executor = make()
    executor.start()
    ticking = asyncio.create_task(watch.tick())
    async with asyncio.TaskGroup() as group:
        for _ in range(MESSAGES):
            group.create_task(executor.submit(watch.hash))
    ticking.cancel()
    with suppress(asyncio.CancelledError):
        await ticking
    await executor.close()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.benchmark(group=f"executors: a burst of {MESSAGES} messages")
def test_burst(benchmark: BenchmarkFixture, way: str) -> None:
    """How long does a burst take in each executor, at what cost for the event loop and in threads?"""
    watch = Watch()
    benchmark.pedantic(lambda: asyncio.run(burst(WAYS[way], watch)), rounds=5, warmup_rounds=1)
    benchmark.extra_info.update(lag_ms=round(watch.lag_ms, 2), threads=watch.threads)
