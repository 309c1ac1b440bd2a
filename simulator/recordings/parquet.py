"""Recordings as Parquet files: columns `sent_s` and `rtt_s`, and `up_s`, `down_s` and `stretch` where there are any.

Null is lost, or not known; a NaN is the result of a computation that failed, and is refused.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.recordings.coarse import SPREAD, is_coarse, spread
from heartbench.simulator.recordings.recording import Recording, Seconds, usual_interval

BEGAN = b"heartbench.began_unix_s"
ASSUMED = b"heartbench.assumptions"
"""What the reader of the logs assumed: a list of texts, in JSON."""
ROUNDED_S = 0.002
"""By so much both ways may differ from the round trip: where all three are whole milliseconds."""


def write_recording(recording: Recording, path: Path) -> None:
    """Write a recording to a Parquet file that `read_recording` reads, completely or not at all.

    A pipe or a device is written to directly.

    Raises:
        SimulatorError: the file cannot be written.
    """
    columns: dict[str, NDArray[np.generic] | None] = {
        "sent_s": recording.sent_s,
        "rtt_s": recording.rtt_s,
        "up_s": recording.up_s,
        "down_s": recording.down_s,
        "stretch": recording.stretch,
    }
    table = pa.table({name: pa.array(data, from_pandas=True) for name, data in columns.items() if data is not None})
    metadata = {ASSUMED: json.dumps(recording.assumptions)}
    if recording.began_unix_s is not None:
        metadata[BEGAN] = repr(recording.began_unix_s)
    sink = pa.BufferOutputStream()  # Parquet needs a file position, which a pipe has not
    pq.write_table(table.replace_schema_metadata(metadata), sink, compression="zstd")
    try:
        write_bytes(path, memoryview(sink.getvalue()))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise SimulatorError(f"{path}: cannot be written: {error.strerror}") from error


def write_bytes(path: Path, data: memoryview) -> None:
    """Write a file completely or not at all; write to a pipe or a device directly."""
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        unfinished.write_bytes(data)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def read_parquet(path: Path) -> Recording:
    """Return the recording in a Parquet file."""
    try:
        table = pq.read_table(path)
    except pa.ArrowInvalid as error:
        raise SimulatorError(f"{path}: not a readable Parquet file: {str(error).splitlines()[0]}") from error
    if missing := [name for name in ("sent_s", "rtt_s") if name not in table.column_names]:
        found = ", ".join(table.column_names)
        raise SimulatorError(f"{path}: column {missing[0]} is missing; a recording has sent_s and rtt_s, not {found}")
    sent_s, rtt_s = column(path, table, "sent_s"), column(path, table, "rtt_s")
    numbers = column(path, table, "stretch") if "stretch" in table.column_names else np.zeros(len(sent_s))
    check(path, sent_s, rtt_s, numbers)
    stretch = numbers.astype(np.int32)
    up_s, down_s = (column(path, table, name) if name in table.column_names else None for name in ("up_s", "down_s"))
    if up_s is not None and down_s is not None:
        unequal = np.abs(up_s + down_s - rtt_s) > ROUNDED_S
        refuse(path, unequal, f"up_s and down_s do not add up to rtt_s, to within {ROUNDED_S} s")
    began_s, assumptions = read_metadata(path, table.schema.metadata or {})
    if is_coarse(sent_s):
        sent_s, assumptions = spread(sent_s), (*assumptions, f"{path}: {SPREAD}")
    first_s = None if began_s is None else began_s + float(sent_s[0])
    interval_s = usual_interval(sent_s, stretch)
    return Recording(str(path), sent_s - sent_s[0], rtt_s, up_s, down_s, stretch, interval_s, first_s, assumptions)


def read_metadata(path: Path, metadata: Mapping[bytes, bytes]) -> tuple[float | None, tuple[str, ...]]:
    """Return when time 0 was, in s since 1970, if that is known, and what was assumed of the logs."""
    try:
        began_s = float(metadata[BEGAN]) if BEGAN in metadata else None
        assumptions = json.loads(metadata.get(ASSUMED, b"[]"))
    except ValueError:
        began_s, assumptions = math.nan, None
    are_texts = isinstance(assumptions, list) and all(isinstance(each, str) for each in assumptions)
    if are_texts and (began_s is None or math.isfinite(began_s)):
        return began_s, tuple(assumptions)
    keys = " and ".join(each.decode() for each in (BEGAN, ASSUMED))
    raise SimulatorError(f"{path}: its metadata {keys} are not a number and a JSON list of texts")


def column(path: Path, table: pa.Table, name: str) -> Seconds:
    """Return a column as numbers; NaN where it is null."""
    try:
        numbers = np.array(table[name].cast(pa.float64()).to_numpy(), dtype=np.float64)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SimulatorError(f"{path}: column {name} is {table[name].type}; it must hold numbers") from error
    refuse(path, ~np.isfinite(numbers) & table[name].is_valid().to_numpy(), f"{name} is no finite number; null is lost")
    return numbers


def check(path: Path, sent_s: Seconds, rtt_s: Seconds, stretch: Seconds) -> None:
    """Raise if the columns are no recording."""
    if not len(sent_s):
        raise SimulatorError(f"{path}: no rows; a recording has a row for each probe")
    refuse(path, np.isnan(sent_s), "sent_s is missing")
    refuse(path, np.isnan(stretch), "stretch is missing")
    refuse(path, np.append(False, (np.diff(sent_s) < 0) & (np.diff(stretch) == 0)), "sent_s goes back")
    refuse(path, np.append(False, np.diff(stretch) < 0), "stretch goes back")
    refuse(path, rtt_s < 0, "rtt_s is less than 0")


def refuse(path: Path, wrong: NDArray[np.bool_], what: str) -> None:
    """Raise with the first row that is wrong, if there is one."""
    if wrong.any():
        raise SimulatorError(f"{path}: row {int(np.argmax(wrong)) + 1}: {what}")
