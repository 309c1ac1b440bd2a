"""Costs of three ways to keep terminal output: list splice, deque, and deque with a byte budget.

Each combination is measured in its own process. Combinations that need more than MEMORY_BYTES are left out.
"""

from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes

from heartbench.analysis.report import style
from heartbench.analysis.report.units import size_text, time_text
from heartbench.benchmarks.fresh_process import output_of
from heartbench.benchmarks.history.measure import BUDGETED, WAYS, chunks_when_full

CHUNKS = (150, 1_000, 10_000)
CHUNK_BYTES = (80, 4 << 10, 256 << 10)
NODES = (1, 1_000)
OBJECTS_BYTES = 200
"""Approximate overhead of Python per chunk: the record, the sequence number, the header of the bytes object."""
MEMORY_BYTES = 1 << 30
LEAST_MIB, SMALL_BYTES = 0.1, 64 << 10
COLORS = dict(zip(WAYS, (style.ORANGE, style.GREY, style.BLUE), strict=True))


def compare(
    ways: Sequence[str] = tuple(WAYS),
    chunks: Sequence[int] = CHUNKS,
    chunk_bytes: Sequence[int] = CHUNK_BYTES,
    nodes: Sequence[int] = NODES,
    progress: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:
    """Measure each combination that fits into memory.

    Returns:
        One row per combination: way, chunks, chunk_bytes, nodes, and the fields of `measure.Figures`.

    Raises:
        BenchmarkError: a combination could not be measured.
    """
    rows = []
    for each in combinations(ways, chunks, chunk_bytes, nodes):
        if each.needed_bytes <= MEMORY_BYTES:
            progress(f"history: {each.way}, {each.chunks:,} chunks of {each.chunk_bytes:,} B, {each.nodes:,} nodes")
            rows.append({**each._asdict(), **output_of("history.measure", each)})
    return pd.DataFrame(rows)


def left_out() -> pd.DataFrame:
    """Return the combinations that `compare` does not measure, with the memory that each would need (bytes)."""
    rows = [
        {**each._asdict(), "needed_bytes": each.needed_bytes}
        for each in combinations(tuple(WAYS), CHUNKS, CHUNK_BYTES, NODES)
        if each.needed_bytes > MEMORY_BYTES
    ]
    return pd.DataFrame(rows)


class Combination(NamedTuple):
    """What one process measures."""

    way: str
    chunks: int
    chunk_bytes: int
    nodes: int

    @property
    def needed_bytes(self) -> float:
        """Approximate memory of all histories when full, bytes."""
        chunks = self.nodes * chunks_when_full(self.way, self.chunks, self.chunk_bytes)
        return float(chunks * (self.chunk_bytes + OBJECTS_BYTES))


def combinations(
    ways: Sequence[str], chunks: Sequence[int], chunk_bytes: Sequence[int], nodes: Sequence[int]
) -> list[Combination]:
    """Return all combinations; the ways of one size follow each other."""
    return [Combination(way, kept, size, many) for many, size, kept, way in product(nodes, chunk_bytes, chunks, ways)]


@style.styled
def plot_append(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Plot the CPU time of an append against the length of the history: the smallest chunks, dotted for many nodes."""
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
    ax.set_xlabel("chunks kept per node")
    ax.set_ylabel("CPU time of an append (µs)")
    ax.legend(loc="upper left")
    style.state(ax, append_finding(small))
    return ax


def append_finding(small: pd.DataFrame) -> str:
    """Return the finding of the plot, in one sentence."""
    one = small[small.nodes == small.nodes.min()].pivot(index="chunks", columns="way", values="append_s")
    least, most = one.index.min(), one.index.max()
    if not {"list splice", BUDGETED} <= set(one.columns):
        return f"An append to histories of {least:,} to {most:,} chunks"
    spliced, ring = one["list splice"], one[BUDGETED].max()
    return (
        f"An append to a spliced list takes {time_text(spliced[least])} at {least:,} chunks and "
        f"{time_text(spliced[most])} at {most:,}; in the hub's ring at most {time_text(ring)}"
    )


@style.styled
def plot_memory(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Plot the resident memory of full histories with the fewest chunks, one bar per way."""
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
    style.state(ax, "A deque needs as much memory as a list; only the byte budget bounds it")
    return ax
