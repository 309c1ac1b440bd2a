"""What nodes sent and what arrived, who they are, what really happened, and what the hub said: four Parquet tables.

The rule of a trace: rows are sorted by (node, sent_s), and all rows of one node are in one part, so that whoever reads
part by part sees each node whole. Times are seconds since the start of the run. The bytes of a part depend on its rows
alone. Nothing is computed here.

Floats are byte-stream-split, counters delta-encoded, all of it LZ4: 8.6 million heartbeats took 0.6 s on one core and
12 bytes each (zstd at level 1: 0.9 s and no smaller; without byte-stream-split: 16 bytes, three times as long to read).
"""

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from heartbench.mesh.kinds import Kind
from heartbench.simulator.errors import SimulatorError


class TruthEvent(enum.IntEnum):
    """What really happened to a node, as `truth.parquet` records it by lower-case name; the hub's node is -1.

    OUTAGE and HOLD cut both directions, the others of their kind one; a hold keeps packets, an outage drops them. Each
    node of a site has a row for an outage of the site.
    """

    OUTAGE = 0
    CRASH = 1
    EXIT = 2
    RESTART = 3
    CLOSE = 4
    PARTITION = 5
    HUB_PAUSE = 6
    HUB_KILL = 7
    HUB_STOP = 8
    HUB_SLOW_STORE = 9
    OUTAGE_UP = 10
    OUTAGE_DOWN = 11
    HOLD = 12
    HOLD_UP = 13
    HOLD_DOWN = 14


OUTAGES = tuple(event for event in TruthEvent if event.name.startswith(("OUTAGE", "HOLD")))
"""The events in which a link passes nothing, in one direction or in both."""


@dataclass(frozen=True, slots=True)
class Messages:
    """Columns of a trace, one entry a message; `arrived_s` is NaN for a message that nobody received."""

    node: NDArray[np.int32]
    boot: NDArray[np.int32]
    connection: NDArray[np.int32]
    seq: NDArray[np.int64]
    kind: NDArray[np.int8]
    sent_s: NDArray[np.float64]
    arrived_s: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.node)

    def select(self, rows: Any) -> "Messages":
        """Return the rows that a mask, slice or index array picks."""
        return Messages(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True, slots=True)
class Truth:
    """Columns of the truth: `event` holds values of `TruthEvent`; `end_s` is NaN for what has no end."""

    node: NDArray[np.int32]
    event: NDArray[np.int8]
    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.node)

    def frame(self) -> pd.DataFrame:
        """Return it as `read_truth` does: events by their names."""
        names = np.array([event.name.lower() for event in TruthEvent])
        columns = {"node": self.node, "event": names[self.event], "start_s": self.start_s, "end_s": self.end_s}
        return pd.DataFrame(columns)


def schema_of(**columns: pa.DataType) -> pa.Schema:
    """Return the schema of a table with these columns."""
    return pa.schema(list(columns.items()))


MESSAGES = schema_of(
    node=pa.int32(),
    boot=pa.int32(),
    connection=pa.int32(),
    seq=pa.int64(),
    kind=pa.int8(),
    sent_s=pa.float64(),
    arrived_s=pa.float64(),
)
TRUTH = schema_of(
    node=pa.int32(),
    event=pa.dictionary(pa.int8(), pa.string()),
    start_s=pa.float64(),
    end_s=pa.float64(),
)
TRANSITIONS = schema_of(
    node=pa.int32(),
    at_s=pa.float64(),
    status=pa.string(),
    connected=pa.bool_(),
    flapping=pa.bool_(),
    reason=pa.string(),
)
NODES = schema_of(node=pa.int32(), group=pa.string(), name=pa.string())
NODE = pa.schema([MESSAGES.field("node")])
NODES_FILE = "nodes.parquet"
ENCODINGS = {"seq": "DELTA_BINARY_PACKED", "name": "DELTA_BYTE_ARRAY"}
MAY_BE_EMPTY = ("arrived_s", "end_s")
LATEST_S = 1e11
"""Times lie within ± this, s: Unix time in s does so for three thousand years, in ms it does not."""
_TIMES = (-LATEST_S, LATEST_S, f"in s, within {LATEST_S:g} of 0")
POSSIBLE = {
    "node": (0, np.inf, "0 or more"),
    "kind": (min(Kind), max(Kind), f"{min(Kind):d} to {max(Kind):d}"),
    "sent_s": _TIMES,
    "arrived_s": _TIMES,
}
"""Least, most and in words what a column of a trace may hold."""
DAMAGE = (pa.ArrowException, OSError, UnicodeDecodeError)  # what reading a damaged file raises
_EVENT_NAMES = pa.array([event.name.lower() for event in TruthEvent])


def _encoding(schema: pa.Schema) -> dict[str, Any]:
    """How the columns of `schema` are written: measured, see the head of this file."""
    floats = [field.name for field in schema if pa.types.is_floating(field.type)]
    others = {name: encoding for name, encoding in ENCODINGS.items() if name in schema.names}
    return {
        "compression": "lz4",
        "use_dictionary": [name for name in schema.names if name not in (*floats, *others)],
        "column_encoding": dict.fromkeys(floats, "BYTE_STREAM_SPLIT") | others,
        "write_statistics": ["node"],
    }


class TraceWriter:
    """Writes the parts of a trace; any thread or process may write any part, each once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def write_part(self, index: int, messages: Messages) -> Path:
        """Write block `index` (its nodes, whole, sorted by (node, sent_s)) and return the file, complete or absent."""
        path = self.folder / f"part-{index:05d}.parquet"
        columns = [pa.array(getattr(messages, field.name), field.type, from_pandas=True) for field in MESSAGES]
        _write(path, pa.Table.from_arrays(columns, schema=MESSAGES))
        return path


class _TableWriter:
    """Writes one table block by block, in the order of nodes; a context manager that leaves it complete or absent."""

    schema: pa.Schema

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = pq.ParquetWriter(_unfinished(path), self.schema, **_encoding(self.schema))

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
    """Write what the hub said: columns node, at_s, status, connected, flapping, reason; others are left out."""
    _write(path, pa.Table.from_pandas(transitions, schema=TRANSITIONS, preserve_index=False))


def trace_parts(path: Path) -> list[Path]:
    """Return the Parquet files of a trace: a run directory's, those of a folder, or the one file itself.

    Raises:
        SimulatorError: there is no such file or folder, or it is no trace.
    """
    if (path / "trace").is_dir():
        path = path / "trace"
    parts = _parts_in(path) if path.is_dir() else [path] if path.exists() else None
    if parts is None:
        raise SimulatorError(
            f"{path}: no such file or folder; allowed: a run directory, a folder of Parquet files or one"
        )
    if not parts:
        raise SimulatorError(f"{path}: no trace in it; allowed: a run directory, a folder of Parquet files or one")
    for part in parts:
        _check_columns(part, MESSAGES, "trace")
    return parts


def _parts_in(folder: Path) -> list[Path]:
    return [part for part in sorted(folder.glob("*.parquet")) if part.name != NODES_FILE]


def read_nodes(path: Path) -> pd.DataFrame | None:
    """Return who the nodes of a trace are, by ascending number: node (int32), group, name; None if nothing says so.

    Args:
        path: a run directory, or a trace: a folder or a file. `nodes.parquet` is looked for in the run directory, or in
            the trace's folder and then in the folder above.

    Raises:
        SimulatorError: it is damaged, or lists a node twice.
    """
    found = next((file for file in _nodes_files(path) if file.is_file()), None)
    if found is None:
        return None
    nodes = _read(found, NODES, "list of nodes").to_pandas()
    for column in ("node", "name"):
        twice = nodes[column][nodes[column].duplicated()]
        if len(twice):
            raise SimulatorError(f"{found}: {column} {twice.tolist()[0]!r} is in it twice; must be there once")
    if (nodes.node < 0).any():
        raise SimulatorError(f"{found}: node {nodes.node.min()}: must be at least 0")
    return nodes.sort_values("node", ignore_index=True)


def _nodes_files(path: Path) -> list[Path]:
    """Return where `nodes.parquet` may be, best first; a trace that is itself called so is no list of nodes."""
    if (path / "trace").is_dir():
        return [path / NODES_FILE]
    folder = path if path.is_dir() else path.parent
    places = [folder / NODES_FILE, folder.resolve().parent / NODES_FILE]
    return [place for place in places if place != path]


def read_blocks(path: Path) -> Iterator[Messages]:
    """Yield a trace block by block, each node whole and in order.

    A trace that was not written here and breaks that rule (a node in two parts, rows out of order) is read as one
    sorted block.
    """
    parts = trace_parts(path)
    if _parts_share_a_node(parts):
        yield _sorted(_concatenate([_read_messages(part) for part in parts]))
    else:
        for part in parts:
            yield _sorted(_read_messages(part))


def read_trace(path: Path) -> pd.DataFrame:
    """Return a whole trace as a frame with the columns of `Messages`, sorted by (node, sent_s)."""
    return _frame(_concatenate(list(read_blocks(path))))


def read_truth(path: Path) -> pd.DataFrame:
    """Return `truth.parquet`: node, event (categorical), start_s, end_s (NaN: it has no end).

    Raises:
        SimulatorError: there is none, or it is damaged.
    """
    return _read(path, TRUTH, "truth").to_pandas()


def read_transitions(path: Path) -> pd.DataFrame:
    """Return `transitions.parquet`: node, at_s, status, connected, flapping, reason.

    Raises:
        SimulatorError: there is none, or it is damaged.
    """
    return _read(path, TRANSITIONS, "list of transitions").to_pandas()


def _write(path: Path, table: pa.Table) -> None:
    pq.write_table(table, _unfinished(path), **_encoding(table.schema))
    _unfinished(path).replace(path)


def _unfinished(path: Path) -> Path:
    return path.with_name(path.name + ".unfinished")


def _check_columns(path: Path, schema: pa.Schema, what: str) -> None:
    try:
        found = pq.read_schema(path).names
    except DAMAGE as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else "not a Parquet file"
        raise SimulatorError(f"{path}: {reason}; allowed: a {what} with {', '.join(schema.names)}") from error
    missing = [name for name in schema.names if name not in found]
    if missing:
        columns = ", ".join(name if name.isprintable() else repr(name) for name in found)
        raise SimulatorError(f"{path}: no {what}, it lacks {', '.join(missing)}; its columns are {columns}")
    twice = [name for name in schema.names if found.count(name) > 1]
    if twice:
        raise SimulatorError(f"{path}: no {what}, column {twice[0]} is in it twice")


def _read(path: Path, schema: pa.Schema, what: str) -> pa.Table:
    """Read the columns of `schema`, in its types; `what` is what the file is to be.

    Raises:
        SimulatorError: it is damaged, or something else.
    """
    _check_columns(path, schema, what)
    try:
        with pq.ParquetFile(path) as file:
            table = file.read(columns=schema.names, use_threads=False)
    except DAMAGE as error:
        raise SimulatorError(f"{path}: cannot be read as a {what}: {str(error).splitlines()[0]}") from error
    return pa.Table.from_arrays([_cast(path, table[field.name], field, what) for field in schema], schema=schema)


def _cast(path: Path, column: "pa.ChunkedArray[Any]", field: "pa.Field[Any]", what: str) -> "pa.ChunkedArray[Any]":
    try:
        cast = column.cast(field.type)
        cast.validate(full=True)
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise SimulatorError(f"{path}: cannot be read as a {what}: column {field.name}: {reason}") from error
    if cast.null_count and field.name not in MAY_BE_EMPTY:
        raise SimulatorError(f"{path}: column {field.name} has empty values; only {' and '.join(MAY_BE_EMPTY)} may")
    return cast


def _read_messages(part: Path) -> Messages:
    messages = Messages(*(column.to_numpy() for column in _read(part, MESSAGES, "trace").columns))
    for name, (least, most, allowed) in POSSIBLE.items():
        column = getattr(messages, name)
        odd = ~((column >= least) & (column <= most))
        if name in MAY_BE_EMPTY:
            odd &= ~np.isnan(column)
        if np.any(odd):
            raise SimulatorError(f"{part}: column {name}: {column[np.argmax(odd)]:g}: must be {allowed}")
    return messages


def _parts_share_a_node(parts: Sequence[Path]) -> bool:
    if len(parts) == 1:
        return False
    nodes = [np.unique(_read(part, NODE, "trace")["node"].to_numpy()) for part in parts]
    return len(np.unique(np.concatenate(nodes))) < sum(map(len, nodes))


def _concatenate(blocks: Sequence[Messages]) -> Messages:
    return Messages(*(np.concatenate([getattr(b, field.name) for b in blocks]) for field in fields(Messages)))


def _sorted(messages: Messages) -> Messages:
    step = np.diff(messages.node)
    if np.all((step > 0) | ((step == 0) & (np.diff(messages.sent_s) >= 0))):
        return messages
    return messages.select(np.lexsort((messages.sent_s, messages.node)))


def _frame(messages: Messages) -> pd.DataFrame:
    return pd.DataFrame({field.name: getattr(messages, field.name) for field in fields(messages)})
