"""The room on disk that the files of all nodes share: a count, corrected now and then by what is there.

A file counts as whole blocks, and a directory as one, so that many small ones do not cost less than they take.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Lock

from heartbench.hub.errors import NoRoomError

BLOCK_BYTES = 4096


class DiskRoom:
    """Counts what all files take; thread-safe."""

    def __init__(self, root: Path, max_bytes: int) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self._lock = Lock()
        self.used_bytes = 0
        self.measure()

    def resize(self, before_bytes: int, after_bytes: int) -> None:
        """Count that something changes its size, as `disk_bytes` counts it; NoRoomError if that is too much for all."""
        with self._lock:
            used_bytes = self.used_bytes + after_bytes - before_bytes
            if after_bytes > before_bytes and used_bytes > self._max_bytes:
                raise NoRoomError(
                    f"the files of all nodes take {self.used_bytes} bytes; HUB_FILES_BYTES allows no more"
                )
            self.used_bytes = used_bytes

    def measure(self) -> None:
        """Count what is there: also an operator removes files."""
        before_bytes = self.used_bytes
        found_bytes = sum(entry_bytes(entry) for entry in entries(self._root))
        with self._lock:
            self.used_bytes += found_bytes - before_bytes  # what was written meanwhile stays counted


def disk_bytes(size_bytes: int) -> int:
    """Return what a file or directory of this size counts for."""
    return max(1, -(-size_bytes // BLOCK_BYTES)) * BLOCK_BYTES


def entry_bytes(entry: "os.DirEntry[str]") -> int:
    """Return what an entry of a directory counts for; 0 if it has just been removed."""
    with suppress(OSError):
        return (
            BLOCK_BYTES
            if entry.is_dir(follow_symlinks=False)
            else disk_bytes(entry.stat(follow_symlinks=False).st_size)
        )
    return 0


def entries(folder: Path | str) -> Iterator["os.DirEntry[str]"]:
    """Yield everything below a directory, following no link; one that has just been removed is empty."""
    below: list[Path | str] = [folder]
    while below:
        with suppress(OSError), os.scandir(below.pop()) as found:
            for entry in found:
                if entry.is_dir(follow_symlinks=False):
                    below.append(entry.path)
                yield entry
