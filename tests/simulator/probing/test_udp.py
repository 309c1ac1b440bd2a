"""Prober and responder on real sockets of this machine."""

import asyncio
import io

import pytest

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.probing import udp
from heartbench.simulator.probing.udp import Address, probe, resolve, serve


def test_probes_are_answered_and_written_until_stopped() -> None:
    async def measure() -> tuple[int, str]:
        stop, listening = asyncio.Event(), asyncio.get_running_loop().create_future()
        file = Watched(lines=8, stop=stop)
        async with asyncio.TaskGroup() as tasks:
            served = tasks.create_task(serve("127.0.0.1", 0, listening.set_result, stop))
            address: Address = await listening
            target = await resolve(*address)
            tasks.create_task(probe(target, 0.01, 3600.0, file, pytest.fail, stop))
        return served.result(), file.getvalue()

    sessions, text = asyncio.run(measure())
    assert sessions == 1
    rows = [row.split(",") for row in text.splitlines()]
    assert len(rows) >= 8
    assert [row[0] for row in rows[:8]] == [str(number) for number in range(8)]
    assert all(int(row[2]) > 0 for row in rows)


def test_it_is_said_if_nothing_answers_and_every_probe_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udp, "UNANSWERED_S", 0.02)
    monkeypatch.setattr(udp, "LAST_ANSWERS_S", 0.0)

    async def measure() -> str:
        stop, file = asyncio.Event(), io.StringIO()
        target = await resolve("127.0.0.1", 9)  # discard: nobody listens
        await probe(target, 0.01, 3600.0, file, stop.set, stop)
        return file.getvalue()

    rows = asyncio.run(measure()).splitlines()
    assert len(rows) >= 2
    assert all(row.endswith(",,,?") for row in rows)


def test_it_is_said_if_nothing_answers_before_the_second_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udp, "UNANSWERED_S", 0.02)
    monkeypatch.setattr(udp, "LAST_ANSWERS_S", 0.0)
    said: list[str] = []

    async def measure() -> None:
        target = await resolve("127.0.0.1", 9)
        await probe(target, 0.1, 0.09, io.StringIO(), lambda: said.append("no answer"), asyncio.Event())

    asyncio.run(measure())
    assert said == ["no answer"]


class Watched(io.StringIO):
    """A file that stops the prober once it has so many lines."""

    def __init__(self, lines: int, stop: asyncio.Event) -> None:
        super().__init__()
        self.lines, self.stop = lines, stop

    def flush(self) -> None:
        super().flush()
        if self.getvalue().count("\n") >= self.lines:
            self.stop.set()


def test_an_unknown_host_is_said_in_one_line() -> None:
    with pytest.raises(SimulatorError, match=r"no\.such\.host\.invalid: "):
        asyncio.run(resolve("no.such.host.invalid", 1))
