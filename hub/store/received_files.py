"""Files that nodes send: verified chunk by chunk and as a whole, and never outside the hub's directory.

    ROOT/files/NODE/PATH     complete files; each appears at once (rename) and replaces an older one of the same path
    ROOT/incoming/NODE/…     incomplete files, under a name made from PATH

A file is sent in chunks, in order. A chunk at the end of the held bytes extends the file; one before the end is a
duplicate and is written again; one after it is answered with the held bytes, so that the node resumes there; offset 0
starts over.

Every step down from ROOT opens one name inside the directory above it and follows no link (`dir_fd`, `O_NOFOLLOW`), not
even a link that appears between a check and its use. Everything here blocks: it runs in the executor.
"""

import errno
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedRandom
from pathlib import Path
from threading import Lock
from urllib.parse import quote
from zlib import crc32

from heartbench.hub.errors import HubError, shown
from heartbench.mesh.v1.mesh_pb2 import FileChunk

LONGEST_PATH = 1024
"""Bytes of a path in UTF-8."""

PATH_ERRORS = {
    errno.ENOTDIR,
    errno.ELOOP,
    errno.EISDIR,
    errno.ENOTEMPTY,
    errno.ENAMETOOLONG,
    errno.EEXIST,
    errno.EINVAL,
}
"""Errors caused by the path that the node sent; all others concern the hub's disk."""


class FileRefusedError(HubError):
    """The file cannot be accepted; sent again, it would be rejected again."""


class FilesUnavailableError(HubError):
    """The hub cannot write its files now: its disk is full, read-only or broken."""


@dataclass(frozen=True, slots=True)
class FileProgress:
    """Progress of a file: `held_bytes` from its beginning; `complete` when it is verified and in its place."""

    path: str
    held_bytes: int
    complete: bool = False


class FileReceiver:
    """Receives files into one directory."""

    def __init__(self, root: Path, max_file_bytes: int) -> None:
        """Create the directory if it does not exist; HubError if that fails. `max_file_bytes` limits each file."""
        self._root = root
        self._max_file_bytes = max_file_bytes
        self._busy: set[tuple[str, str]] = set()
        self._lock = Lock()
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HubError(f"HUB_FILES_DIR={str(root)!r}: cannot be used as a directory: {error.strerror}") from None

    def receive(self, node_id: str, part: FileChunk) -> FileProgress:
        """Write one chunk; after the last one, verify the file and move it to its place.

        Raises:
            FileRefusedError: The path, a checksum or the size is wrong.
            FilesUnavailableError: The disk cannot be written now.
        """
        names = names_of(part.path)
        if crc32(part.data) != part.crc32:
            raise FileRefusedError(f"{shown(part.path)}: the chunk at {part.offset} is damaged (crc32 differs)")
        if part.offset + len(part.data) > self._max_file_bytes:
            raise FileRefusedError(f"{shown(part.path)}: too long; the limit is {self._max_file_bytes} bytes")
        try:
            with self._alone(node_id, part.path), self._folder("incoming", folder_name(node_id)) as incoming:
                return self._receive(incoming, node_id, names, part)
        except OSError as error:
            kind = FileRefusedError if error.errno in PATH_ERRORS else FilesUnavailableError
            raise kind(f"{shown(part.path)}: {error.strerror}") from error

    def _receive(self, incoming: int, node_id: str, names: Sequence[str], part: FileChunk) -> FileProgress:
        key = hashlib.sha256(part.path.encode()).hexdigest()
        end = part.offset + len(part.data)
        with opened(key, incoming) as file:
            held_bytes = file.seek(0, os.SEEK_END) if part.offset else 0
            if part.offset > held_bytes:
                return self._out_of_order(node_id, names, part, held_bytes)
            file.seek(part.offset)
            file.write(part.data)
            if not part.last:
                if part.offset == 0:
                    file.truncate()
                return FileProgress(part.path, max(held_bytes, end))
            file.truncate()
            if not matches(file, part):
                os.unlink(key, dir_fd=incoming)
                raise FileRefusedError(
                    f"{shown(part.path)}: sha256 of the whole file differs; send it again from offset 0"
                )
            os.fsync(file.fileno())
        with self._folder("files", folder_name(node_id), *names[:-1]) as folder:
            os.rename(key, names[-1], src_dir_fd=incoming, dst_dir_fd=folder)
            os.fsync(folder)
        return FileProgress(part.path, end, complete=True)

    def _out_of_order(self, node_id: str, names: Sequence[str], part: FileChunk, held_bytes: int) -> FileProgress:
        """Answer a chunk after the end of the held bytes: a duplicate of a complete file's last one, or a gap."""
        if part.last and held_bytes == 0:
            with (
                suppress(FileNotFoundError),
                self._folder("files", folder_name(node_id), *names[:-1]) as folder,
                opened(names[-1], folder, os.O_RDWR) as file,
            ):
                if matches(file, part):
                    return FileProgress(part.path, part.offset + len(part.data), complete=True)
        return FileProgress(part.path, held_bytes)

    @contextmanager
    def _alone(self, node_id: str, path: str) -> Iterator[None]:
        """Allow one writer per file: a replaced stream may still have a chunk in the executor."""
        file = (node_id, path)
        with self._lock:
            if file in self._busy:
                raise FileRefusedError(f"{shown(path)}: is being written by another stream")
            self._busy.add(file)
        try:
            yield
        finally:
            self._busy.discard(file)

    @contextmanager
    def _folder(self, *names: str) -> Iterator[int]:
        """Open a directory below the root, creating what is missing; yield its descriptor."""
        folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name in names:
                with suppress(FileExistsError):
                    os.mkdir(name, 0o750, dir_fd=folder)
                below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
                os.close(folder)
                folder = below
            yield folder
        finally:
            os.close(folder)


def names_of(path: str) -> Sequence[str]:
    """Return the parts of a path; FileRefusedError if it could leave its directory, or names no file."""
    names = path.split("/")
    if any(name in ("", ".", "..") or "\0" in name for name in names) or len(path.encode()) > LONGEST_PATH:
        raise FileRefusedError(
            f"{shown(path)}: not a valid path; use a relative one without `.` and `..`, up to {LONGEST_PATH} bytes"
        )
    return names


def folder_name(node_id: str) -> str:
    """Return the directory name for a node: without `/`, and neither `.` nor `..`."""
    name = quote(node_id, safe=" ")
    return name if name.strip(".") else name.replace(".", "%2E")


def matches(file: BufferedRandom, part: FileChunk) -> bool:
    """Return whether the file has the SHA-256 of its last chunk."""
    file.seek(0)
    return hashlib.file_digest(file, "sha256").digest() == part.sha256


@contextmanager
def opened(name: str, folder: int, flags: int = os.O_RDWR | os.O_CREAT) -> Iterator[BufferedRandom]:
    """Open a file in a directory, following no link."""
    descriptor = os.open(name, flags | os.O_NOFOLLOW, 0o640, dir_fd=folder)
    with os.fdopen(descriptor, "r+b") as file:
        yield file
