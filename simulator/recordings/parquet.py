"""Recordings as Parquet files: columns `sent_s` and `rtt_s`, and `up_s`, `down_s` and `stretch` where there are any."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.recordings.coarse import SPREAD, is_coarse, spread
from heartbench.simulator.recordings.recording import Recording, Seconds, usual_interval

BEGAN = b"heartbench.began_unix_s"


def write_recording(recording: Recording, path: Path) -> None:
    """Write a recording to a Parquet file that `read_recording` reads, completely or not at all."""
    columns: dict[str, NDArray[np.generic] | None] = {
        "sent_s": recording.sent_s,
        "rtt_s": recording.rtt_s,
        "up_s": recording.up_s,
        "down_s": recording.down_s,
        "stretch": recording.stretch,
    }
    table = pa.table({name: pa.array(data, from_pandas=True) for name, data in columns.items() if data is not None})
    if recording.began_unix_s is not None:
        table = table.replace_schema_metadata({BEGAN: repr(recording.began_unix_s).encode()})
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        pq.write_table(table, unfinished, compression="zstd")
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
    stretch = np.zeros(len(sent_s), np.int32)
    if "stretch" in table.column_names:
        stretch = column(path, table, "stretch").astype(np.int32)
    check(path, sent_s, rtt_s, stretch)
    up_s, down_s = (column(path, table, name) if name in table.column_names else None for name in ("up_s", "down_s"))
    assumptions: tuple[str, ...] = ()
    if is_coarse(sent_s):
        sent_s, assumptions = spread(sent_s), (f"{path}: {SPREAD}",)
    began = (table.schema.metadata or {}).get(BEGAN)
    began_s = float(began) + float(sent_s[0]) if began else None
    interval_s = usual_interval(sent_s, stretch)
    return Recording(str(path), sent_s - sent_s[0], rtt_s, up_s, down_s, stretch, interval_s, began_s, assumptions)


def column(path: Path, table: pa.Table, name: str) -> Seconds:
    """Return a column as numbers; NaN where it is null."""
    try:
        return np.array(table[name].cast(pa.float64()).to_numpy(), dtype=np.float64)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SimulatorError(f"{path}: column {name} is {table[name].type}; it must hold numbers") from error


def check(path: Path, sent_s: Seconds, rtt_s: Seconds, stretch: NDArray[np.int32]) -> None:
    """Raise if the columns are no recording."""
    if not len(sent_s):
        raise SimulatorError(f"{path}: no rows; a recording has a row for each probe")
    wrong = {
        "sent_s is missing": np.isnan(sent_s),
        "sent_s goes back": np.append(False, (np.diff(sent_s) < 0) & (np.diff(stretch) == 0)),
        "stretch goes back": np.append(False, np.diff(stretch) < 0),
        "rtt_s is less than 0 or endless": (rtt_s < 0) | np.isinf(rtt_s),
    }
    for what, where in wrong.items():
        if where.any():
            raise SimulatorError(f"{path}: row {int(np.argmax(where)) + 1}: {what}")
