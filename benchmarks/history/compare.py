"""What each way to keep terminal output costs: list splice, deque, deque with a byte budget.

`compare` measures, each combination in a process of its own; `plot_append` draws. What would not fit into the memory
that is allowed is not measured, and `left_out` says so.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import product

import pandas as pd
from matplotlib.axes import Axes

from heartbench.analysis.report import style
from heartbench.analysis.report.units import size_text, time_text
from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.history.measure import BUDGETED, WAYS, held

CHUNKS = (150, 1_000, 10_000)
CHUNK_BYTES = (80, 4 << 10, 256 << 10)
NODES = (1, 1_000)
OBJECTS_BYTES = 200
"""What Python adds to a chunk, about: the record, the sequence number, the head of the bytes."""
MEMORY_BYTES = 1 << 30
LEAST_MIB, SMALL_BYTES = 0.1, 64 << 10
COLORS = dict(zip(WAYS, (style.ORANGE, style.GREY, style.BLUE), strict=True))


def compare(
    ways: Sequence[str] = tuple(WAYS),
    chunks: Sequence[int] = CHUNKS,
    chunk_bytes: Sequence[int] = CHUNK_BYTES,
    nodes: Sequence[int] = NODES,
    memory_bytes: float = MEMORY_BYTES,
    progress: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:
    """Measure each combination that fits into `memory_bytes`.

    Returns:
        A row a combination: way, chunks, chunk_bytes, nodes; append_s and read_s (CPU time, s); data_bytes,
        resident_bytes, retained_bytes and peak_bytes (one node); collections and collector_longest_s (s);
        burst_resident_bytes and after_burst_* (bytes); allocations_per_append (NaN without memray).

    Raises:
        BenchmarkError: A combination could not be measured.
    """
    rows = []
    for way, kept, size, many in combinations(ways, chunks, chunk_bytes, nodes):
        if needed_bytes(way, kept, size, many) <= memory_bytes:
            progress(f"history: {way}, {kept:,} chunks of {size:,} B, {many:,} nodes")
            rows.append({**named(way, kept, size, many), **in_a_process(way, kept, size, many)})
    return pd.DataFrame(rows)


def left_out(
    ways: Sequence[str] = tuple(WAYS),
    chunks: Sequence[int] = CHUNKS,
    chunk_bytes: Sequence[int] = CHUNK_BYTES,
    nodes: Sequence[int] = NODES,
    memory_bytes: float = MEMORY_BYTES,
) -> pd.DataFrame:
    """The combinations that `compare` does not measure, with the memory that each would need (bytes)."""
    rows = [
        {**named(*each), "needed_bytes": needed_bytes(*each)}
        for each in combinations(ways, chunks, chunk_bytes, nodes)
        if needed_bytes(*each) > memory_bytes
    ]
    return pd.DataFrame(rows, columns=["way", "chunks", "chunk_bytes", "nodes", "needed_bytes"])


def combinations(
    ways: Sequence[str], chunks: Sequence[int], chunk_bytes: Sequence[int], nodes: Sequence[int]
) -> Iterator[tuple[str, int, int, int]]:
    """All of them, those that belong beside each other together."""
    for many, size, kept, way in product(nodes, chunk_bytes, chunks, ways):
        yield way, kept, size, many


def named(way: str, chunks: int, chunk_bytes: int, nodes: int) -> dict[str, object]:
    """The first columns of a row."""
    return {"way": way, "chunks": chunks, "chunk_bytes": chunk_bytes, "nodes": nodes}


def needed_bytes(way: str, chunks: int, chunk_bytes: int, nodes: int) -> float:
    """Memory that so many full histories take, about."""
    return float(nodes * held(way, chunks, chunk_bytes) * (chunk_bytes + OBJECTS_BYTES))


def in_a_process(way: str, chunks: int, chunk_bytes: int, nodes: int) -> dict[str, float]:
    """Measure one combination in a fresh process."""
    words = [
        sys.executable,
        "-m",
        "heartbench.benchmarks.history.measure",
        way,
        *map(str, (chunks, chunk_bytes, nodes)),
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603  (the words are ours)
    if done.returncode:
        raise BenchmarkError(f"history {words[3:]}: {(done.stderr.strip() or 'killed').splitlines()[-1]}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


@style.styled
def plot_append(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """CPU time of an append against the length of the history; smallest chunks, dotted for many nodes in turn."""
    ax = ax or style.axes()
    small = frame[frame.chunk_bytes == frame.chunk_bytes.min()]
    for (way, nodes), line in small.groupby(["way", "nodes"], sort=False):
        color, one = COLORS[str(way)], nodes == small.nodes.min()
        ax.plot(line.chunks, line.append_s * 1e6, color=color, linestyle="-" if one else (0, (1, 1.5)), marker="o")
        if one:
            last = (float(line.chunks.iloc[-1]), float(line.append_s.iloc[-1]) * 1e6)
            style.beside(ax, *last, str(way), color)
    for nodes, dash in zip(sorted(small.nodes.unique()), ("-", (0, (1, 1.5))), strict=False):
        ax.plot([], [], color=style.INK, linestyle=dash, label="one node" if nodes == 1 else f"{nodes:,} nodes in turn")
    style.log_scale(ax, "x")
    style.log_scale(ax, "y")
    ax.set_xticks(sorted(small.chunks.unique()))
    ax.set_xlim(right=small.chunks.max() * 4)
    ax.set_xlabel("chunks kept for each node")
    ax.set_ylabel("CPU time of an append (µs)")
    ax.legend(loc="upper left")
    style.state(ax, append_finding(small))
    return ax


def append_finding(small: pd.DataFrame) -> str:
    """What the plot shows, in a sentence."""
    one = small[small.nodes == small.nodes.min()].pivot(index="chunks", columns="way", values="append_s")
    least, most = one.index.min(), one.index.max()
    if not {"list splice", BUDGETED} <= set(one.columns):
        return f"An append to histories of {least:,} to {most:,} chunks"
    spliced, ring = one["list splice"], one[BUDGETED]
    return (
        f"A spliced list pays for its length: {time_text(spliced[least])} an append at {least:,} chunks, "
        f"{time_text(spliced[most])} at {most:,}. The hub's ring: {time_text(ring[most])} at any"
    )


@style.styled
def plot_memory(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Resident memory of full histories, a bar a way, at the fewest chunks: what bounds memory, and what does not."""
    ax = ax or style.axes()
    few = frame[(frame.chunks == frame.chunks.min()) & (frame.nodes * frame.chunk_bytes > SMALL_BYTES)]
    sizes = few[["nodes", "chunk_bytes"]].drop_duplicates().itertuples(index=False, name=None)
    places = {size: at for at, size in enumerate(sizes)}
    for offset, way in zip((-0.27, 0.0, 0.27), WAYS, strict=True):
        held = few[few.way == way].set_index(["nodes", "chunk_bytes"]).resident_bytes / 2**20
        for size, at in places.items():
            fits = size in held.index
            ax.bar(at + offset, max(float(held[size]), LEAST_MIB) if fits else LEAST_MIB, 0.25, color=COLORS[way])
            if not fits:
                ax.text(at + offset, LEAST_MIB * 1.3, "would not fit", color=COLORS[way], rotation=90, ha="center")
        ax.plot([], [], "s", markersize=9, color=COLORS[way], label=way)
    ax.set_xticks(list(places.values()), [f"{nodes:,} × {size_text(size)}" for nodes, size in places])
    style.log_scale(ax, "y")
    ax.set_ylim(bottom=LEAST_MIB)
    ax.set_ylabel("resident memory (MiB)")
    ax.set_xlabel(f"nodes × size of a chunk; {few.chunks.min():,} chunks each")
    ax.legend(loc="upper left")
    style.state(ax, "A deque holds as much as a list; what bounds memory is the byte budget")
    return ax
