"""JSON Lines: one message per line, an object with the columns of a CSV file as keys (`columns`)."""

import json
import re
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
from heartbench.analysis.imports.formats.documents import is_cut, why_not_json
from heartbench.analysis.imports.options import ImportOptions
from heartbench.analysis.imports.rows import Read, Stated
from heartbench.analysis.imports.sources import Block, Source, blocks, quoted


def read(source: Source, options: ImportOptions) -> Iterator[Read]:
    """Yield the messages of a file in JSON Lines."""
    found = _messages(source, options)
    return between_hello_and_goodbye(found) if options.node == FROM_FILE else found


def _messages(source: Source, options: ImportOptions) -> Iterator[Read]:
    reader: ColumnReader | None = None
    types: dict[str, pa.DataType] = {}
    for block in blocks(source):
        if not block.text.strip():
            continue
        if block.cut and reader is not None and is_cut(block.text.strip()):
            yield Stated(note=block.left_out())
            continue
        if reader is None:
            first = _first_object(block)
            reader = ColumnReader(source, columns_of(source, list(first), options), options)
        used, times = reader.columns.used(), (reader.columns.time, reader.columns.sent)
        for name in used:
            if name not in types and (found := _type_of(block, name, name in times)) is not None:
                types[name] = found
        schema = pa.schema({name: types.get(name, pa.string()) for name in used})
        table = parsed(block, schema)
        as_text = pa.schema(dict.fromkeys(schema.names, pa.string()))
        yield from reader.rows(block, table.cast(as_text))


def _first_object(block: Block) -> dict[str, Any]:
    line = block.filled(0)
    try:
        first = json.loads(block.text.split(b"\n")[line])
    except (ValueError, RecursionError) as error:
        raise block.error(line, why_not_json(error)) from error
    if not isinstance(first, dict):
        raise block.error(line, "not a JSON object; expected one per line")
    return first


def _type_of(block: Block, name: str, is_time: bool) -> pa.DataType | None:
    """Return the type of a column, from its first value in a block that is not null; None: all are.

    A time may have a fraction in another line.
    """
    value = _first_value(block, name)
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return pa.float64() if is_time or isinstance(value, float) else pa.int64()
    return pa.string()


def _first_value(block: Block, name: str) -> object:
    """Return the first value of a key that is not null; None without one, and if its line is no JSON."""
    key = re.compile(re.escape(json.dumps(name, ensure_ascii=False).encode()) + rb"\s*:(?!\s*null)")
    end = -1
    for found in key.finditer(block.text):
        if found.start() < end:
            continue
        begin, end = block.text.rfind(b"\n", 0, found.start()) + 1, block.text.find(b"\n", found.start())
        end = end if end >= 0 else len(block.text)
        try:
            line = json.loads(block.text[begin:end])
        except (ValueError, RecursionError):
            return None
        if isinstance(line, dict) and line.get(name) is not None:
            return line[name]
    return None


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
