"""Rows of a log kept by node until all are read: in memory while they are few, else in files, a bucket of nodes each.

So a bucket can be sorted by itself, and a log of 100 million messages never lies in memory: its buckets are of 60 MB.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.imports.rows import Rows

KEPT = np.dtype(
    [
        ("node", np.int32),
        ("era", np.int32),
        ("kind", np.int8),
        ("boot", np.int64),
        ("seq", np.int64),
        ("sent_s", np.float64),
        ("arrived_s", np.float64),
    ]
)
"""A row; `node` is a number in order of appearance, `era` one of the clock."""
BUCKETS = 64
MOST_HELD = 2_000_000
"""Rows in memory: 80 MB."""


class Store:
    """Keeps rows in the order in which they come."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: list[NDArray[np.void]] = []
        self._count = 0
        self._spilled = False

    def add(self, rows: Rows, node: NDArray[np.int32], era: NDArray[np.int32]) -> None:
        """Keep rows; `node` numbers their nodes."""
        kept = np.empty(len(rows), KEPT)
        kept["node"], kept["era"] = node, era
        for name in ("kind", "boot", "seq", "sent_s", "arrived_s"):
            kept[name] = getattr(rows, name)
        self._held.append(kept)
        self._count += len(kept)
        if self._count >= MOST_HELD:
            self._spill()

    def numbering(self, nodes: int) -> NDArray[np.int32]:
        """Return the final number of each node, so that they ascend from bucket to bucket."""
        order = np.argsort(np.arange(nodes) % BUCKETS, kind="stable") if self._spilled else np.arange(nodes)
        number = np.empty(nodes, np.int32)
        number[order] = np.arange(nodes)
        return number

    def buckets(self) -> Iterator[NDArray[np.void]]:
        """Yield the rows, bucket by bucket."""
        if not self._spilled:
            yield _joined(self._held)
            return
        self._spill()
        for bucket in range(BUCKETS):
            file = self._file(bucket)
            if file.exists():
                yield np.fromfile(file, KEPT)
                file.unlink()

    def _spill(self) -> None:
        self._spilled = True
        rows = _joined(self._held)
        self._held, self._count = [], 0
        bucket = rows["node"] % BUCKETS
        order = np.argsort(bucket, kind="stable")
        ends = np.searchsorted(bucket[order], np.arange(BUCKETS + 1))
        for each in range(BUCKETS):
            chosen = order[ends[each] : ends[each + 1]]
            if len(chosen):
                with self._file(each).open("ab") as file:
                    rows[chosen].tofile(file)

    def _file(self, bucket: int) -> Path:
        return self._folder / f"bucket-{bucket}"


def _joined(blocks: Sequence[NDArray[np.void]]) -> NDArray[np.void]:
    return np.concatenate(blocks) if blocks else np.empty(0, KEPT)
