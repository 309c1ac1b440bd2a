"""The tables of each suite in Markdown: complete in `tables.md`, in part on the page."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from heartbench.analysis.report.units import count_text, digits, memory_text, share_text, size_text, time_text
from heartbench.benchmarks.markdown_table import table

SHOWN_S = (10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 90.0, 120.0)


def rows_of(frame: pd.DataFrame) -> list[Any]:
    """Return rows with their columns as attributes."""
    return list(frame.itertuples())


def history_times(history: pd.DataFrame) -> str:
    """Return the CPU time of an append and of reading everything, one column per way."""
    ways = list(history.way.unique())
    wide = history.pivot(index=["nodes", "chunks", "chunk_bytes"], columns="way", values=["append_s", "read_s"])
    rows = [
        [named(*map(int, sizes)), *(time_or(row[column, way]) for column in ("append_s", "read_s") for way in ways)]
        for sizes, row in zip(wide.index.to_list(), wide.to_dict("records"), strict=True)
    ]
    return table(["nodes × chunks", *(f"append, {way}" for way in ways), *(f"read, {way}" for way in ways)], rows)


def history_memory(history: pd.DataFrame) -> str:
    """Return the memory of the process: data, resident, peak in a burst of build logs, and afterwards."""
    columns = ["data_bytes", "resident_bytes", "burst_resident_bytes", "after_burst_resident_bytes"]
    rows = [
        [
            f"{named(row.nodes, row.chunks, row.chunk_bytes)}, {row.way}",
            *(memory_text(getattr(row, column)) for column in columns),
            memory_text(row.after_burst_malloc_free_bytes),
            memory_text(row.retained_bytes),
            memory_text(row.peak_bytes - row.retained_bytes),
            digits(row.allocations_per_append),
            time_text(row.collector_longest_s),
        ]
        for row in rows_of(history)
    ]
    heads = ["data", "resident", "peak in the burst", "after it", "of that free in malloc", "objects of one node"]
    more = ["peak of an append above", "allocations per append", "longest collector pause"]
    return table(["nodes × chunks", *heads, *more], rows)


def left_out(frame: pd.DataFrame) -> str:
    """Return the combinations that would not fit, with the memory that they would need."""
    rows = [
        [f"{named(row.nodes, row.chunks, row.chunk_bytes)}, {row.way}", memory_text(row.needed_bytes)]
        for row in rows_of(frame)
    ]
    return table(["not measured", "would need about"], rows)


def named(nodes: int, chunks: int, chunk_bytes: int) -> str:
    """Return a size of the history comparison."""
    return f"{nodes:,} × {chunks:,} of {size_text(chunk_bytes)}"


def time_or(seconds: float) -> str:
    """Return a time, or "would not fit"."""
    return time_text(seconds) if math.isfinite(seconds) else "would not fit"


def executors(frame: pd.DataFrame, load: str) -> str:
    """Return all ways under one load."""
    columns: dict[str, Callable[[Any], str]] = {
        "way": lambda row: str(row.way),
        "throughput": lambda row: f"{row.throughput_per_s:,.0f}/s",
        "rejected": lambda row: share_text(row.refused / row.offered),
        "wait p50 / p99 / p99.9": lambda row: " / ".join(
            time_text(each) for each in (row.wait_p50_s, row.wait_p99_s, row.wait_p999_s)
        ),
        "backlog in the hub": lambda row: count_text(row.peak_in_hub),
        "at the nodes": lambda row: count_text(row.peak_at_nodes),
        "memory": lambda row: memory_text(row.peak_bytes),
        "threads": lambda row: count_text(row.threads),
        "recovery": lambda row: time_text(row.recovery_s),
        "delay of heartbeats p99 / max": lambda row: (
            f"{time_text(row.heartbeat_late_p99_s)} / {time_text(row.heartbeat_late_max_s)}"
        ),
    }
    rows = [[cell(row) for cell in columns.values()] for row in rows_of(frame[frame.load == load])]
    return table(list(columns), rows)


def thresholds(frame: pd.DataFrame, shown_s: Sequence[float] | None = None) -> str:
    """Return false stales per node-day with their intervals, and the detection time, one row per threshold."""
    names = list(frame.profile.drop_duplicates())
    rows = []
    for threshold, each in frame.groupby("stale_after_s"):
        if shown_s is None or threshold in shown_s:
            by_name = each.set_index("profile")
            found = [by_name.loc[name] for name in names]
            rows.append(
                [
                    f"{threshold:g} s",
                    *(interval_text(row) for row in found),
                    *(f"{row.detection_p99_s:.0f} s" for row in found[:1]),
                ]
            )
    return table(["stale after", *names, "detection time (p99)"], rows)


def interval_text(row: "pd.Series[float]") -> str:
    """Return a rate with its interval: of the network, or of the simulation if the network was not observed."""
    network = pd.notna(row.false_stale_network_high)
    low, high = (row[f"false_stale_network_{end}" if network else f"false_stale_{end}"] for end in ("low", "high"))
    return f"{digits(row.false_stale_per_node_day)} ({digits(low)} … {digits(high)})"


def slopes(frame: pd.DataFrame) -> str:
    """Return the exponents."""
    rows = [[row.subject, f"{row.of}^{row.slope:.2f}", f"{row.low:.2f} … {row.high:.2f}"] for row in rows_of(frame)]
    return table(["operation", "growth of the cost", "95% interval of the exponent"], rows)


def scaling(frame: pd.DataFrame) -> str:
    """Return the times behind the exponents."""
    rows = [[row.subject, f"{row.size:,} {row.of}", time_text(row.operation_s)] for row in rows_of(frame)]
    return table(["operation", "size", "CPU time"], rows)
