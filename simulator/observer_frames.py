"""The hub's observer file (`heartbench.hub.events.observer_file`) as frames, one per kind of record that counts.

`throttled` is left out because the receipt that follows it is enough; `closed` changes no judgement.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

import pandas as pd
import pyarrow as pa

from heartbench.hub import HubError, HubSettings
from heartbench.hub.events.observer_file import RECORDS, Header, Row, read_batches
from heartbench.hub.liveness.self_health import TICK_S
from heartbench.simulator.errors import SimulatorError

_WORD = pa.dictionary(pa.int32(), pa.string())
_TYPES: dict[Any, pa.DataType] = {
    float: pa.float64(),
    int: pa.int64(),
    bool: pa.bool_(),
    float | None: pa.float64(),
    list[float]: pa.list_(pa.float64()),
}
_SCHEMAS = {
    name: pa.schema({column: _TYPES.get(hint, _WORD) for column, hint in get_type_hints(RECORDS[name]).items()})
    for name in ("receipt", "forgotten", "deadline", "change", "end", "restored")
}


@dataclass(frozen=True, slots=True)
class Observed:
    """What a hub recorded of itself.

    Attributes:
        header: One moment on both clocks, and the hub's epoch and settings.
        receipts: at_s, node_id, boot_id, connection, kind ("hello", …), seq, sent_unix_s; one row per message received.
        forgotten: at_s, node_id; one row per node that was removed for good.
        deadlines: at_s, node_id, deadline_s, reason; one row per move that no message caused.
        changes: at_s, node_id, status, connected, flapping, reason.
        until_s: The changes before this time are complete. If the file has no end, because the hub was killed, this is
            before its last line: a hub looks for passed deadlines a tick after it last did, or later by what it
            tolerates (`pause_over_s`), and may have recorded messages meanwhile.
        restored: at_s, node_id, status, deadline_s and so on; one row per node that was known from the hub's last run.
    """

    header: Header
    receipts: pd.DataFrame
    forgotten: pd.DataFrame
    deadlines: pd.DataFrame
    changes: pd.DataFrame
    until_s: float
    restored: pd.DataFrame = field(default_factory=pd.DataFrame)


def read_observer(path: Path) -> Observed:
    """Read an observer file. Texts (node_id, kind, status, reason) are categorical columns.

    Raises:
        SimulatorError: The file cannot be read, or is damaged.
    """
    parts: dict[str, list[pa.RecordBatch]] = {kind: [] for kind in _SCHEMAS}
    try:
        header, batches = read_batches(path)
        for rows in batches:
            for kind in _SCHEMAS:
                parts[kind].append(_batch(path, kind, [row for row in rows if row[0] == kind]))
        tolerated_s = HubSettings.of(**header.settings).pause_over_s
    except HubError as error:
        raise SimulatorError(str(error)) from error
    receipts, forgotten, deadlines, changes, end, restored = (
        pa.Table.from_batches(parts[kind], schema).unify_dictionaries().to_pandas() for kind, schema in _SCHEMAS.items()
    )
    until_s = float(end.at_s.max())
    if end.empty:
        last_s = max(
            (float(frame.at_s.max()) for frame in (receipts, forgotten, deadlines, changes) if len(frame)), default=0.0
        )
        until_s = last_s - TICK_S - tolerated_s
    return Observed(header, receipts, forgotten, deadlines, changes, until_s, restored)


def _batch(path: Path, kind: str, rows: list[Row]) -> pa.RecordBatch:
    schema = _SCHEMAS[kind]
    columns = list(zip(*rows, strict=True))[1:] if rows else [()] * len(schema)
    try:
        arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise SimulatorError(f"{path}: a {kind} line has a value of the wrong type ({error})") from error
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
