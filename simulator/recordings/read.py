"""Reads logs of any known format: what a file is, its content says, not its name."""

from collections.abc import Callable, Sequence
from pathlib import Path

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.recordings.columns import Columns
from heartbench.simulator.recordings.lines import bad_line, quoted
from heartbench.simulator.recordings.parquet import read_parquet
from heartbench.simulator.recordings.ping import read_ping
from heartbench.simulator.recordings.recording import Recording, join

HEAD_BYTES = 1 << 16


def read_recording(paths: Sequence[Path], columns: Columns | None = None) -> Recording:  # noqa: ARG001
    """Return the probes of one network from its logs; gaps between files are not observed time, so no outages.

    Raise SimulatorError, in one line with file and line, for what is no log that can be read. `columns` names the
    columns of CSV files.
    """
    if not paths:
        raise SimulatorError("no log is named; name at least one file")
    return join([read_file(path) for path in paths])


def read_file(path: Path) -> Recording:
    """Return the recording in one file."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head.strip():
        raise bad_line(path, 1, "the file is empty")
    return reader(path, head)(path)


def reader(path: Path, head: bytes) -> Callable[[Path], Recording]:
    """Return the function that reads a file with this beginning."""
    if head.startswith(b"PAR1"):
        return read_parquet
    if b"\0" in head:
        raise bad_line(path, 1, "a binary file; logs are text or Parquet")
    if b"seq=" in head or head.startswith(b"PING "):
        return read_ping
    raise bad_line(path, 1, f"{quoted(head.splitlines()[0])}: no log that is known")
