"""The four tables of a run: their columns, Arrow types and Parquet encodings.

Floats are byte-stream-split, counters delta-encoded, and all columns LZ4-compressed: 8.6 million heartbeats took 0.6 s
on one core and 12 bytes each (zstd at level 1: 0.9 s and no smaller; without byte-stream-split: 16 bytes, three times
as long to read).
"""

from pathlib import Path
from typing import Any

import pyarrow as pa

NODES_FILE = "nodes.parquet"
_COUNTERS = {"seq": "DELTA_BINARY_PACKED", "name": "DELTA_BYTE_ARRAY"}


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


def encoding_of(schema: pa.Schema) -> dict[str, Any]:
    """Return the Parquet writer's options for a table with this schema."""
    floats = [field.name for field in schema if pa.types.is_floating(field.type)]
    counters = {name: encoding for name, encoding in _COUNTERS.items() if name in schema.names}
    return {
        "compression": "lz4",
        "use_dictionary": [name for name in schema.names if name not in (*floats, *counters)],
        "column_encoding": dict.fromkeys(floats, "BYTE_STREAM_SPLIT") | counters,
        "write_statistics": ["node"],
    }


def unfinished(path: Path) -> Path:
    """Return the name under which a file is written until it is complete."""
    return path.with_name(path.name + ".unfinished")
