"""What `HUB_TRACE_DIR` costs: CPU time per heartbeat, compared with a heartbeat's own, and bytes per heartbeat.

    python -m heartbench.benchmarks.hub.recorder

Two hubs in one process, of which one records, judge the same heartbeats in turns, so noise of the machine affects both
alike; the time of the recorder's thread counts. What a whole heartbeat costs is measured on a hub that serves nodes
over gRPC. The process that turns pieces into Parquet is measured over as many pieces as it converts at once, and each
heartbeat has its share.
"""

import argparse
import asyncio
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles

from heartbench.benchmarks.hub.ingest import HUB, measure, server
from heartbench.hub import Hello, HubSettings
from heartbench.hub.clock import ManualClock
from heartbench.hub.composition import open_hub
from heartbench.hub.core import Hub
from heartbench.hub.events.recorder import CONVERT_EVERY, PIECE_BYTES
from heartbench.hub.events.trace_directory import CONVERTER, JOURNAL, files_of
from heartbench.hub.events.trace_journal import ROW_BYTES, Piece, Source, messages_block, run_block, sources_block
from heartbench.hub.liveness.node import Session

PROGRAM = "python -m heartbench.benchmarks.hub.recorder"
MOST = 0.03
"""Share of a heartbeat's CPU time that its record may cost."""
INTERVAL_S = 10.0
NODES = 500
PER_TURN = 10
"""Heartbeats of each node in a turn, which ends with one flush."""
WRITTEN_S = 0.005


class Judge:
    """One hub, without connections, and its nodes."""

    def __init__(self, trace_dir: Path | None) -> None:
        self.clock = ManualClock(1000.0)
        self.hub: Hub = open_hub(HubSettings.of(admit_per_s=0, trace_dir=trace_dir), self.clock, seed=1)
        hellos = (Hello(f"node-{number:06d}", 1, 0, INTERVAL_S) for number in range(NODES))
        found = [self.hub.hello(hello, self.clock.now_s)[0] for hello in hellos]
        self.sessions: list[Session] = [session for session in found if session is not None]

    def turn_us(self, turn: int) -> float:
        """Return the CPU time of one heartbeat, µs, with what the recorder's thread does."""
        began_ns = time.process_time_ns()
        for _ in range(PER_TURN):
            self.clock.now_s += 0.05
            for session in self.sessions:
                self.hub.heartbeat(session, self.clock.now_s, turn, 1.7e9 + self.clock.now_s)
            self.hub.tick(self.clock.now_s)
        if self.hub.recorder is not None:
            self.hub.recorder.flush(self.clock.now_s, 1.7e9 + self.clock.now_s)
        time.sleep(WRITTEN_S)  # in which the thread writes
        return (time.process_time_ns() - began_ns) / (NODES * PER_TURN) / 1000


def compare(turns: int) -> list[float]:
    """Return by how much a heartbeat takes longer in a hub that records, µs, for each pair of turns."""
    with tempfile.TemporaryDirectory() as folder:
        plain, recording = Judge(None), Judge(Path(folder))
        found = []
        for turn in range(turns):
            first, second = (plain, recording) if turn % 2 else (recording, plain)
            spent_us = {judge: judge.turn_us(turn) for judge in (first, second)}
            found.append(spent_us[recording] - spent_us[plain])
        recording.hub.end(recording.clock.now_s)
    return found


def journals(directory: Path, nodes: int, heartbeats: int) -> None:
    """Write full journals of a fleet that beats every INTERVAL_S with jitter, as a hub would."""
    chance = random.Random(1)
    phases = sorted(chance.random() * INTERVAL_S for _ in range(nodes))
    beat = 0
    for number in range(CONVERT_EVERY):
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
        count = CONVERT_EVERY * (heartbeats // nodes) * nodes
        return spent_s / count * 1e6, sum(path.stat().st_size for path in files_of(directory)) / count


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print the figures; return 1 if the record costs more than it may."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__.split("\n")[0])
    parser.add_argument("--turns", type=int, default=300, help="pairs of turns")
    parser.add_argument("--nodes", type=int, default=200, help="that connect, to measure a whole heartbeat")
    parser.add_argument("--heartbeats", type=int, default=100, help="of each of them")
    parser.add_argument("--rows", type=int, default=PIECE_BYTES // ROW_BYTES, help="heartbeats in a converted piece")
    args = parser.parse_args(words)
    with server(HUB) as (address, process):
        heartbeat_us = asyncio.run(measure(address, process.pid, args.nodes, args.heartbeats, False)).heartbeat_us
    recording = compare(args.turns)
    conversion_us, parquet_bytes = conversion(NODES, args.rows)
    cost_us = median(recording) + conversion_us
    lower_us, _, upper_us = quantiles(recording, n=4)
    report = {
        "heartbeat_us": heartbeat_us,
        "recording_us": median(recording),
        "recording_quartiles_us": [lower_us, upper_us],
        "conversion_us": conversion_us,
        "share": cost_us / heartbeat_us if heartbeat_us else None,
        "journal_bytes": ROW_BYTES,
        "parquet_bytes": parquet_bytes,
    }
    print(json.dumps(report, indent=1))  # noqa: T201
    return int(cost_us > MOST * heartbeat_us)


if __name__ == "__main__":
    sys.exit(main())
