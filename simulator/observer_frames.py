"""The hub's observer file as frames: what it heard, which nodes it forgot, where it moved deadlines, what it said.

The file is JSON Lines, each line an array that begins with its kind; times are seconds on the hub's monotonic clock.
`hub.observer` says what is in each. A last line cut short by a killed hub is left out.

    read        header, receipt, forgotten, deadline, change, end
    left out    throttled (the receipt that follows says all that counts here), closed, restored
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from heartbench.hub.config import HubSettings
from heartbench.hub.errors import HubError
from heartbench.hub.liveness.self_health import BEAT_S
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.trace import schema_of

SCHEMA = "heartbench.observer/1"
_NAME = pa.dictionary(pa.int32(), pa.string())
_TABLES = {
    "receipt": schema_of(
        at_s=pa.float64(),
        node_id=_NAME,
        boot_id=pa.int64(),
        connection=pa.int64(),
        kind=_NAME,
        seq=pa.int64(),
        sent_unix_s=pa.float64(),
    ),
    "forgotten": schema_of(at_s=pa.float64(), node_id=_NAME),
    "deadline": schema_of(at_s=pa.float64(), node_id=_NAME, deadline_s=pa.float64(), reason=_NAME),
    "change": schema_of(
        at_s=pa.float64(),
        node_id=_NAME,
        status=_NAME,
        connected=pa.bool_(),
        flapping=pa.bool_(),
        reason=_NAME,
    ),
    "end": schema_of(at_s=pa.float64()),
}
# Parsing one call for many lines is twice as fast as one for each; a whole file at once is slower again, because
# Python's garbage collector then walks millions of rows.
_LINES_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True)
class Observed:
    """What a hub recorded of itself.

    Attributes:
        header: `monotonic_s` and `unix_s` of one moment, `epoch`, and the hub's `settings`.
        receipts: at_s, node_id, boot_id, connection, kind ("hello", …), seq, sent_unix_s; one row a message heard.
        forgotten: at_s, node_id; one row a node that was removed for good.
        deadlines: at_s, node_id, deadline_s, reason; one row a move that no message caused.
        changes: at_s, node_id, status, connected, flapping, reason.
        until_s: what the hub had to say before this, it has said. Where the file has no end, as that of a killed hub,
            this is before its last line: a hub looks for passed deadlines a beat after it last did, or later by what it
            tolerates (`pause_over_s`), and may have written what it heard meanwhile.
    """

    header: dict[str, Any]
    receipts: pd.DataFrame
    forgotten: pd.DataFrame
    deadlines: pd.DataFrame
    changes: pd.DataFrame
    until_s: float


def read_observer(path: Path) -> Observed:
    """Read an observer file. Texts (node_id, kind, status, reason) are categorical columns.

    Raises:
        SimulatorError: there is none, or it is damaged.
    """
    header: Any = None
    batches: dict[str, list[pa.RecordBatch]] = {kind: [] for kind in _TABLES}
    for rows in _rows(path):
        if header is None:
            header = rows[0][1] if rows[0][0] == "header" else {}
        for kind in _TABLES:
            batches[kind].append(_batch(path, kind, [row for row in rows if row[0] == kind]))
    if not isinstance(header, dict) or header.get("schema") != SCHEMA:
        raise SimulatorError(f"{path}: not an observer file; its first line must be a header of {SCHEMA}")
    frames: dict[str, pd.DataFrame] = {
        kind: pa.Table.from_batches(batches[kind], schema).unify_dictionaries().to_pandas()
        for kind, schema in _TABLES.items()
    }
    return Observed(
        header=header,
        receipts=frames["receipt"],
        forgotten=frames["forgotten"],
        deadlines=frames["deadline"],
        changes=frames["change"],
        until_s=_judged_until(path, header, frames),
    )


def _judged_until(path: Path, header: dict[str, Any], frames: dict[str, pd.DataFrame]) -> float:
    """The end; where there is none, until when the hub surely has looked for passed deadlines."""
    if len(frames["end"]):
        return float(frames["end"].at_s.max())
    try:
        tolerated_s = HubSettings.of(**header["settings"]).pause_over_s
    except (KeyError, TypeError, HubError) as error:
        raise SimulatorError(f"{path}: its header's settings are not those of a hub ({error})") from error
    last_s = max((float(frame.at_s.max()) for frame in frames.values() if len(frame)), default=0.0)
    return last_s - BEAT_S - tolerated_s


def _rows(path: Path) -> Iterator[list[list[Any]]]:
    """Yield the file's lines as lists, many at once."""
    first = 1
    try:
        with path.open(encoding="utf-8") as file:
            while lines := list(islice(file, _LINES_AT_ONCE)):
                if not lines[-1].endswith("\n"):
                    lines.pop()
                if lines:
                    yield _parse(path, first, lines)
                first += len(lines)
    except (OSError, UnicodeDecodeError) as error:
        raise SimulatorError(f"{path}: cannot be read as an observer file ({error})") from error


def _parse(path: Path, first: int, lines: list[str]) -> list[list[Any]]:
    try:
        rows: list[list[Any]] = json.loads("[" + ",".join(lines) + "]")
    except ValueError:
        rows = []
    if len(rows) == len(lines) and all(isinstance(row, list) and row for row in rows):
        return rows
    for number, line in enumerate(lines, first):
        try:
            damaged = not (isinstance(row := json.loads(line), list) and row)
        except ValueError:
            damaged = True
        if damaged:
            raise SimulatorError(f"{path}: line {number} is no JSON array: {line.strip()[:60]}")
    return rows


def _batch(path: Path, kind: str, rows: list[list[Any]]) -> pa.RecordBatch:
    schema = _TABLES[kind]
    if any(len(row) != len(schema) + 1 for row in rows):
        raise SimulatorError(f"{path}: a {kind} line has other values than {', '.join(schema.names)}")
    columns = list(zip(*rows, strict=True))[1:] if rows else [()] * len(schema)
    try:
        arrays = [_array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise SimulatorError(f"{path}: a {kind} line has a value of the wrong type ({error})") from error
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _array(column: tuple[Any, ...], wanted: pa.DataType) -> Any:
    if wanted == _NAME:
        return pa.array(column, pa.string()).dictionary_encode()
    return pa.array(column, wanted)
