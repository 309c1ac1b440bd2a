"""The tidy table of a sweep: one row per cell, threshold and group, in the order of the cells.

Columns: each varied key (`Varied.column`), seed, and FIGURES. Equal sweeps have equal bytes.
"""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from heartbench.analysis.sweep.plan import Cell, Sweep
from heartbench.analysis.sweep.store import write_whole


def table_of(sweep: Sweep, finished: Mapping[int, pa.Table]) -> pa.Table:
    """Return the table of the cells that are finished, at least one; `finished` has their figures by number."""
    return pa.concat_tables([_with_keys(sweep, sweep.cells[number], finished[number]) for number in sorted(finished)])


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table, whole or not at all."""
    write_whole(path, table)


def _with_keys(sweep: Sweep, cell: Cell, figures: pa.Table) -> pa.Table:
    columns = {}
    for varied, place in zip(sweep.varied, cell.places, strict=True):
        levels = pa.array(varied.levels)
        columns[varied.column] = pa.array([levels[place].as_py()] * len(figures), levels.type)
    columns["seed"] = pa.array([cell.scenario.seed] * len(figures), pa.int64())
    names, arrays = list(columns), list(columns.values())
    return pa.Table.from_arrays([*arrays, *figures.columns], names=[*names, *figures.column_names])
