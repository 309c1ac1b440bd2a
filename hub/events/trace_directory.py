"""The files of `HUB_TRACE_DIR`: pieces of the trace of each run of a hub, in order of their names.

    1764455400000000-000000.parquet    piece 0 of the run that began then (µs since the Unix epoch)
    1764455400000000-000001.journal    the piece that is being written, or what a killed hub left

A journal belongs to its hub while that holds the kernel's lock on it (flock), which ends with the process, however it
ends. A free journal is turned into Parquet by a process of its own (`trace_parquet.py`): the hub never loads pyarrow.
"""

import fcntl
import os
import re
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from heartbench.hub.errors import HubError
from heartbench.hub.events.trace_journal import Piece
from heartbench.hub.extras import how_to_install

JOURNAL, PARQUET, PART = ".journal", ".parquet", ".part"
_NAME = re.compile(rf"\d{{16,}}-\d{{6,}}({JOURNAL}|{PARQUET}|{PARQUET}\.\d+{PART})")
CONVERTER = "heartbench.hub.events.trace_parquet"


def check_trace_dir(path: Path | None) -> None:
    """Raise HubError if HUB_TRACE_DIR cannot be used; it is made if only its last part is missing."""
    if path is None:
        return
    if find_spec("pyarrow") is None:
        raise HubError(f"HUB_TRACE_DIR={str(path)!r} needs pyarrow: {how_to_install('trace')}")
    try:
        path.mkdir(exist_ok=True)
        usable = os.access(path, os.W_OK | os.X_OK)
        reason = "" if usable else "Permission denied"
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        raise HubError(f"HUB_TRACE_DIR={str(path)!r} cannot be written: {reason}; use a directory of the hub's own")


def name_of(piece: Piece) -> str:
    """Return the name of a piece's files, without what they end in."""
    return f"{round(piece.run_unix_s * 1e6):016d}-{piece.number:06d}"


def is_piece(path: Path) -> bool:
    """Return whether a file has the name of a piece."""
    return path.suffix != PART and _NAME.fullmatch(path.name) is not None


def files_of(directory: Path) -> list[Path]:
    """Return the files of a trace, oldest first; other files in the directory are none of it."""
    return sorted(path for path in directory.iterdir() if _NAME.fullmatch(path.name))


def pieces_of(directory: Path) -> list[Path]:
    """Return one file per piece, oldest first: as Parquet if it is complete, else the journal."""
    found = {path.stem: path for path in files_of(directory) if path.suffix == JOURNAL}
    found |= {path.stem: path for path in files_of(directory) if path.suffix == PARQUET}
    return [found[stem] for stem in sorted(found)]


def create(path: Path) -> IO[bytes]:
    """Return a new journal, locked for as long as it is open."""
    file = path.open("xb", buffering=0)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return file


def claim(journal: Path) -> IO[bytes] | None:
    """Return a journal that no process writes, locked; None if its hub runs, or if it is gone."""
    try:
        file = journal.open("rb")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    if not journal.exists():  # converted between the two calls
        file.close()
        return None
    return file


def prune(directory: Path, most_bytes: int, keep: Path) -> None:
    """Remove the oldest files until all but `keep` take at most `most_bytes`."""
    files = [path for path in files_of(directory) if path != keep]
    sizes = {}
    for path in files:
        with suppress(FileNotFoundError):  # a journal that has just been turned into Parquet
            sizes[path] = path.stat().st_size
    excess = sum(sizes.values()) - most_bytes
    for path, size in sizes.items():
        if excess <= 0:
            return
        path.unlink(missing_ok=True)
        excess -= size


def remove_parts(directory: Path) -> None:
    """Remove what interrupted conversions left: their journals are still there."""
    for path in files_of(directory):
        if path.suffix == PART:
            path.unlink(missing_ok=True)


def start_converter(directory: Path) -> "subprocess.Popen[str]":
    """Start the process that turns all free journals of a directory into Parquet."""
    command = [sys.executable, "-m", CONVERTER, str(directory)]
    return subprocess.Popen(  # noqa: S603  (the words are ours)
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
