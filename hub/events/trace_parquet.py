"""Pieces of a hub's trace as Parquet: the process that converts journals, and the reader of both.

`python -m heartbench.hub.events.trace_parquet DIRECTORY` converts each journal that no hub writes. A piece appears at
once (rename) and its journal is removed after that, so a conversion may be killed at any time and done again.

One row per message, by node and then by time:

    node        dictionary of strings    name
    boot        uint64                   boot_id of the node, as it reports it
    connection  uint64                   its stream, as it reports it
    kind        int8                     `heartbench.mesh.kinds.Kind`
    seq         uint64                   number of the heartbeat or chunk; 0: not numbered
    arrived     timestamp[us, UTC]       when the hub read it: its monotonic clock, laid on its wall clock as that was
                                         when the piece was last written
    sent        timestamp[us, UTC]       as the node reports it; null: it does not

The schema's metadata has `heartbench.trace`, the fields of `Piece` as JSON. This is the hub's only module with pyarrow,
and the hub's own process does not import it.
"""

import json
import os
import sys
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from heartbench.hub.errors import HubError
from heartbench.hub.events.trace_directory import JOURNAL, PARQUET, PART, claim, files_of
from heartbench.hub.events.trace_journal import COLUMNS, SCHEMA, Journal, Piece, read_journal

METADATA = b"heartbench.trace"
TIME = pa.timestamp("us", tz="UTC")
LATEST_S = 1e11
"""A node's clock beyond this is as good as none, s: three thousand years."""
TYPES: dict[str, Any] = {"I": pa.uint32(), "Q": pa.uint64(), "d": pa.float64()}
NUMBERS = dict.fromkeys(("boot", "connection", "seq", "arrived", "sent"), "DELTA_BINARY_PACKED")
OPTIONS: dict[str, Any] = {"compression": "zstd", "use_dictionary": ["node", "kind"], "column_encoding": NUMBERS}
COLUMN_TYPES = pa.schema(
    {
        "node": pa.dictionary(pa.int32(), pa.string()),
        "boot": pa.uint64(),
        "connection": pa.uint64(),
        "kind": pa.int8(),
        "seq": pa.uint64(),
        "arrived": TIME,
        "sent": TIME,
    }
)
NICENESS = 10
UNREADABLE = (pa.ArrowException, OSError, ValueError, TypeError, KeyError)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A piece, and its messages as the module describes them."""

    piece: Piece
    messages: pa.Table


def read_piece(path: Path) -> Recorded | None:
    """Return what a piece holds, be it Parquet or a journal; None if nothing was recorded in it.

    Raises HubError if it cannot be read or is something else.
    """
    if path.suffix == JOURNAL and path.exists():
        journal = read_journal(path)
        return None if journal is None else Recorded(journal.piece, table_of(journal))
    path = path.with_suffix(PARQUET)  # a hub may have converted it meanwhile
    try:
        table = pq.read_table(path, use_threads=False, partitioning=None)
        _check(table)
        return Recorded(_piece_in(table.schema), table)
    except UNREADABLE as error:
        raise _not_a_piece(path, error) from error


def describe_piece(path: Path) -> Piece | None:
    """Return what `read_piece` does without the messages; quick if it is Parquet."""
    if path.suffix == PARQUET:
        try:
            return _piece_in(pq.read_schema(path))
        except UNREADABLE as error:
            raise _not_a_piece(path, error) from error
    found = read_piece(path)
    return found.piece if found else None


def _piece_in(schema: pa.Schema) -> Piece:
    found = json.loads((schema.metadata or {})[METADATA])
    if found.pop("schema") != SCHEMA:
        raise ValueError(f"not of {SCHEMA}")
    found["pauses"] = [(from_s, to_s) for from_s, to_s in found["pauses"]]
    piece = Piece(**found)
    times = (piece.run_unix_s, piece.from_s, piece.to_s, piece.offset_s, *chain.from_iterable(piece.pauses))
    if not all(abs(time) < LATEST_S for time in times):
        raise ValueError(f"a time that is not within {LATEST_S:g} s")
    return piece


def _check(table: pa.Table) -> None:
    """Raise ValueError or ArrowException if the messages are not as the module describes them."""
    if not table.schema.equals(COLUMN_TYPES):
        raise ValueError("its columns are not those of a record")
    table.validate(full=True)
    if any(table[name].null_count for name in table.column_names if name != "sent"):
        raise ValueError("empty values")
    latest = pc.max(pc.abs(table["arrived"].cast(pa.int64()))).as_py()
    if latest is not None and latest >= LATEST_S * 1e6:
        raise ValueError(f"a time that is not within {LATEST_S:g} s")


def _not_a_piece(path: Path, error: Exception) -> HubError:
    return HubError(f"{path}: not a piece of HUB_TRACE_DIR ({str(error).splitlines()[0]})")


def table_of(journal: Journal) -> pa.Table:
    """Return the messages of a journal, by node and then by time."""
    at_s, source, seq, sent_s = (
        pa.Array.from_buffers(TYPES[code], len(column), [None, pa.py_buffer(column)])
        for code, column in zip(COLUMNS, journal.columns, strict=True)
    )
    names = {name: number for number, name in enumerate(dict.fromkeys(one.node_id for one in journal.sources))}
    node = pa.array([names[one.node_id] for one in journal.sources], pa.int32()).take(source)
    known = pc.and_(pc.not_equal(sent_s, pa.scalar(0.0)), pc.less(pc.abs(sent_s), pa.scalar(LATEST_S)))  # not for NaN
    columns = {
        "node": pa.DictionaryArray.from_arrays(node, pa.array(list(names), pa.string())),
        "boot": pa.array([one.boot_id for one in journal.sources], pa.uint64()).take(source),
        "connection": pa.array([one.connection for one in journal.sources], pa.uint64()).take(source),
        "kind": pa.array([one.kind for one in journal.sources], pa.int8()).take(source),
        "seq": seq,
        "arrived": _times(pc.add(at_s, journal.piece.offset_s)),
        "sent": _times(pc.if_else(known, sent_s, None)),
    }
    metadata = json.dumps({"schema": SCHEMA, **asdict(journal.piece)})
    by_node = pc.sort_indices(node)  # stable, so each node's messages stay in order of receipt
    return pa.table(columns, metadata={METADATA: metadata}).take(by_node)


def _times(unix_s: Any) -> Any:
    return pc.round(pc.multiply(unix_s, 1e6)).cast(pa.int64()).cast(TIME)


def convert(journal: Path) -> None:
    """Turn a journal into Parquet, unless its hub still writes it."""
    file = claim(journal)
    if file is None:
        return
    with file:
        found = read_journal(journal)
        if found is not None:
            part = journal.with_suffix(f"{PARQUET}.{os.getpid()}{PART}")
            pq.write_table(table_of(found), part, **OPTIONS)
            try:
                part.replace(journal.with_suffix(PARQUET))
            except FileNotFoundError:  # a hub that has just started removed it, and converts anew
                return
        journal.unlink(missing_ok=True)


def main(directory: Path) -> int:
    """Convert all free journals, oldest first; return 1 if one cannot be."""
    status = 0
    for path in files_of(directory):
        if path.suffix == JOURNAL:
            try:
                convert(path)
            except (HubError, OSError, pa.ArrowException) as error:
                print(error, file=sys.stderr)  # noqa: T201  (the hub logs it)
                status = 1
    return status


if __name__ == "__main__":
    os.nice(NICENESS)
    sys.exit(main(Path(sys.argv[1])))
