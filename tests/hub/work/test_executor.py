import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from heartbench.hub.work.executor import BoundedExecutor, ExecutorClosedError, ExecutorFullError, Policy


@asynccontextmanager
async def running(workers: int, queue_limit: int, policy: Policy = Policy.BLOCK) -> AsyncIterator[BoundedExecutor]:
    executor = BoundedExecutor(workers, queue_limit, policy)
    executor.start()
    try:
        yield executor
    finally:
        await executor.close()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await scenario

    asyncio.run(bounded())


class Gate:
    """Work that begins, says so, and ends when it may."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.open = threading.Event()
        self.calls: list[str] = []

    def pass_through(self, name: str) -> str:
        self.calls.append(name)
        self.begun.release()
        assert self.open.wait(10)
        return name

    async def wait_begun(self) -> None:
        assert await asyncio.to_thread(self.begun.acquire, timeout=10)


def test_results_and_errors_come_back_to_who_submitted() -> None:
    async def scenario() -> None:
        async with running(2, 4) as executor:
            assert await executor.submit(divmod, 7, 2) == (3, 1)
            with pytest.raises(ZeroDivisionError):
                await executor.submit(divmod, 7, 0)
            stats = executor.stats()
            assert (stats.completed, stats.failed, stats.running, stats.queued) == (1, 1, 0, 0)

    run(scenario())


def test_all_workers_are_there_before_the_first_submit_and_no_more_come() -> None:
    async def scenario() -> None:
        before = threading.active_count()
        async with running(3, 100) as executor:
            assert threading.active_count() == before + 3
            names = await asyncio.gather(*(executor.submit(lambda: threading.current_thread().name) for _ in range(80)))
            assert set(names) <= {f"hub-worker-{n}" for n in range(3)}
            assert threading.active_count() == before + 3
        assert threading.active_count() == before

    run(scenario())


def test_nothing_runs_before_the_start_or_after_the_end() -> None:
    async def scenario() -> None:
        calls: list[int] = []
        executor = BoundedExecutor(1, 1)
        with pytest.raises(ExecutorClosedError, match="not been started"):
            await executor.submit(calls.append, 1)
        executor.start()
        await executor.close()
        with pytest.raises(ExecutorClosedError, match="closed"):
            await executor.submit(calls.append, 2)
        assert calls == []

    run(scenario())


def test_block_makes_the_one_too_many_wait_its_turn() -> None:
    async def scenario() -> None:
        gate = Gate()
        async with running(1, 1) as executor, asyncio.TaskGroup() as group:
            tasks = [group.create_task(executor.submit(gate.pass_through, name)) for name in "abcd"]
            await gate.wait_begun()
            stats = executor.stats()
            assert (stats.running, stats.queued, stats.waiting) == (1, 1, 2)
            gate.open.set()
            assert [await task for task in tasks] == list("abcd")
            assert gate.calls == list("abcd")

    run(scenario())


def test_reject_says_no_at_once_and_takes_work_again_later() -> None:
    async def scenario() -> None:
        gate = Gate()
        async with running(1, 1, Policy.REJECT) as executor:
            tasks = [asyncio.create_task(executor.submit(gate.pass_through, name)) for name in "ab"]
            await settle()
            with pytest.raises(ExecutorFullError, match="1 workers are busy and 1 calls wait"):
                await executor.submit(gate.pass_through, "c")
            assert executor.stats().rejected == 1
            gate.open.set()
            await asyncio.gather(*tasks)
            assert await executor.submit(gate.pass_through, "d") == "d"

    run(scenario())


def test_work_that_is_cancelled_while_it_waits_is_never_done_and_makes_room() -> None:
    async def scenario() -> None:
        gate = Gate()
        async with running(1, 1) as executor:
            running_one, queued, in_line = (
                asyncio.create_task(executor.submit(gate.pass_through, name)) for name in ("runs", "queued", "in line")
            )
            await gate.wait_begun()
            last = asyncio.create_task(executor.submit(gate.pass_through, "last"))
            await settle()
            queued.cancel()
            in_line.cancel()
            await asyncio.wait([queued, in_line])
            await settle()
            assert (executor.stats().queued, executor.stats().waiting) == (1, 0)
            gate.open.set()
            assert [await running_one, await last] == ["runs", "last"]
            assert gate.calls == ["runs", "last"]

    run(scenario())


def test_work_that_is_cancelled_while_it_runs_keeps_its_worker_until_it_ends() -> None:
    async def scenario() -> None:
        gate = Gate()
        async with running(1, 1) as executor:
            first = asyncio.create_task(executor.submit(gate.pass_through, "first"))
            await gate.wait_begun()
            first.cancel()
            await asyncio.wait([first])
            second = asyncio.create_task(executor.submit(gate.pass_through, "second"))
            await settle()
            assert (executor.stats().running, executor.stats().queued) == (1, 1)
            gate.open.set()
            assert await second == "second"

    run(scenario())


def test_closing_finishes_what_was_queued_and_refuses_what_was_not() -> None:
    async def scenario() -> None:
        gate = Gate()
        executor = BoundedExecutor(1, 1)
        executor.start()
        tasks = [asyncio.create_task(executor.submit(gate.pass_through, name)) for name in "abc"]
        await gate.wait_begun()
        closing = asyncio.create_task(executor.close())
        await settle()
        gate.open.set()
        await closing
        assert [await tasks[0], await tasks[1]] == ["a", "b"]
        with pytest.raises(ExecutorClosedError):
            await tasks[2]

    run(scenario())


def test_closing_under_a_timeout_leaves_behind_what_does_not_end() -> None:
    async def scenario() -> None:
        gate = Gate()
        executor = BoundedExecutor(1, 1)
        executor.start()
        tasks = [asyncio.create_task(executor.submit(gate.pass_through, name)) for name in "ab"]
        await gate.wait_begun()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await executor.close()
        gate.open.set()
        assert await tasks[0] == "a"
        with pytest.raises(ExecutorClosedError, match="before this call began"):
            await tasks[1]
        assert gate.calls == ["a"]

    run(scenario())


def test_the_wait_for_a_worker_is_measured() -> None:
    async def scenario() -> None:
        gate = Gate()
        async with running(1, 4) as executor, asyncio.TaskGroup() as group:
            for name in "ab":
                group.create_task(executor.submit(gate.pass_through, name))
            await gate.wait_begun()
            await asyncio.sleep(0.05)
            gate.open.set()
        assert executor.stats().wait_p99_s >= 0.05
        assert executor.stats().run_p99_s >= 0.05

    run(scenario())


def test_caller_runs_is_no_policy_of_the_hub() -> None:
    with pytest.raises(ValueError, match="caller-runs"):
        Policy("caller-runs")
