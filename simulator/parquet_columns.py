"""Checked reading of Parquet files: the columns of a schema in its types, whole or piece by piece.

Errors name the file, what it should be and what is wrong.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from heartbench.simulator.errors import SimulatorError

MAY_BE_EMPTY = ("arrived_s", "end_s")
DAMAGE = (pa.ArrowException, OSError, UnicodeDecodeError)  # what reading a damaged file raises


def check_columns(path: Path, schema: pa.Schema, what: str) -> None:
    """Raise SimulatorError if a file lacks a column of `schema`; `what` names what it should be."""
    try:
        found = pq.read_schema(path).names
    except DAMAGE as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else "not a Parquet file"
        raise SimulatorError(f"{path}: {reason}; expected a {what} with {', '.join(schema.names)}") from error
    missing = [name for name in schema.names if name not in found]
    if missing:
        columns = ", ".join(name if name.isprintable() else repr(name) for name in found)
        raise SimulatorError(f"{path}: not a {what}, it lacks {', '.join(missing)}; its columns are {columns}")
    twice = [name for name in schema.names if found.count(name) > 1]
    if twice:
        raise SimulatorError(f"{path}: not a {what}, column {twice[0]} occurs twice")


def read_table(path: Path, schema: pa.Schema, what: str) -> pa.Table:
    """Read the columns of `schema`, in its types; `what` names what the file should be.

    Raises:
        SimulatorError: it is damaged, or something else.
    """
    check_columns(path, schema, what)
    try:
        with pq.ParquetFile(path) as file:
            table = file.read(columns=schema.names, use_threads=False)
    except DAMAGE as error:
        raise SimulatorError(f"{path}: cannot be read as a {what}: {str(error).splitlines()[0]}") from error
    return _in_types(path, table, schema, what)


def read_pieces(path: Path, schema: pa.Schema, what: str, rows: int) -> Iterator[pa.Table]:
    """Yield the columns of `schema`, in its types, `rows` rows at a time; arguments and errors as of `read_table`."""
    check_columns(path, schema, what)
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(rows, columns=schema.names, use_threads=False):
                yield _in_types(path, pa.Table.from_batches([batch]), schema, what)
    except DAMAGE as error:
        raise SimulatorError(f"{path}: cannot be read as a {what}: {str(error).splitlines()[0]}") from error


def _in_types(path: Path, table: pa.Table, schema: pa.Schema, what: str) -> pa.Table:
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
