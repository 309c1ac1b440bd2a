"""Imported logs as `heartbench import` writes them, for tests of how they are judged."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from heartbench.analysis.imports.record import ImportRecord

Lives = Mapping[str, Sequence[Sequence[float]]]
"""Arrivals of each node, s, by boot."""
RECORD = ImportRecord(format="csv", nodes=0, heartbeats=0, hours=0.0, restarts=0, trace="trace", interval_s=10.0)


def write_import(directory: Path, lives: Lives, record: ImportRecord = RECORD, parts: int = 1) -> Path:
    """Write an imported log, its nodes spread over some parts, and return its directory."""
    trace = directory / "trace"
    trace.mkdir(parents=True)
    names = list(lives)
    for part, numbers in enumerate(np.array_split(np.arange(len(names)), parts)):
        rows = [(n, boot, at) for n in numbers for boot, times in enumerate(lives[names[n]]) for at in times]
        frame = pd.DataFrame(rows, columns=["node", "boot", "arrived_s"])
        frame = frame.assign(connection=0, seq=frame.groupby("node").cumcount(), kind=1, sent_s=frame.arrived_s)
        frame = frame.astype({"node": "int32", "boot": "int32", "connection": "int32", "kind": "int8"})
        frame.to_parquet(trace / f"part-{part:05d}.parquet")
    nodes = pd.DataFrame({"node": np.arange(len(names), dtype=np.int32), "group": "all", "name": names})
    nodes.to_parquet(directory / "nodes.parquet")
    heartbeats = sum(len(times) for life in lives.values() for times in life)
    replace(record, nodes=len(names), heartbeats=heartbeats).write(directory)
    return directory


def every(interval_s: float, from_s: float, to_s: float, silences: Sequence[tuple[float, float]] = ()) -> list[float]:
    """Return arrivals every `interval_s`, without those within silences."""
    at = np.arange(from_s, to_s, interval_s)
    silent = np.zeros(len(at), bool)
    for begin, end in silences:
        silent |= (begin < at) & (at < end)
    return [float(each) for each in at[~silent]]
