"""Reads logs of any known format: what a file is, its content says, not its name."""

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import NoReturn

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.recordings.columns import Columns, read_csv
from heartbench.simulator.recordings.fping import read_fping
from heartbench.simulator.recordings.irtt import read_irtt
from heartbench.simulator.recordings.lines import BLOCK_BYTES, MARK, bad_line, open_log, quoted
from heartbench.simulator.recordings.mtr import TOTALS, read_mtr
from heartbench.simulator.recordings.parquet import read_parquet
from heartbench.simulator.recordings.ping import read_ping
from heartbench.simulator.recordings.probed import HEAD as HEAD_OF_PROBE
from heartbench.simulator.recordings.probed import read_probed
from heartbench.simulator.recordings.recording import Recording, check_overlaps, join
from heartbench.simulator.recordings.smokeping import HEAD, read_smokeping

HEAD_BYTES = 1 << 16
TEXT: tuple[tuple[re.Pattern[bytes], Callable[[Path], Recording]], ...] = (
    (HEAD_OF_PROBE, read_probed),
    (re.compile(rb"^PING |seq=\d", re.MULTILINE), read_ping),
    (re.compile(rb"^(\[[\d.]+\] )?\S+ *: (\[\d+\], |(-|[\d.]+)( (-|[\d.]+))*\s*$)", re.MULTILINE), read_fping),
    (re.compile(rb"[xh] \d+ \S+$", re.MULTILINE), read_mtr),
    (HEAD, read_smokeping),
)
"""What the beginning of a text holds, and who reads it."""
CSV_NEEDS = (
    "name them with --time-column and --rtt-column of `heartbench profiles fit`, whose --recording FILE.parquet writes "
    "a log that is read without them"
)
KNOWN = (
    "ping, heartbench probe, irtt JSON, fping, mtr --raw, rrdtool fetch of SmokePing, CSV with named columns, Parquet; "
    "a trace of Mahimahi only as `link =` of a scenario"
)


def read_recording(paths: Sequence[Path], columns: Columns | None = None) -> Recording:
    """Return the probes of one network from its logs; gaps between files are not observed time, so no outages.

    Raise SimulatorError, in one line with file and line, for what is no log that can be read. `columns` names the
    columns of CSV files.
    """
    if not paths:
        raise SimulatorError("no log is named; name at least one file")
    check_repeated(paths)
    recordings = []
    for path in paths:
        with unpacking(path):
            recordings.append(read_file(path, columns))
    check_overlaps(recordings)
    return join(recordings)


@contextmanager
def unpacking(path: Path) -> Iterator[None]:
    """Raise SimulatorError if a gzipped file turns out to be cut or damaged while it is read."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        wrong = f"the gzip file is cut or damaged ({error}); copy it again, once it is written to its end"
        raise SimulatorError(f"{path}: {wrong}") from error


def check_repeated(paths: Sequence[Path]) -> None:
    """Raise if two files have the same content, packed or not: its hours would count twice."""
    if len(paths) == 1:
        return
    found: dict[bytes, Path] = {}
    for path in paths:
        content = sha256()
        with unpacking(path), open_log(path) as file:
            while piece := file.read(BLOCK_BYTES):
                content.update(piece)
        if first := found.get(content.digest()):
            raise SimulatorError(f"{path}: has the same content as {first}; name each log once")
        found[content.digest()] = path


def read_file(path: Path, columns: Columns | None) -> Recording:
    """Return the recording in one file."""
    with open_log(path) as file:
        head = file.read(HEAD_BYTES).removeprefix(MARK)
    if not head.strip():
        raise bad_line(path, 1, "the file is empty")
    if head.startswith(b"PAR1"):
        return read_parquet(path)
    if head.startswith(b"RRD\0"):
        raise bad_line(path, 1, "an RRD file; print it: rrdtool fetch FILE.rrd AVERAGE -s -30d")
    if b"\0" in head:
        raise bad_line(path, 1, "a binary file; logs are text or Parquet")
    if head.lstrip().startswith(b"{"):
        return read_json(path)
    return read_text(path, head, columns)


def read_text(path: Path, head: bytes, columns: Columns | None) -> Recording:
    """Return the recording in a text that begins with `head`."""
    if columns:
        return read_csv(path, columns)
    for pattern, read in TEXT:
        if pattern.search(head):
            return read(path)
    first = head.splitlines()[0]
    if first.startswith((b"MTR.", b"Mtr_Version")):
        raise bad_line(path, 1, TOTALS)
    if b"," in first or b";" in first or b"\t" in first:
        raise bad_line(path, 1, f"a CSV file with the columns {quoted(first, 200)}: {CSV_NEEDS}")
    raise bad_line(path, 1, f"{quoted(first)}: no log that is known; known are {KNOWN}")


def no_number(word: str) -> NoReturn:
    """Raise: JSON has no NaN."""
    raise ValueError(f"{word} is no number")


def read_json(path: Path) -> Recording:
    """Return the recording in a JSON file."""
    try:
        with open_log(path) as file:
            text = json.load(file, parse_constant=no_number)
    except json.JSONDecodeError as error:
        raise bad_line(path, error.lineno, f"no JSON: {error.msg}") from error
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise bad_line(path, 1, f"no JSON: {error}") from error
    if "round_trips" in text:
        return read_irtt(path, text)
    if "report" in text:
        raise bad_line(path, 1, TOTALS)
    raise bad_line(path, 1, f"no JSON that is known; known are {KNOWN}")
