"""Other ways to run blocking work for an event loop than the hub's bounded executor.

way               what bounds it             under overload
bounded           workers, queue             `submit` waits, and the hub does not read that stream (the hub's way)
caller-runs       workers, queue             the event loop does the work itself, and reads no stream meanwhile
unbounded pool    workers                    the queue grows until memory runs out
thread a message  nothing                    threads grow until memory runs out
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from typing import Any, Protocol, TypeVar

from heartbench.hub.work.executor import BoundedExecutor, ExecutorFullError, Policy

T = TypeVar("T")


class Executor(Protocol):
    """What all ways have in common with the hub's executor."""

    def start(self) -> None:
        """Start, on the event loop."""

    async def submit(self, fn: Callable[..., T], *args: Any) -> T:
        """Run `fn(*args)`; return its result."""
        ...

    async def close(self) -> None:
        """Wait for the calls, and stop."""


class CallerRuns:
    """Bounded; the caller itself runs what does not fit. The hub does not offer this policy."""

    def __init__(self, workers: int, queue_limit: int) -> None:
        self._executor = BoundedExecutor(workers, queue_limit, Policy.REJECT)
        self.start = self._executor.start
        self.close = self._executor.close

    async def submit(self, fn: Callable[..., T], *args: Any) -> T:
        """Run on a worker, or on the event loop if the queue is full."""
        try:
            return await self._executor.submit(fn, *args)
        except ExecutorFullError:
            return fn(*args)


class UnboundedPool:
    """A plain `ThreadPoolExecutor`: a fixed number of workers, and an unlimited queue."""

    def __init__(self, workers: int) -> None:
        self._pool = ThreadPoolExecutor(workers)

    def start(self) -> None:
        """Return at once: threads start with the first call."""

    async def submit(self, fn: Callable[..., T], *args: Any) -> T:
        """Run on a worker."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, fn, *args)

    async def close(self) -> None:
        """Wait for the workers."""
        self._pool.shutdown()


class ThreadPerMessage:
    """A new thread for each call."""

    def start(self) -> None:
        """Return at once: there is nothing to start."""

    async def submit(self, fn: Callable[..., T], *args: Any) -> T:
        """Run on a new thread."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()
        Thread(target=lambda: loop.call_soon_threadsafe(outcome.set_result, fn(*args))).start()
        return await outcome

    async def close(self) -> None:
        """Return at once: `submit` has waited for each thread."""
