"""CSV: one message per row, in columns that are known by name or named by the user.

Which column is which is decided by its name, in any case of letters: NAMES. `--node @file` takes the name of the file
for that of the node, for logs with one file per node; then the node says hello with its first message and goodbye with
its last, because the end of a file is no silence. Fields are separated by commas, semicolons or tabs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv

from heartbench.analysis.imports.options import OF_SOME_FORMATS, ImportOptions
from heartbench.analysis.imports.rows import UNKNOWN, Read, Rows, Stated
from heartbench.analysis.imports.sources import Block, Source, blocks, quoted
from heartbench.analysis.imports.times import NUMBER, TimeForm, form_of, seconds
from heartbench.mesh.kinds import KINDS, Kind

DELIMITERS = (",", ";", "\t")
FROM_FILE = "@file"
NAMES = {
    "time": (
        *("arrived_s", "arrived", "arrived_ms", "arrived_at", "received", "received_s", "received_ms", "received_at"),
        *("time", "timestamp", "ts", "@timestamp", "datetime", "date", "at", "at_s", "unix_s", "unix_ms"),
    ),
    "node": ("node", "node_id", "node_name", "name", "host", "hostname", "device", "device_id", "client", "client_id"),
    "sent": ("sent_s", "sent", "sent_ms", "sent_at", "sent_unix_s"),
    "sequence": ("seq", "sequence", "sequence_number"),
    "boot": ("boot", "boot_id", "incarnation"),
    "kind": ("kind",),
}
"""Columns by what they hold, the first that is there counts; each has an option of the same name."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a log: their names; None: there is none."""

    time: str
    node: str
    sent: str | None
    sequence: str | None
    boot: str | None
    kind: str | None

    def used(self) -> list[str]:
        """Return the columns that are read."""
        each = (self.time, self.node, self.sent, self.sequence, self.boot, self.kind)
        return [name for name in each if name not in (None, FROM_FILE)]


def columns_of(source: Source, found: Sequence[str], options: ImportOptions) -> Columns:
    """Return which of the columns found in a file hold what.

    Raises:
        AnalysisError: one that is named or needed is missing.
    """
    chosen: dict[str, Any] = {}
    named = {role: getattr(options, role) for role in NAMES}
    free = {name.lower(): name for name in reversed(found) if name not in named.values()}
    has = quoted(", ".join(found), 200)
    for role, names in NAMES.items():
        name, option = named[role], OF_SOME_FORMATS[role]
        if name is None:
            chosen[role] = next((free[each] for each in names if each in free), None)
            continue
        if name not in found and not (role == "node" and name == FROM_FILE):
            raise source.error(1, f"{option}: no column {name!r}; it has {has}")
        if name in chosen.values():
            raise source.error(1, f"{option}: the column {name!r} is named twice; each holds one thing")
        chosen[role] = name
    node = OF_SOME_FORMATS["node"]
    for role, hint in (("time", ""), ("node", f", or use {node} {FROM_FILE} if each file is one node")):
        if chosen[role] is None:
            raise source.error(1, f"no column for the {role} among {has}; name it with {OF_SOME_FORMATS[role]}{hint}")
    return Columns(**chosen)


def read(source: Source, options: ImportOptions) -> Iterator[Read]:
    """Yield the messages of a CSV file."""
    found = _messages(source, options)
    return between_hello_and_goodbye(found) if options.node == FROM_FILE else found


def between_hello_and_goodbye(found: Iterator[Read]) -> Iterator[Read]:
    """Yield the messages of the one node of a file, the first a hello, the last a goodbye."""
    held: Rows | None = None
    for each in found:
        if not isinstance(each, Rows) or not len(each):
            yield each
            continue
        if held is None:
            each.kind[np.argmin(each.arrived_s)] = Kind.HELLO
        else:
            yield held
        held = each
    if held is not None:
        held.kind[len(held) - 1 - np.argmax(held.arrived_s[::-1])] = Kind.GOODBYE
        yield held


def _messages(source: Source, options: ImportOptions) -> Iterator[Read]:
    reader: ColumnReader | None = None
    header: list[str] = []
    delimiter = ","
    for block in blocks(source):
        text = block.text
        skipped = 0
        if block.cut and reader is not None:
            yield Stated(note=block.left_out())
            continue
        if reader is None:
            first, _, text = text.partition(b"\n")
            skipped = 1
            head = first.decode("utf-8-sig", "replace").rstrip("\r")
            delimiter = max(DELIMITERS, key=head.count)
            header = [name.strip().strip('"') for name in head.split(delimiter)]
            if len(set(header)) < len(header):
                raise source.error(1, f"{quoted(head)}: a column occurs twice; each must have its own name")
            reader = ColumnReader(source, columns_of(source, header, options), options)
        if text.strip():
            body = Block(source, block.first_line + skipped, text)
            yield from reader.rows(body, _parsed(body, header, delimiter, reader.columns.used()))


def _parsed(block: Block, header: list[str], delimiter: str, used: list[str]) -> pa.Table:
    """Return the used columns of a block as text, null where they are empty."""
    try:
        return _parse(block.text, header, delimiter, used)
    except pa.ArrowInvalid as error:
        line = first_bad(block.text.split(b"\n"), lambda text: _parse(text, header, delimiter, used))
        wrong = quoted(block.text.split(b"\n")[line])
        few = f"expected {len(header)} fields"
        raise block.error(line, f"{wrong}: {'not UTF-8' if 'UTF8' in str(error) else few}") from error


def _parse(text: bytes, header: list[str], delimiter: str, used: list[str]) -> pa.Table:
    convert = csv.ConvertOptions(
        column_types=dict.fromkeys(used, pa.string()), include_columns=used, null_values=[""], strings_can_be_null=True
    )
    read_options = csv.ReadOptions(column_names=header, use_threads=False, block_size=len(text) + 1)
    return csv.read_csv(BytesIO(text), read_options, csv.ParseOptions(delimiter=delimiter), convert)


def first_bad(lines: Sequence[bytes], parse: Any) -> int:
    """Return the number of the first line, from 0, without which the lines before it can be parsed."""
    good, bad = 0, len(lines)  # so many lines can be parsed, so many cannot
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            text = b"\n".join(lines[:middle]) + b"\n"
            if text.strip():
                parse(text)
            good = middle
        except pa.ArrowInvalid:
            bad = middle
    return good


class ColumnReader:
    """Makes messages of tables of text; what the first value of a column shows holds for all of it."""

    def __init__(self, source: Source, columns: Columns, options: ImportOptions) -> None:
        self.columns = columns
        self._source = source
        self._unit = options.time_unit
        self._forms: dict[str, TimeForm] = {}

    def rows(self, block: Block, table: pa.Table) -> Iterator[Read]:
        """Yield the messages of a block's table; all of its columns are text."""
        columns = self.columns
        new = columns.time not in self._forms
        arrived_s = self._times(block, table, columns.time)
        self._check(block, table, columns.time, np.isnan(arrived_s), "not a time: expected a number or ISO 8601")
        if new and (note := self._forms[columns.time].note):
            yield Stated(note=note)
        if columns.node == FROM_FILE:
            names: Any = pa.array([self._source.stem] * table.num_rows, pa.string())
        else:
            names = table[columns.node].combine_chunks()
            self._check(block, table, columns.node, names.is_null().to_numpy(False), "the node has no name")
        yield Rows.of(
            names,
            arrived_s,
            sent_s=self._times(block, table, columns.sent) if columns.sent else None,
            seq=self._whole_numbers(block, table, columns.sequence) if columns.sequence else None,
            boot=_labels(table[columns.boot]) if columns.boot else None,
            kind=self._kinds(block, table, columns.kind) if columns.kind else None,
        )

    def _times(self, block: Block, table: pa.Table, name: str) -> NDArray[np.float64]:
        """Return a column of times, s; NaN where it is empty."""
        column = table[name]
        if name not in self._forms:
            value = next((each for each in column.to_pylist() if each is not None), None)
            form = form_of(value, name, self._unit)
            if form is None:
                self._check(
                    block, table, name, np.ones(len(column), np.bool_), "not a time: expected a number or ISO 8601"
                )
                return np.full(len(column), np.nan)
            self._forms[name] = form
        times = seconds(column, self._forms[name])
        wrong = np.isnan(times) & column.is_valid().to_numpy()
        self._check(block, table, name, wrong, f"not a time in {self._forms[name].unit}, as those before it")
        return times

    def _whole_numbers(self, block: Block, table: pa.Table, name: str) -> NDArray[np.int64]:
        numbers = pd.to_numeric(table[name].to_pandas(), errors="coerce").to_numpy(np.float64)
        empty = table[name].is_null().to_numpy()
        wrong = ~((numbers >= 0) & (numbers < 2.0**53) & (numbers % 1 == 0)) & ~empty
        self._check(block, table, name, wrong, "not a whole number of 0 or more")
        return np.where(empty, UNKNOWN, np.nan_to_num(numbers, posinf=0, neginf=0)).astype(np.int64)

    def _kinds(self, block: Block, table: pa.Table, name: str) -> NDArray[np.int8]:
        words = {**{word: int(kind) for word, kind in KINDS.items()}, **{str(int(kind)): int(kind) for kind in Kind}}
        kinds = table[name].to_pandas().str.lower().map(words)
        empty = table[name].is_null().to_numpy()
        allowed = ", ".join(KINDS)
        self._check(block, table, name, kinds.isna().to_numpy() & ~empty, f"not a kind; allowed: {allowed}, or 0 to 3")
        return np.asarray(kinds.fillna(int(Kind.HEARTBEAT)), np.int8)

    def _check(self, block: Block, table: pa.Table, name: str, wrong: NDArray[np.bool_], what: str) -> None:
        """Raise for the first wrong row."""
        if wrong.any():
            row = int(np.argmax(wrong))
            value = table[name][row].as_py() if name in table.column_names else None
            raise block.error(block.filled(row), f"{name}: {quoted(value or '')}: {what}")


def _labels(column: "pa.ChunkedArray[Any]") -> NDArray[np.int64]:
    """Return a number for each text, the same for the same in every block; numbers stay what they are."""
    texts = column.to_pandas()
    if texts.dropna().map(NUMBER.fullmatch).astype(bool).all():
        numbers = pd.to_numeric(texts, errors="coerce").to_numpy(np.float64)
        return np.where(np.isnan(numbers), UNKNOWN, np.nan_to_num(numbers)).astype(np.int64)
    hashed = pd.util.hash_array(texts.fillna("").to_numpy(object), categorize=True)
    return np.where(texts.isna(), UNKNOWN, (hashed >> np.uint64(1)).astype(np.int64))
