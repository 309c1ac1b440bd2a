"""Any CSV file whose columns are named: when each probe left, and its round-trip time or when its answer came.

A row is a probe, an empty field (or a lone -) a lost one. Rows may also be rounds of several probes with the share of
lost ones. Which of them were lost is not known, so one probe of each round is read: as many as the shares add up to are
lost, spread over the rounds that lost any. A row without a round-trip time is no probe, unless all of it were lost.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.recordings.lines import bad_line, open_log
from heartbench.simulator.recordings.listed import listed_recording
from heartbench.simulator.recordings.recording import Recording, Seconds

UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
DELIMITERS = (",", ";", "\t")
NUMBER = re.compile(r"\s*[-+]?[\d.]+([eE][-+]?\d+)?\s*")
ZONE = re.compile(r"(Z|[+-]\d\d:?\d\d)$")
EMPTY = ["", "-"]
LATEST_S = 1e11
"""The year 5138."""
DATES_BEGIN_S = 631_152_000
"""1990: a larger number of seconds is a date, a smaller one a time since the start."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the columns of a CSV file, and their units."""

    time: str
    """When a probe left: a number in `time_unit`, or a date in ISO 8601, or one in the form of `time_unit` (`%Y…`)."""
    rtt: str | None = None
    """Its round-trip time, in `rtt_unit`."""
    answered: str | None = None
    """Instead of `rtt`: when its answer came, written as `time` is."""
    loss: str | None = None
    """Share of lost probes of a row that is a round of several, in percent."""
    time_unit: str = "s"
    rtt_unit: str = "ms"

    def __post_init__(self) -> None:
        if (self.rtt is None) == (self.answered is None):
            raise SimulatorError("columns: name either that of the round-trip time or that of the time of the answer")
        if twice := repeated(self.names):
            raise SimulatorError(f"columns: {twice!r} is named twice; name a column for each")
        allowed = ", ".join(UNITS)
        if self.time_unit not in UNITS and "%" not in self.time_unit:
            raise SimulatorError(
                f"columns: --time-unit {self.time_unit}: must be {allowed}, or the form of a date, as %Y-%m-%d %H:%M:%S"
            )
        if self.rtt_unit not in UNITS:
            raise SimulatorError(f"columns: --rtt-unit {self.rtt_unit}: must be {allowed}")

    @property
    def names(self) -> list[str]:
        """Names of the columns that are read."""
        return [name for name in (self.time, self.rtt, self.answered, self.loss) if name]


def repeated(names: Sequence[str]) -> str | None:
    """Return the first name that stands twice."""
    return next((name for place, name in enumerate(names) if name in names[:place]), None)


def read_csv(path: Path, columns: Columns) -> Recording:
    """Return the probes in a CSV file."""
    sent_s, rtt_s = probes_in(path, read_table(path, columns), columns)
    pa.default_memory_pool().release_unused()  # of ten million rows it would keep 200 MiB
    if not len(sent_s):
        raise bad_line(path, 1, "no probe in any row")
    dated = columns.time_unit not in UNITS or sent_s[0] > DATES_BEGIN_S
    assumed = f"{path}: a row is a round of several probes: one of each is read, lost as often as {columns.loss} says"
    return listed_recording(
        str(path),
        sent_s,
        rtt_s,
        began_unix_s=float(sent_s[0]) if dated else None,
        assumptions=(assumed,) if columns.loss else (),
    )


def probes_in(path: Path, table: pa.Table, columns: Columns) -> tuple[Seconds, Seconds]:
    """Return when each probe left and its round-trip time, s; raise SimulatorError with the first row that is wrong."""
    sent_s = times(path, table, columns.time, columns.time_unit)
    missing(path, np.isnan(sent_s), f"{columns.time} is empty; it must say when the probe left")
    missing(path, np.abs(sent_s) > LATEST_S, f"{columns.time} is no time in {columns.time_unit}")
    if columns.rtt:
        rtt_s = numbers(path, table, columns.rtt) * UNITS[columns.rtt_unit]
    else:
        rtt_s = times(path, table, columns.answered or "", columns.time_unit) - sent_s
    missing(path, rtt_s < 0, f"{columns.rtt or columns.answered}: an answer before its probe")
    back = np.append(False, np.diff(sent_s) < 0)
    missing(path, back, f"{columns.time}: the time goes back; sort the rows by it, or cut the file there")
    if columns.loss:
        return one_of_each(path, sent_s, rtt_s, numbers(path, table, columns.loss), columns.loss)
    return sent_s, rtt_s


def one_of_each(path: Path, sent_s: Seconds, rtt_s: Seconds, percent: Seconds, name: str) -> tuple[Seconds, Seconds]:
    """Return one probe of each round; it is lost where the rounded sum of the shares grows. An empty one is 0."""
    missing(path, (percent < 0) | (percent > 100), f"{name} is no share in percent; it must be between 0 and 100")
    rounds = ~np.isnan(rtt_s) | (percent == 100)
    sum_of_shares = (np.nan_to_num(percent[rounds]).cumsum() + 50) // 100
    lost = np.diff(sum_of_shares, prepend=0) > 0
    return sent_s[rounds], np.where(lost, np.nan, rtt_s[rounds])


def read_table(path: Path, columns: Columns) -> pa.Table:
    """Return the named columns, null where they are empty: numbers, but dates as text."""
    with open_log(path) as file:
        head, first = (file.readline().decode("utf-8-sig", "replace").rstrip("\r\n") for _ in range(2))
    delimiter = max(DELIMITERS, key=head.count)
    found = [name.strip().strip('"') for name in head.split(delimiter)]
    wanted = columns.names
    for name in wanted:
        if name not in found:
            raise bad_line(path, 1, f"no column {name!r}; it has {', '.join(found)}")
    if twice := repeated([name for name in found if name in wanted]):
        raise bad_line(path, 1, f"two columns {twice!r}; rename the one that is not meant")
    kinds: dict[str, pa.DataType] = dict.fromkeys(wanted, pa.float64())
    time = dict(zip(found, first.split(delimiter), strict=False)).get(columns.time, "").strip('"')
    if "%" in columns.time_unit or not NUMBER.fullmatch(time):
        kinds |= dict.fromkeys((name for name in (columns.time, columns.answered) if name), pa.string())
    options = csv.ConvertOptions(
        column_types=kinds, include_columns=wanted, null_values=EMPTY, strings_can_be_null=True
    )
    try:
        with open_log(path) as file:
            return csv.read_csv(
                file,
                csv.ReadOptions(column_names=found, skip_rows=1, use_threads=False),
                csv.ParseOptions(delimiter=delimiter),
                options,
            )
    except pa.ArrowInvalid as error:
        raise in_its_line(path, found, str(error).splitlines()[0]) from error


def in_its_line(path: Path, names: Sequence[str], text: str) -> SimulatorError:
    """Return an error of the CSV reader with the line and the column that it means."""
    row = re.search(r"Row #(\d+): (?:CSV conversion error to \w+: )?(.*)", text)
    column = re.search(r"column #(\d+)", text)
    wrong = row[2] if row else text
    if column and int(column[1]) < len(names):
        wrong = f"{names[int(column[1])]}: {wrong}; allowed is a number, empty is lost"
    return bad_line(path, line_of(path, int(row[1]) - 2) if row else 1, wrong)


def numbers(path: Path, table: pa.Table, name: str) -> Seconds:
    """Return a column of numbers, NaN where it is empty; a NaN in the file is an error."""
    array = np.asarray(table[name].to_numpy(), dtype=np.float64)
    lost = table[name].is_null().to_numpy()
    missing(path, ~(np.isfinite(array) | lost), f"{name} is no finite number; empty is lost")
    return array


def times(path: Path, table: pa.Table, name: str, unit: str) -> Seconds:
    """Return a column of times in s: since 1970 where they are dates."""
    text = table[name]
    if text.type == pa.float64():
        return numbers(path, table, name) * UNITS[unit]
    if "%" in unit:
        parsed = pc.strptime(text, format=unit, unit="us", error_is_null=True)
        unread = pc.and_(pc.is_null(parsed), pc.is_valid(text)).to_numpy()
        missing(path, unread, f"{name} is not of the form {unit}")
        return seconds(parsed)
    zoned = text.null_count < len(text) and ZONE.search(text.drop_null()[0].as_py())
    kind = pa.timestamp("us", "UTC") if zoned else pa.timestamp("us")
    try:
        return seconds(text.cast(kind))
    except pa.ArrowInvalid:
        raise unreadable(path, text, name, kind) from None


def seconds(dates: Any) -> Seconds:
    """Return dates in s since 1970, NaN where they are null."""
    microseconds = dates.cast(pa.int64())
    return np.array(microseconds.cast(pa.float64()).to_numpy(), dtype=np.float64) / 1e6


def unreadable(path: Path, text: Any, name: str, kind: pa.DataType) -> SimulatorError:
    """Return the error of the first row that is no date of this kind."""
    for row, value in enumerate(text):
        try:
            value.cast(kind)
        except pa.ArrowInvalid:
            wrong = f"{name} is {value.as_py()!r}; allowed are a number and a date in ISO 8601, all with a zone or none"
            return bad_line(path, line_of(path, row), wrong)
    return SimulatorError(f"{path}: {name} is no time")


def missing(path: Path, wrong: NDArray[np.bool_], what: str) -> None:
    """Raise if any row is wrong."""
    if wrong.any():
        raise bad_line(path, line_of(path, int(np.argmax(wrong))), what)


def line_of(path: Path, row: int) -> int:
    """Return the line in which a row of the table stands; empty lines hold none."""
    with open_log(path) as file:
        filled = (number for number, line in enumerate(file, start=1) if line.strip())
        return next(number for place, number in enumerate(filled) if place == row + 1)
