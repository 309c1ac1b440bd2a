"""Write the tables of a run. Every file is either complete or absent, and its bytes depend on its rows alone."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from heartbench.simulator.trace.columns import Messages, Truth, TruthEvent
from heartbench.simulator.trace.tables import MESSAGES, NODES, TRANSITIONS, TRUTH, encoding_of, unfinished

_EVENT_NAMES = pa.array([event.name.lower() for event in TruthEvent])


class TraceWriter:
    """Writes the parts of a trace; any thread or process may write any part, each part once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path_of(self, index: int) -> Path:
        """Return the file of block `index`."""
        return self.folder / f"part-{index:05d}.parquet"

    def write_part(self, index: int, messages: Messages) -> Path:
        """Write block `index`, whole nodes sorted by (node, sent_s), and return the file."""
        path = self.path_of(index)
        columns = [pa.array(getattr(messages, field.name), field.type, from_pandas=True) for field in MESSAGES]
        _write(path, pa.Table.from_arrays(columns, schema=MESSAGES))
        return path


class _TableWriter:
    """Writes one table block by block, in the order of nodes; the file is complete when the context ends."""

    schema: pa.Schema

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = pq.ParquetWriter(unfinished(path), self.schema, **encoding_of(self.schema))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._writer.close()
        if error is None:
            unfinished(self._path).replace(self._path)
        else:
            unfinished(self._path).unlink()


class NodesWriter(_TableWriter):
    """Writes `nodes.parquet`: the group and the name of each node."""

    schema = NODES

    def write(self, group: str, names: Mapping[int, str]) -> None:
        """Add nodes of one group: their names by number, ascending."""
        node, name = pa.array(list(names), pa.int32()), pa.array(list(names.values()), pa.string())
        groups = pa.array([group] * len(names), pa.string())
        self._writer.write_table(pa.Table.from_arrays([node, groups, name], schema=NODES))


class TruthWriter(_TableWriter):
    """Writes `truth.parquet`."""

    schema = TRUTH

    def write(self, truth: Truth) -> None:
        """Add a block of nodes, sorted by (node, start_s)."""
        events = pa.DictionaryArray.from_arrays(pa.array(truth.event, pa.int8()), _names_for(truth.event))
        node, start = pa.array(truth.node, pa.int32()), pa.array(truth.start_s, pa.float64())
        end = pa.array(truth.end_s, pa.float64(), from_pandas=True)
        self._writer.write_table(pa.Table.from_arrays([node, events, start, end], schema=TRUTH))


def _names_for(event: NDArray[np.int8]) -> "pa.StringArray":
    """Return the names up to the last that occurs, so that a new event changes no byte of a run without it."""
    last = int(event.max(initial=TruthEvent.HUB_SLOW_STORE))
    return _EVENT_NAMES[: last + 1]


def write_transitions(path: Path, transitions: pd.DataFrame) -> None:
    """Write the hub's status changes: columns node, at_s, status, connected, flapping, reason; others are left out."""
    _write(path, pa.Table.from_pandas(transitions, schema=TRANSITIONS, preserve_index=False))


def _write(path: Path, table: pa.Table) -> None:
    pq.write_table(table, unfinished(path), **encoding_of(table.schema))
    unfinished(path).replace(path)
