"""At most once, and never for ever."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from heartbench.hub.errors import NoRoomError
from heartbench.hub.work.commands import BYTES_BESIDE_PAYLOAD, Answer, Commands, Outcome

DONE = Answer(b"done", "")
SOON_S, LATE_S = 0.02, 60.0
MAX_BYTES = 100_000


def run(scene: Callable[[Commands], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(scene(Commands(2, MAX_BYTES, epoch=9)), 10))  # type: ignore[arg-type]


def test_a_command_reaches_a_node_that_is_there_and_its_answer_the_one_who_asked() -> None:
    async def scene(commands: Commands) -> None:
        woken = asyncio.Event()
        commands.attach("n", woken.set)
        asked = asyncio.create_task(commands.run("n", b"go", LATE_S))
        await woken.wait()
        command = commands.take("n")
        assert command is not None
        assert command.payload == b"go"
        commands.answer("n", "9-999", Answer(b"of another", ""))
        commands.answer("other", command.command_id, Answer(b"of another", ""))
        commands.answer("n", command.command_id, DONE)
        commands.answer("n", command.command_id, Answer(b"twice", ""))
        assert await asked == (command.command_id, Outcome.ANSWERED, DONE)
        assert len(commands) == 0

    run(scene)


def test_a_node_that_is_away_gets_it_when_it_comes() -> None:
    async def scene(commands: Commands) -> None:
        asked = asyncio.create_task(commands.run("n", b"go", LATE_S))
        await asyncio.sleep(0)
        woken: list[int] = []
        commands.attach("n", lambda: woken.append(1))
        assert woken
        command = commands.take("n")
        assert command is not None
        commands.answer("n", command.command_id, DONE)
        assert (await asked)[1] is Outcome.ANSWERED

    run(scene)


def test_one_that_was_sent_is_never_sent_again() -> None:
    async def scene(commands: Commands) -> None:
        asked = asyncio.create_task(commands.run("n", b"go", SOON_S))
        await asyncio.sleep(0)
        assert commands.take("n") is not None
        commands.attach("n", lambda: None)  # another stream of the node
        assert commands.take("n") is None
        assert (await asked)[1:] == (Outcome.UNKNOWN, None)

    run(scene)


def test_one_that_nobody_came_for_was_not_delivered() -> None:
    async def scene(commands: Commands) -> None:
        command_id, outcome, answer = await commands.run("n", b"go", SOON_S)
        assert (command_id, outcome, answer) == ("9-1", Outcome.NOT_DELIVERED, None)
        assert commands.take("n") is None

    run(scene)


def test_an_answer_may_come_on_a_later_stream() -> None:
    async def scene(commands: Commands) -> None:
        asked = asyncio.create_task(commands.run("n", b"go", LATE_S))
        await asyncio.sleep(0)
        command = commands.take("n")
        assert command is not None
        commands.attach("n", lambda: None)
        commands.answer("n", command.command_id, DONE)
        assert (await asked)[2] == DONE

    run(scene)


def test_too_many_for_one_node_are_refused_and_leave_others_alone() -> None:
    async def scene(commands: Commands) -> None:
        asked = [asyncio.create_task(commands.run("n", b"go", LATE_S)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(NoRoomError, match="HUB_COMMANDS_WAITING"):
            await commands.run("n", b"one more", LATE_S)
        assert (await commands.run("m", b"go", SOON_S))[1] is Outcome.NOT_DELIVERED
        for task in asked:
            task.cancel()
        await asyncio.wait(asked)
        assert len(commands) == 0

    run(scene)


def test_all_that_wait_share_one_budget_of_bytes_until_their_calls_end() -> None:
    async def scene(commands: Commands) -> None:
        payload = bytes(MAX_BYTES // 2 - BYTES_BESIDE_PAYLOAD)
        asked = [asyncio.create_task(commands.run(node_id, payload, LATE_S)) for node_id in ("a", "b")]
        await asyncio.sleep(0)
        assert commands.size_bytes == MAX_BYTES
        sent = commands.take("a")
        assert sent is not None
        for payload in (b"", bytes(MAX_BYTES)):
            with pytest.raises(NoRoomError, match=f"HUB_COMMANDS_BYTES allows {MAX_BYTES}"):
                await commands.run("c", payload, LATE_S)
        assert (commands.refused, commands.take("c")) == (2, None)
        commands.answer("a", sent.command_id, DONE)
        await asked[0]
        assert (await commands.run("c", b"", SOON_S))[1] is Outcome.NOT_DELIVERED
        asked[1].cancel()
        await asyncio.wait(asked)
        assert (commands.size_bytes, len(commands)) == (0, 0)

    run(scene)


def test_the_end_of_an_old_stream_leaves_the_new_one() -> None:
    async def scene(commands: Commands) -> None:
        woken: list[str] = []
        old, new = (lambda: woken.append("old")), (lambda: woken.append("new"))
        commands.attach("n", old)
        commands.attach("n", new)
        commands.detach("n", old)
        asked = asyncio.create_task(commands.run("n", b"go", SOON_S))
        await asked
        assert woken == ["new"]

    run(scene)
