import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbench.hub.errors import HubError
from heartbench.hub.work.budget import Budget


async def settle() -> None:
    """Run every task until all of them wait."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_whoever_finds_no_room_waits_in_line() -> None:
    async def scenario() -> None:
        budget, admitted = Budget(10, 100), []

        async def come(name: str, size_bytes: int) -> None:
            await budget.acquire(size_bytes)
            admitted.append(name)

        async with asyncio.TaskGroup() as group:
            for name, size_bytes in (("a", 60), ("large", 50), ("small", 10)):
                group.create_task(come(name, size_bytes))
            await settle()
            assert (admitted, budget.waiting) == (["a"], 2)  # the small one would fit, and does not overtake
            budget.release(1, 60)
        assert admitted == ["a", "large", "small"]
        assert (budget.items, budget.size_bytes) == (2, 60)

    asyncio.run(scenario())


def test_an_item_larger_than_everything_passes_alone() -> None:
    async def scenario() -> None:
        budget = Budget(10, 100)
        await budget.acquire(1)
        large = asyncio.create_task(budget.acquire(1000))
        await settle()
        assert not large.done()
        budget.release(1, 1)
        await large

    asyncio.run(scenario())


def test_one_that_is_cancelled_gives_its_place_to_the_next() -> None:
    async def scenario() -> None:
        budget = Budget(1, 100)
        await budget.acquire(1)
        first, second = (asyncio.create_task(budget.acquire(1)) for _ in range(2))
        await settle()
        first.cancel()
        budget.release(1, 1)
        await second
        assert (budget.items, budget.size_bytes) == (1, 1)

    asyncio.run(scenario())


def test_one_that_is_cancelled_just_after_it_was_let_in_gives_its_room_back() -> None:
    async def scenario() -> None:
        budget = Budget(1, 100)
        await budget.acquire(1)
        waiting = asyncio.create_task(budget.acquire(1))
        await settle()
        budget.release(1, 1)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert (budget.items, budget.size_bytes) == (0, 0)

    asyncio.run(scenario())


def test_closing_refuses_those_in_line_and_those_who_come() -> None:
    async def scenario() -> None:
        budget = Budget(1, 100)
        await budget.acquire(1)
        waiting = asyncio.create_task(budget.acquire(1))
        await settle()
        budget.close(HubError("closed"))
        for late in (waiting, budget.acquire(1)):
            with pytest.raises(HubError, match="closed"):
                await late

    asyncio.run(scenario())


@given(st.lists(st.one_of(st.integers(0, 60), st.sampled_from(["release", "cancel"])), max_size=40))
def test_the_bounds_hold_and_nobody_is_left_waiting_beside_room(steps: list[int | str]) -> None:
    async def scenario() -> None:
        budget, held = Budget(3, 50), []
        tasks: list[asyncio.Task[None]] = []

        async def come(size_bytes: int) -> None:
            await budget.acquire(size_bytes)
            held.append(size_bytes)

        for step in steps:
            if isinstance(step, int):
                tasks.append(asyncio.create_task(come(step)))
            elif step == "release" and held:
                budget.release(1, held.pop(0))
            elif step == "cancel" and tasks:
                tasks.pop().cancel()
            await settle()
            assert (budget.items, budget.size_bytes) == (len(held), sum(held))
            assert len(held) <= 3
            assert sum(held) <= 50 or len(held) == 1
        while held:
            budget.release(1, held.pop(0))
            await settle()
        assert budget.waiting == 0

    asyncio.run(scenario())
