"""What `HUB_TRACE_DIR` costs: CPU time of a hub per heartbeat with and without, and bytes per heartbeat.

    python -m heartbench.benchmarks.hub.recorder --pairs 20

Two hubs run beside each other, of which one records, and get the same heartbeats in turns: noise of the machine affects
both alike. The process that turns pieces into Parquet is measured apart, over as many pieces as it converts at once,
and counted as if each heartbeat had its share.
"""

import argparse
import asyncio
import json
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median, quantiles

from heartbench.benchmarks.hub.ingest import HUB, OPENED_AT_ONCE, Stream, beat, connect, server
from heartbench.hub.events.trace_directory import CONVERTER, JOURNAL, files_of
from heartbench.hub.events.trace_journal import ROW_BYTES, Piece, Source, messages_block, run_block, sources_block
from heartbench.mesh.channel import open_aio_channel

PROGRAM = "python -m heartbench.benchmarks.hub.recorder"
MOST = 0.03
"""Share of a heartbeat's CPU time that its record may cost."""
INTERVAL_S = 10.0
PIECE_ROWS = (16 << 20) // ROW_BYTES
PIECES = 4


def cpu_ns(pid: int) -> int:
    """Return the CPU time of all threads of a process so far, ns: finer than the ticks of its `stat`."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))


async def streams_to(address: str, nodes: int, closing: AsyncExitStack) -> list[Stream]:
    """Return a stream of each node, with a connection of its own."""
    channels = [await closing.enter_async_context(open_aio_channel(address)) for _ in range(nodes)]
    streams: list[Stream] = []
    for first in range(0, nodes, OPENED_AT_ONCE):
        some = enumerate(channels[first : first + OPENED_AT_ONCE], first)
        streams += await asyncio.gather(*(connect(channel, f"n{number}") for number, channel in some))
    return streams


async def compare(hubs: Sequence[tuple[str, int]], nodes: int, heartbeats: int, pairs: int) -> list[list[float]]:
    """Return CPU time per heartbeat, µs, of each hub in each pair."""
    found: list[list[float]] = []
    async with AsyncExitStack() as closing:
        fleets = [await streams_to(address, nodes, closing) for address, _ in hubs]
        for pair in range(-1, pairs):  # the first warms up
            spent = [0.0, 0.0]
            for turn in (0, 1) if pair % 2 else (1, 0):
                pid = hubs[turn][1]
                before_ns = cpu_ns(pid)
                await asyncio.gather(*(beat(stream, heartbeats, False) for stream in fleets[turn]))
                spent[turn] = (cpu_ns(pid) - before_ns) / (nodes * heartbeats) / 1000
            found.append(spent)
    return found[1:]


def journals(directory: Path, nodes: int, heartbeats: int) -> None:
    """Write full journals of a fleet that beats every INTERVAL_S with jitter, as a hub would."""
    chance = random.Random(1)
    phases = sorted(chance.random() * INTERVAL_S for _ in range(nodes))
    beat = 0
    for number in range(PIECES):
        piece = Piece(1.7e9, number, 1, 30.0, beat * INTERVAL_S, beat * INTERVAL_S, 1.7e9)
        with (directory / f"{1_700_000_000_000_000:016d}-{number:06d}{JOURNAL}").open("wb") as file:
            file.write(run_block(piece) + sources_block([Source(f"node-{node:06d}", 1, 0, 1) for node in range(nodes)]))
            for _ in range(heartbeats // nodes):
                sent_s = [1.7e9 + beat * INTERVAL_S + phase + chance.random() / 500 for phase in phases]
                at_s = [sent - 1.7e9 + 0.04 + chance.expovariate(100) for sent in sent_s]
                order = sorted(range(nodes), key=at_s.__getitem__)
                columns: list[Sequence[float]] = [
                    [at_s[node] for node in order],
                    order,
                    [beat + 1] * nodes,
                    [sent_s[node] for node in order],
                ]
                file.write(messages_block((beat + 1) * INTERVAL_S, 1.7e9, columns))
                beat += 1


def conversion(nodes: int, heartbeats: int) -> tuple[float, float]:
    """Return CPU time (µs) of the conversion and bytes in Parquet, each per heartbeat."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        journals(directory, nodes, heartbeats)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", CONVERTER, folder], check=True)  # noqa: S603  (the words are ours)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        count = PIECES * (heartbeats // nodes) * nodes
        return spent_s / count * 1e6, sum(path.stat().st_size for path in files_of(directory)) / count


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print the figures; return 1 if the record costs more than it may."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__.split("\n")[0])
    parser.add_argument("--nodes", type=int, default=200)
    parser.add_argument("--heartbeats", type=int, default=50, help="of each node, in each half of a pair")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--piece-rows", type=int, default=PIECE_ROWS, help="heartbeats in each converted piece")
    args = parser.parse_args(words)
    with (
        tempfile.TemporaryDirectory() as folder,
        server(HUB) as (plain, plain_process),
        server(HUB, HUB_TRACE_DIR=folder) as (recording, recording_process),
    ):
        hubs = [(plain, plain_process.pid), (recording, recording_process.pid)]
        found = asyncio.run(compare(hubs, args.nodes, args.heartbeats, args.pairs))
    heartbeat_us = median(without for without, _ in found)
    conversion_us, parquet_bytes = conversion(args.nodes, args.piece_rows)
    ratios = [(having + conversion_us) / without for without, having in found]
    lower, *_, upper = quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 2
    report = {
        "heartbeat_us": round(heartbeat_us, 2),
        "recording_hub_us": round(median(having for _, having in found), 2),
        "conversion_us": round(conversion_us, 2),
        "share": round(median(ratios) - 1, 4),
        "share_quartiles": [round(lower - 1, 4), round(upper - 1, 4)],
        "journal_bytes": ROW_BYTES,
        "parquet_bytes": round(parquet_bytes, 2),
        "pairs": [[round(us, 2) for us in pair] for pair in found],
    }
    print(json.dumps(report))  # noqa: T201
    return int(median(ratios) - 1 > MOST)


if __name__ == "__main__":
    sys.exit(main())
