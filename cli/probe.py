"""`heartbench probe`: measures a network with datagrams of its own, and answers those of another."""

import asyncio
import math
import re
import signal
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from heartbench.cli.errors import CommandError
from heartbench.hub.program import warn

LEAST_INTERVAL_S = 0.01
LONGEST_INTERVAL_S = 60.0
Result = TypeVar("Result")


def probe(
    target: Annotated[
        str,
        typer.Argument(metavar="HOST[:PORT]", help="Responder to probe; with --serve the address to listen on."),
    ] = "",
    serve: Annotated[
        bool, typer.Option("--serve", help="Answer probes; on loopback only, unless you name an address.")
    ] = False,
    interval: Annotated[str, typer.Option(metavar="DURATION", help="Time between two probes.")] = "1s",
    duration: Annotated[
        str | None, typer.Option(metavar="DURATION", help="End after this time; default: at Ctrl-C.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="File to write; default: probe-HOST-TIME.csv.")
    ] = None,
) -> int:
    """Measure a network in both directions, for `heartbench profiles fit`.

    Start `heartbench probe --serve 0.0.0.0` on a machine that this one reaches,
    then `heartbench probe HOST` here. A day of it is about 3 MB.
    """
    from heartbench.simulator.units import format_duration, parse_duration

    if serve:
        return run_responder(*address(target or "127.0.0.1"))
    if not target:
        raise CommandError("name the HOST to probe, or --serve to answer probes")
    interval_s = parse_duration(interval, "--interval")
    if not LEAST_INTERVAL_S <= interval_s <= LONGEST_INTERVAL_S:
        raise CommandError(f"--interval {interval}: must be between 10ms and 60s")
    duration_s = parse_duration(duration, "--duration") if duration is not None else math.inf
    return run_prober(target, format_duration(interval_s), interval_s, duration_s, output)


def address(target: str) -> tuple[str, int]:
    """Return host and port of HOST, HOST:PORT, an IPv6 address or [IPv6]:PORT."""
    from heartbench.simulator.probing.udp import PORT

    match = re.fullmatch(
        r"\[(.+)\](?::(\d+))?|([^:]*)(?::(\d+))?|([0-9a-fA-F]*:[0-9a-fA-F]*:[0-9a-fA-F:.%\w]*)", target
    )
    host = (match[1] or match[3] or match[5]) if match else None
    port = int((match[2] or match[4] or PORT) if match else 0)
    if not host or port > 65535:
        raise CommandError(f"{target}: must be HOST, HOST:PORT or [IPv6]:PORT")
    return host, port


def run_responder(host: str, port: int) -> int:
    """Answer probes until a signal ends it, and return the exit status."""
    from heartbench.simulator.probing.udp import serve

    def ready(listening: tuple[str, int]) -> None:
        print(f"answers probes on {listening[0]} UDP port {listening[1]}; Ctrl-C ends it", flush=True)

    sessions = until_signal(lambda stop: serve(host, port, ready, stop))
    print(f"answered {sessions} prober{'' if sessions == 1 else 's'}")
    return 0


def run_prober(target: str, interval: str, interval_s: float, duration_s: float, output: Path | None) -> int:
    """Probe until a signal or the duration ends it, print what was seen, and return the exit status."""
    from heartbench.simulator.probing.rows import head
    from heartbench.simulator.probing.udp import probe, resolve

    host, port = address(target)

    def unanswered() -> None:
        warn(f"no answer from {host}:{port} yet; `heartbench probe --serve ADDRESS` must run there, its UDP port open")

    resolved = asyncio.run(resolve(host, port))
    name = f"probe-{re.sub('[^A-Za-z0-9.-]+', '-', host)}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.csv"
    path = output or Path(name)
    with path.open("x", encoding="ascii") as file:
        file.write(head(f"{host}:{port}", interval, time.time()))
        file.flush()
        print(f"probes {host}:{port} every {interval}, into {path}; Ctrl-C ends it", flush=True)
        until_signal(lambda stop: probe(resolved, interval_s, duration_s, file, unanswered, stop))
    return print_summary(path)


def print_summary(path: Path) -> int:
    """Print what the file says, and return the exit status: 1 if nothing was answered."""
    import numpy as np

    from heartbench.simulator.recordings import read_recording

    got = read_recording([path])
    assert got.up_s is not None  # noqa: S101
    down = int((~np.isnan(got.up_s) & np.isnan(got.rtt_s)).sum())
    print(f"{got.probes} probes in {got.hours:.2f} h, {got.lost} lost, {down} of them on the way back")
    if got.lost == got.probes:
        return 1
    p50, p99 = np.nanpercentile(got.rtt_s, [50, 99]) * 1000
    print(f"round trip: median {p50:.1f} ms, p99 {p99:.1f} ms")
    print(f"next: heartbench profiles fit {path} -o mine.toml")
    return 0


def until_signal(run: Callable[[asyncio.Event], Coroutine[Any, Any, Result]]) -> Result:
    """Run a coroutine that ends when its event is set, which SIGINT and SIGTERM do."""

    async def watched() -> Result:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        return await run(stop)

    return asyncio.run(watched())
