"""Blocking work beside the event loop: fixed workers, a bounded queue, and two policies for a full queue.

    policy    the queue is full, and one more is submitted
    block     `submit` waits, first come, first served, and so does its stream
    reject    `submit` raises ExecutorFullError

A third policy, caller-runs, would run the work on the event loop, and the hub would read no message meanwhile; the hub
does not offer it, `benchmarks/executors/` measures it. `start` starts all workers before the hub accepts connections.
No work runs on another thread: before `start` and after `close` it is rejected.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from threading import Condition, Thread
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

    __slots__ = ("args", "began_s", "ended_s", "error", "fn", "outcome", "result", "submitted_s")

    def __init__(self, fn: Callable[..., Any], args: tuple[Any, ...], submitted_s: float) -> None:
        self.fn = fn
        self.args = args
        self.submitted_s = submitted_s
        self.outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.began_s = self.ended_s = 0.0
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """Call the function on the current thread, and keep its result or error."""
        self.began_s = perf_counter()
        try:
            self.result = self.fn(*self.args)
        except BaseException as error:  # noqa: BLE001  (it is raised again in `submit`)
            self.error = error
        self.ended_s = perf_counter()


class BoundedExecutor:
    """Runs blocking calls on `workers` threads; up to `queue_limit` more wait for a thread."""

    def __init__(self, workers: int, queue_limit: int, policy: Policy = Policy.BLOCK) -> None:
        self.workers = workers
        self.queue_limit = queue_limit
        self.policy = policy
        self._room = Budget(workers + queue_limit, 0)
        self._queue: deque[Job] = deque()
        self._changed = Condition()  # guards the three below, which workers change too
        self._running = 0
        self._ending = False
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
        result is dropped.

        Raises:
            ExecutorFullError: The queue is full, and the policy is to reject.
            ExecutorClosedError: The executor is not running.
        """
        if not self._threads:
            raise ExecutorClosedError("the executor has not been started; nothing runs before it")
        if self.policy is Policy.REJECT and self._room.would_wait(0):
            self._rejected += 1
            raise ExecutorFullError(f"{self.workers} workers are busy and {self.queue_limit} calls wait for them")
        submitted_s = perf_counter()
        await self._room.acquire(0)
        job = Job(fn, args, submitted_s)
        self._enqueue(job)
        try:
            return cast("T", await job.outcome)
        except asyncio.CancelledError:
            self._withdraw(job)
            raise

    async def close(self) -> None:
        """Reject new work, finish the queue, end the workers. Under a timeout, calls that still run are abandoned."""
        self._room.close(ExecutorClosedError("the executor is closed"))
        try:
            await self._empty.wait()
        finally:
            self._end()
        for thread in self._threads:
            thread.join()

    def stats(self) -> ExecutorStats:
        """Return the figures now."""
        return ExecutorStats(
            workers=self.workers,
            running=self._running,
            queued=len(self._queue),
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

    def _end(self) -> None:
        with self._changed:
            self._ending = True
            left = list(self._queue)
            self._queue.clear()
            self._changed.notify_all()
        for job in left:
            if not job.outcome.done():
                job.outcome.set_exception(ExecutorClosedError("the executor was closed before this call began"))

    def _enqueue(self, job: Job) -> None:
        self._empty.clear()
        with self._changed:
            self._queue.append(job)
            self._changed.notify()

    def _withdraw(self, job: Job) -> None:
        with self._changed:
            if job not in self._queue:
                return  # a worker runs it
            self._queue.remove(job)
        self._cancelled += 1
        self._leave()

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._ending)
                if not self._queue:
                    return
                job = self._queue.popleft()
                self._running += 1
            job.run()
            with self._changed:
                self._running -= 1
            with suppress(RuntimeError):  # the loop is closed, and all waiters with it
                loop.call_soon_threadsafe(self._finish, job)

    def _finish(self, job: Job) -> None:
        self._wait_s.add(job.began_s - job.submitted_s)
        self._run_s.add(job.ended_s - job.began_s)
        self._completed += job.error is None
        self._failed += job.error is not None
        if not job.outcome.done():
            if job.error is None:
                job.outcome.set_result(job.result)
            else:
                job.outcome.set_exception(job.error)
        self._leave()

    def _leave(self) -> None:
        self._room.release(1, 0)
        if self._room.items == 0:
            self._empty.set()
