"""JSON Lines: one message per line, an object with the columns of a CSV file as keys (`columns`)."""

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pyarrow as pa
from pyarrow import json as pa_json

from heartbench.analysis.imports.formats.columns import (
    FROM_FILE,
    ColumnReader,
    between_hello_and_goodbye,
    columns_of,
    first_bad,
)
from heartbench.analysis.imports.options import ImportOptions
from heartbench.analysis.imports.rows import Read
from heartbench.analysis.imports.sources import Block, Source, blocks, quoted


def read(source: Source, options: ImportOptions) -> Iterator[Read]:
    """Yield the messages of a file in JSON Lines."""
    found = _messages(source, options)
    return between_hello_and_goodbye(found) if options.node == FROM_FILE else found


def _messages(source: Source, options: ImportOptions) -> Iterator[Read]:
    reader: ColumnReader | None = None
    schema = pa.schema([])
    for block in blocks(source):
        if not block.text.strip():
            continue
        if reader is None:
            first = _first_object(block)
            reader = ColumnReader(source, columns_of(source, list(first), options), options)
            times = (reader.columns.time, reader.columns.sent)
            schema = pa.schema({name: _type_of(first[name], name in times) for name in reader.columns.used()})
        table = parsed(block, schema)
        as_text = pa.schema(dict.fromkeys(schema.names, pa.string()))
        yield from reader.rows(block, table.cast(as_text))


def _first_object(block: Block) -> dict[str, Any]:
    line = block.filled(0)
    try:
        first = json.loads(block.text.split(b"\n")[line])
    except (ValueError, RecursionError) as error:
        raise block.error(line, f"not JSON: {str(error).splitlines()[0]}") from error
    if not isinstance(first, dict):
        raise block.error(line, "not a JSON object; expected one per line")
    return first


def _type_of(value: object, is_time: bool) -> pa.DataType:
    """Return the type of a column, from one value; a time may have a fraction in another line."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return pa.float64() if is_time or isinstance(value, float) else pa.int64()
    return pa.string()


def parsed(block: Block, schema: pa.Schema) -> pa.Table:
    """Return the keys of a block's objects that a schema lists, nested ones too.

    Raises:
        AnalysisError: a line is not JSON, or a value has another type.
    """
    try:
        block.text.decode()
        return parse(block.text, schema)
    except UnicodeDecodeError as error:
        raise block.error(block.text.count(b"\n", 0, error.start), "not UTF-8") from error
    except pa.ArrowInvalid as error:
        lines = block.text.split(b"\n")
        line = first_bad(lines, lambda text: parse(text, schema))
        why = str(error).splitlines()[0].removeprefix("JSON parse error: ").partition(" in row ")[0]
        raise block.error(line, f"{quoted(lines[line])}: {why}") from error


def parse(text: bytes, schema: pa.Schema) -> pa.Table:
    """Return a text as a table; raise ArrowInvalid if it cannot be parsed."""
    options = pa_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    read_options = pa_json.ReadOptions(use_threads=False, block_size=len(text) + 1)
    return pa_json.read_json(BytesIO(text), read_options, options).select(schema.names).cast(schema)
