"""Blocking work beside the event loop: fixed workers, a bounded queue, and two policies for a full queue.

    policy    the queue is full, and one more is submitted
    block     `submit` waits, first come, first served, and so does its stream
    reject    `submit` raises ExecutorFullError

A third policy, caller-runs, would run the work on the event loop, and the hub would read no message meanwhile; the hub
does not offer it, `benchmarks/executors/` measures it. `start` starts all workers before the hub accepts connections.
No work runs on another thread: before `start` and after `close` it is rejected.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from queue import Empty, SimpleQueue
from threading import Thread
from time import perf_counter
from typing import Any, TypeVar, cast

from heartbench.hub.errors import HubError
from heartbench.hub.work.budget import Budget
from heartbench.hub.work.rolling_quantiles import RollingQuantiles

T = TypeVar("T")


class Policy(StrEnum):
    """The behaviour of `submit` when the queue is full."""

    BLOCK = "block"
    REJECT = "reject"


class ExecutorFullError(HubError):
    """The queue is full, and the policy is to reject."""


class ExecutorClosedError(HubError):
    """The executor is not running, or no longer."""


@dataclass(frozen=True, slots=True)
class ExecutorStats:
    """Load of the executor, and the wait (from `submit` to a worker) and duration of the last 512 calls, s."""

    workers: int
    running: int
    queued: int
    waiting: int
    completed: int
    failed: int
    rejected: int
    cancelled: int
    wait_p50_s: float
    wait_p99_s: float
    run_p50_s: float
    run_p99_s: float


class Job:
    """A submitted call and its times."""

    __slots__ = ("args", "began_s", "ended_s", "fn", "outcome", "submitted_s")

    def __init__(self, fn: Callable[..., Any], args: tuple[Any, ...], submitted_s: float) -> None:
        self.fn = fn
        self.args = args
        self.submitted_s = submitted_s
        self.began_s = self.ended_s = 0.0
        self.outcome: Future[Any] = Future()


class BoundedExecutor:
    """Runs blocking calls on `workers` threads; up to `queue_limit` more wait for a thread."""

    def __init__(self, workers: int, queue_limit: int, policy: Policy = Policy.BLOCK) -> None:
        self.workers = workers
        self.queue_limit = queue_limit
        self.policy = policy
        self._room = Budget(workers + queue_limit, 0)
        self._jobs: set[Job] = set()  # that wait for a worker, or run
        self._queue: SimpleQueue[Job | None] = SimpleQueue()  # None ends a worker
        self._threads: list[Thread] = []
        self._empty = asyncio.Event()
        self._empty.set()
        self._completed = self._failed = self._rejected = self._cancelled = 0
        self._wait_s, self._run_s = RollingQuantiles(), RollingQuantiles()

    def start(self) -> None:
        """Start all workers; called once, on the event loop, before the first submit."""
        loop = asyncio.get_running_loop()
        for number in range(self.workers):
            thread = Thread(target=self._work, args=(loop,), name=f"hub-worker-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    async def submit(self, fn: Callable[..., T], *args: Any) -> T:
        """Run `fn(*args)` on a worker, and return its result or raise its error.

        A call that is cancelled while it waits is never made; one that is cancelled while it runs finishes, and its
        result is dropped. Raises ExecutorFullError by the policy, ExecutorClosedError if the executor is not running.
        """
        if not self._threads:
            raise ExecutorClosedError("the executor has not been started; nothing runs before it")
        if self.policy is Policy.REJECT and self._room.would_wait(0):
            self._rejected += 1
            raise ExecutorFullError(f"{self.workers} workers are busy and {self.queue_limit} calls wait for them")
        submitted_s = perf_counter()
        await self._room.acquire(0)
        job = Job(fn, args, submitted_s)
        self._jobs.add(job)
        self._empty.clear()
        self._queue.put(job)
        try:
            return cast("T", await asyncio.wrap_future(job.outcome))
        except asyncio.CancelledError:
            if job.outcome.cancel():  # else a worker runs it
                self._cancelled += 1
                self._leave(job)
            raise

    async def close(self) -> None:
        """Reject new work, finish the queue, end the workers. Under a timeout, calls that still run are abandoned."""
        self._room.close(ExecutorClosedError("the executor is closed"))
        try:
            await self._empty.wait()
        finally:
            self._reject_queue()
            for _ in self._threads:
                self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def stats(self) -> ExecutorStats:
        """Return the figures now."""
        queued = sum(job.began_s == 0 for job in self._jobs)
        return ExecutorStats(
            workers=self.workers,
            running=len(self._jobs) - queued,
            queued=queued,
            waiting=self._room.waiting,
            completed=self._completed,
            failed=self._failed,
            rejected=self._rejected,
            cancelled=self._cancelled,
            wait_p50_s=self._wait_s.quantile(0.5),
            wait_p99_s=self._wait_s.quantile(0.99),
            run_p50_s=self._run_s.quantile(0.5),
            run_p99_s=self._run_s.quantile(0.99),
        )

    def _reject_queue(self) -> None:
        with suppress(Empty):
            while (job := self._queue.get_nowait()) is not None:
                if job.outcome.set_running_or_notify_cancel():
                    self._leave(job)
                    job.outcome.set_exception(ExecutorClosedError("the executor was closed before this call began"))

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        while (job := self._queue.get()) is not None:
            if not job.outcome.set_running_or_notify_cancel():
                continue
            job.began_s = perf_counter()
            result, error = None, None
            try:
                result = job.fn(*job.args)
            except BaseException as caught:  # noqa: BLE001  (it is raised again in `submit`)
                error = caught
            job.ended_s = perf_counter()
            with suppress(RuntimeError):  # the loop is closed, and all waiters with it
                loop.call_soon_threadsafe(self._finish, job, error is None)  # counted before `submit` returns
            if error is None:
                job.outcome.set_result(result)
            else:
                job.outcome.set_exception(error)

    def _finish(self, job: Job, succeeded: bool) -> None:
        self._wait_s.add(job.began_s - job.submitted_s)
        self._run_s.add(job.ended_s - job.began_s)
        self._completed += succeeded
        self._failed += not succeeded
        self._leave(job)

    def _leave(self, job: Job) -> None:
        self._jobs.discard(job)
        self._room.release(1, 0)
        if not self._jobs:
            self._empty.set()
