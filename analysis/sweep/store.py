"""The finished cells of sweeps, a small Parquet file each, named by `Cell.digest`.

A file is complete or absent. A cell of another scenario, setting, seed or version has another name, so that a folder
can hold those of several sweeps.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from heartbench.analysis.sweep.cell import FIGURES


@dataclass(frozen=True, slots=True)
class Store:
    """A folder of finished cells."""

    folder: Path

    def read(self, digest: str) -> pa.Table | None:
        """Return the figures of a cell; None if it is not finished, or if its file is damaged."""
        try:
            figures = pq.read_table(self._path(digest), page_checksum_verification=True)
        except (OSError, pa.ArrowInvalid):
            return None
        return figures if figures.schema == FIGURES else None

    def write(self, digest: str, figures: pa.Table) -> None:
        """Keep the figures of a cell."""
        write_whole(self._path(digest), figures)

    def _path(self, digest: str) -> Path:
        return self.folder / f"{digest}.parquet"


def write_whole(path: Path, table: pa.Table) -> None:
    """Write a Parquet file, complete or not at all, and make its folder; equal tables have equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
    try:
        pq.write_table(table, unfinished, write_page_checksum=True)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
