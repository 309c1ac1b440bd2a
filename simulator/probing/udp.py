"""A prober and a responder on UDP sockets: the only module of this package with a clock and with files.

The prober's socket is not connected to its target: where the machine's own address changes, as on a mobile network, the
next probe leaves from the new one.
"""

import asyncio
import math
import secrets
import socket
import time
from collections.abc import Callable, Iterable
from typing import TextIO, cast

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.probing.prober import LATE_NS, Prober, Row
from heartbench.simulator.probing.responder import Responder
from heartbench.simulator.probing.rows import line

PORT = 7117
UNANSWERED_S = 5.0
LAST_ANSWERS_S = 1.0
"""At the end, an older probe without an answer is a lost one."""
CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Linux: it also runs while the machine sleeps, so that such a time is seen as a pause."""

Address = tuple[str, int]


def now_ns() -> int:
    """Return the time by the clock of probes, in ns."""
    return time.clock_gettime_ns(CLOCK)


class Datagrams(asyncio.DatagramProtocol):
    """Hands each datagram to a function, which may return an answer; errors of the network are losses."""

    def __init__(self, read: Callable[[bytes, str], bytes | None]) -> None:
        self.read = read
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the socket."""
        self.transport = cast("asyncio.DatagramTransport", transport)  # asyncio's own class is not derived from it

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Read a datagram and send the answer, if there is one."""
        answer = self.read(data, addr[0])
        if answer is not None and self.transport:
            self.transport.sendto(answer, addr)

    def error_received(self, exc: Exception) -> None:
        """Ignore it: what did not get through is counted by its number."""


async def resolve(host: str, port: int, *, listen: bool = False) -> tuple[int, Address]:
    """Return the address family and the address of a host: IPv4 if it has both, as a responder may have no other."""
    try:
        flags = socket.AI_PASSIVE if listen else 0
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=flags)
    except OSError as error:
        raise SimulatorError(f"{host}: {error.strerror or error}; name a host or an address") from error
    family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    return family, (str(address[0]), int(address[1]))


async def serve(host: str, port: int, ready: Callable[[Address], None], stop: asyncio.Event) -> int:
    """Answer probes until `stop` is set, and return the number of sessions; `ready` is called when it listens.

    Raises:
        SimulatorError: it cannot listen there.
    """
    loop = asyncio.get_running_loop()
    responder = Responder()
    _, address = await resolve(host, port, listen=True)
    try:
        transport, _ = await loop.create_datagram_endpoint(
            lambda: Datagrams(lambda data, host: responder.answer(data, host, now_ns())), local_addr=address
        )
    except OSError as error:
        wrong = f"{host} UDP port {port}: {error.strerror or error}"
        raise SimulatorError(f"{wrong}; use an address of this machine and a free port") from error
    try:
        name = transport.get_extra_info("sockname")
        ready((str(name[0]), int(name[1])))
        await stop.wait()
    finally:
        transport.close()
    return len(responder.sessions)


async def probe(
    target: tuple[int, Address],
    interval_s: float,
    duration_s: float,
    file: TextIO,
    unanswered: Callable[[], None],
    stop: asyncio.Event,
) -> Prober:
    """Send probes at an interval until `stop` is set or the duration is over, and write a row for each.

    `unanswered` is called if the first seconds bring no answer at all, also between two probes.
    """
    loop = asyncio.get_running_loop()
    prober = Prober(secrets.randbits(64))
    family, address = target

    def read(data: bytes, _: str) -> None:
        write(file, prober.read(data, now_ns()))

    transport, _ = await loop.create_datagram_endpoint(lambda: Datagrams(read), family=family, local_addr=None)
    began_ns = due_ns = now_ns()
    step_ns = round(interval_s * 1e9)
    judged_ns: float = began_ns + UNANSWERED_S * 1e9

    async def wait_until(then_ns: int) -> None:
        nonlocal judged_ns
        if judged_ns <= then_ns:
            await pause(stop, judged_ns)
            judged_ns = math.inf
            if prober.newest < 0 and not stop.is_set():
                unanswered()
        await pause(stop, then_ns)

    try:
        while not stop.is_set() and due_ns - began_ns < duration_s * 1e9:
            transport.sendto(prober.probe(now_ns()), address)
            write(file, prober.late(now_ns()))
            due_ns = max(due_ns + step_ns, now_ns())  # after a sleep of the machine there is no burst
            await wait_until(due_ns)
        if not stop.is_set():
            await wait_until(now_ns() + round(LAST_ANSWERS_S * 1e9))
        write(file, prober.late(now_ns() + LATE_NS - round(LAST_ANSWERS_S * 1e9)))
    finally:
        transport.close()
    return prober


async def pause(stop: asyncio.Event, until_ns: float) -> None:
    """Wait until this time, or until `stop` is set."""
    try:
        async with asyncio.timeout(max(until_ns - now_ns(), 0) / 1e9):
            await stop.wait()
    except TimeoutError:
        return


def write(file: TextIO, rows: Iterable[Row]) -> None:
    """Write rows so that they survive the process."""
    text = "".join(map(line, rows))
    if text:
        file.write(text)
        file.flush()
