"""Sinks of general use: the Parquet files of a run directory, and several sinks at once.

Each file is either complete or absent, and its bytes depend on its rows alone.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from heartbench.simulator.engines.contract import Block, Conditions, Sink
from heartbench.simulator.run_directory import RunDirectory
from heartbench.simulator.trace import MESSAGES, NODES, TRANSITIONS, TRUTH, Messages, Truth, TruthEvent

# Floats are byte-stream-split, counters delta-encoded, all columns LZ4-compressed: 8.6 million heartbeats took 0.6 s on
# one core and 12 bytes each (zstd at level 1: 0.9 s and no smaller; without byte-stream-split: 16 bytes, three times as
# long to read).
_COUNTERS = {"seq": "DELTA_BINARY_PACKED", "name": "DELTA_BYTE_ARRAY"}
_NONE: Any = np.zeros(0)
NO_MESSAGES = Messages(*[_NONE] * len(MESSAGES))
_EVENT_NAMES = pa.array([event.name.lower() for event in TruthEvent])


def _encoding_of(schema: pa.Schema) -> dict[str, Any]:
    """Return the Parquet writer's options for a table with this schema."""
    floats = [field.name for field in schema if pa.types.is_floating(field.type)]
    counters = {name: encoding for name, encoding in _COUNTERS.items() if name in schema.names}
    return {
        "compression": "lz4",
        "use_dictionary": [name for name in schema.names if name not in (*floats, *counters)],
        "column_encoding": dict.fromkeys(floats, "BYTE_STREAM_SPLIT") | counters,
        "write_statistics": ["node"],
    }


def _unfinished(path: Path) -> Path:
    """Return the name under which a file is written until it is complete."""
    return path.with_name(path.name + ".unfinished")


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
        self._writer = pq.ParquetWriter(_unfinished(path), self.schema, **_encoding_of(self.schema))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._writer.close()
        if error is None:
            _unfinished(self._path).replace(self._path)
        else:
            _unfinished(self._path).unlink()


class NodesWriter(_TableWriter):
    """Writes `nodes.parquet`: the group and the name of each node."""

    schema = NODES

    def write(self, group: str, names: Mapping[int, str]) -> None:
        """Add nodes of one group: their names by number, ascending."""
        columns: dict[str, Any] = {"node": list(names), "group": [group] * len(names), "name": list(names.values())}
        self._writer.write_table(pa.Table.from_pydict(columns, schema=NODES))


class TruthWriter(_TableWriter):
    """Writes `truth.parquet`."""

    schema = TRUTH

    def write(self, truth: Truth) -> None:
        """Add a block of nodes, sorted by (node, start_s)."""
        # Names up to the last that occurs, so that a new event changes no byte of a run without it.
        last = int(truth.event.max(initial=TruthEvent.HUB_SLOW_STORE))
        events = pa.DictionaryArray.from_arrays(pa.array(truth.event, pa.int8()), _EVENT_NAMES[: last + 1])
        node, start = pa.array(truth.node, pa.int32()), pa.array(truth.start_s, pa.float64())
        end = pa.array(truth.end_s, pa.float64(), from_pandas=True)
        self._writer.write_table(pa.Table.from_arrays([node, events, start, end], schema=TRUTH))


def write_transitions(path: Path, transitions: pd.DataFrame) -> None:
    """Write the hub's status changes: columns node, at_s, status, connected, flapping, reason; others are left out."""
    _write(path, pa.Table.from_pandas(transitions, schema=TRANSITIONS, preserve_index=False))


def _write(path: Path, table: pa.Table) -> None:
    pq.write_table(table, _unfinished(path), **_encoding_of(table.schema))
    _unfinished(path).replace(path)


class ParquetSink(Sink[Block]):
    """Writes trace, nodes, truth and transitions of a run into its directory.

        with ParquetSink(directory) as sink:
            engine.run(scenario, sink)

    Parts of the trace are written where their blocks are made, the other tables here. If a run fails, the blocks before
    stay, and without any block nothing is left; a run that ends early without a block has empty tables.
    """

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory
        self._trace = TraceWriter(directory.trace)
        self.extract = partial(_write_part, self._trace)
        self._blocks: list[int] = []

    def __enter__(self) -> Self:
        with ExitStack() as tables:
            self._truth = tables.enter_context(TruthWriter(self._directory.truth))
            self._nodes = tables.enter_context(NodesWriter(self._directory.nodes))
            self._tables = tables.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is None or self._blocks:
            self._tables.close()
        else:
            self._tables.__exit__(kind, error, at)
        if error is not None:
            self._remove_parts_of_other_blocks()
        elif not self._blocks:
            self._trace.write_part(0, NO_MESSAGES)

    def begin(self, conditions: Conditions) -> None:
        """Write what happened to the hub."""
        if conditions.hub_truth is not None:
            self._truth.write(conditions.hub_truth)

    def add(self, kept: Block) -> None:
        """Write truth and names of a block."""
        self._truth.write(kept.truth)
        self._nodes.write(kept.group, kept.names)
        self._blocks.append(kept.index)

    def add_transitions(self, transitions: pd.DataFrame) -> None:
        """Write the hub's status changes."""
        write_transitions(self._directory.transitions, transitions)

    def _remove_parts_of_other_blocks(self) -> None:
        whole = {self._trace.path_of(index) for index in self._blocks}
        for part in set(self._directory.trace.iterdir()) - whole:
            part.unlink()


def _write_part(trace: TraceWriter, block: Block) -> Block:
    """Write the messages of a block, and return what is left to write of it."""
    trace.write_part(block.index, block.messages)
    return replace(block, messages=NO_MESSAGES)


class Sinks(Sink[tuple[Any, ...]]):
    """Several sinks at once; what each extracts from a block is extracted in their order."""

    def __init__(self, *sinks: Sink[Any]) -> None:
        self._sinks = sinks

    def begin(self, conditions: Conditions) -> None:
        """Prepare each."""
        for sink in self._sinks:
            sink.begin(conditions)
        self.extract = partial(_extract_all, [sink.extract for sink in self._sinks])

    def add(self, kept: tuple[Any, ...]) -> None:
        """Add to each."""
        for sink, its in zip(self._sinks, kept, strict=True):
            sink.add(its)

    def add_transitions(self, transitions: pd.DataFrame) -> None:
        """Add the hub's status changes to each."""
        for sink in self._sinks:
            sink.add_transitions(transitions)


def _extract_all(extracts: list[Callable[[Block], Any]], block: Block) -> tuple[Any, ...]:
    return tuple(extract(block) for extract in extracts)
