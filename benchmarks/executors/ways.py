"""Four ways to have blocking work done for an event loop, behind one face.

way               what bounds it             when more comes than it can do
bounded           workers, queue             `submit` waits: the stream behind it is not read (the hub's way)
caller-runs       workers, queue             the event loop does the work itself, and hears nobody meanwhile
unbounded pool    workers                    the queue grows until memory ends
thread a message  nothing                    threads grow until memory ends
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from typing import Any, Protocol, TypeVar

from heartbench.hub.work.executor import BoundedExecutor, ExecutorFullError, Policy

T = TypeVar("T")


class Executor(Protocol):
    """What the ways have in common with the hub's executor."""

    def start(self) -> None:
        """Be ready; on the event loop."""
        ...

    async def submit(self, fn: Callable[..., T], *args: Any) -> T:
        """Have `fn(*args)` called, and return what it returns."""
        ...

    async def close(self) -> None:
        """End when everything is done."""
        ...


class CallerRuns:
    """Bounded; what does not fit is done by whoever submits it. The hub refuses this policy."""

    def __init__(self, workers: int, queue_limit: int) -> None:
        self._executor = BoundedExecutor(workers, queue_limit, Policy.REJECT)
        self.start = self._executor.start
        self.close = self._executor.close

    async def submit(self, fn: Callable[..., T], *args: Any) -> T:
        """On a worker if there is room, else here and now."""
        try:
            return await self._executor.submit(fn, *args)
        except ExecutorFullError:
            return fn(*args)


class UnboundedPool:
    """`ThreadPoolExecutor` as it comes: a fixed number of workers, and a queue without an end."""

    def __init__(self, workers: int) -> None:
        self._pool = ThreadPoolExecutor(workers)

    def start(self) -> None:
        """Nothing: it starts its threads when work comes."""

    async def submit(self, fn: Callable[..., T], *args: Any) -> T:
        """On a worker, some time."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, fn, *args)

    async def close(self) -> None:
        """Wait for the workers."""
        self._pool.shutdown()


class ThreadAMessage:
    """A raw thread for each call: what a hub does whose executor is not ready."""

    def start(self) -> None:
        """Nothing."""

    async def submit(self, fn: Callable[..., T], *args: Any) -> T:
        """On a thread of its own."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()
        Thread(target=lambda: loop.call_soon_threadsafe(outcome.set_result, fn(*args))).start()
        return await outcome

    async def close(self) -> None:
        """Nothing: who has submitted has waited."""
