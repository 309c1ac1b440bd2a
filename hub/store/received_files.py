"""Files that nodes send: verified chunk by chunk and as a whole, and never outside the hub's directory.

    ROOT/files/NODE/PATH     complete files; each appears at once (rename) and replaces an older one of the same path
    ROOT/incoming/NODE/…     incomplete files, under a name made from PATH

A file is sent in chunks, in order. A chunk at the end of the held bytes extends the file; one before the end is a
duplicate and is written again; one after it is answered with the held bytes, so that the node resumes there; offset 0
starts over. An incomplete file is removed with its node (`forget`), and if no chunk came for a time (`tidy`).

Every step down from ROOT opens one name inside the directory above it and follows no link (`dir_fd`, `O_NOFOLLOW`), not
even a link that appears between a check and its use. Everything here blocks: it runs in the executor.
"""

import errno
import hashlib
import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedRandom
from math import inf
from pathlib import Path
from threading import Lock
from typing import TypeAlias
from urllib.parse import quote
from zlib import crc32

from heartbench.hub.errors import HubError
from heartbench.hub.printable import shown
from heartbench.hub.store.disk_room import BLOCK_BYTES, DiskRoom, disk_bytes
from heartbench.mesh.v1.mesh_pb2 import FileChunk

FileVersion: TypeAlias = tuple[int, int, int]
"""Inode, size and time of the last write, ns."""

LONGEST_PATH = 1024
"""Bytes of a path in UTF-8."""

LONGEST_FOLDER = 200
"""Characters of a directory name that is made from a node's name; file systems allow 255."""

DIGESTS = 1000
"""Complete files whose checksum is remembered, so that a last chunk that comes again is not one more reading of it."""

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

    def __init__(self, root: Path, max_file_bytes: int, max_bytes: int) -> None:
        """Create the directory if it does not exist; HubError if that fails.

        `max_file_bytes` limits each file, `max_bytes` all of them with what is there already.
        """
        self._root = root
        self._max_file_bytes = max_file_bytes
        self._busy: set[tuple[str, str]] = set()
        self._digests: OrderedDict[tuple[str, str], tuple[FileVersion, bytes]] = OrderedDict()
        self._lock = Lock()
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HubError(f"HUB_FILES_DIR={str(root)!r}: cannot be used as a directory: {error.strerror}") from None
        self.room = DiskRoom(root, max_bytes)

    def receive(self, node_id: str, part: FileChunk) -> FileProgress:
        """Write one chunk; after the last one, verify the file and move it to its place.

        Raises:
            FileRefusedError: The path, a checksum or the size is wrong.
            FilesUnavailableError: The disk cannot be written now.
            NoRoomError: All files together would be too large.
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

    def forget(self, node_id: str) -> None:
        """Remove the incomplete files of a node; its complete ones belong to the operator."""
        self._remove_incoming(folder_name(node_id), inf)

    def tidy(self, before_unix_s: float) -> None:
        """Remove the incomplete files that were last written before a time, and count what all files take."""
        with suppress(OSError), self._folder("incoming") as incoming:
            for node in os.listdir(incoming):
                self._remove_incoming(node, before_unix_s)
        self.room.measure()

    def _remove_incoming(self, node: str, before_unix_s: float) -> None:
        """Remove a node's incomplete files that are older, and its directory if none is left."""
        with suppress(OSError), self._folder("incoming") as incoming:
            folder = os.open(node, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=incoming)
            try:
                for name in os.listdir(folder):
                    stat = os.stat(name, dir_fd=folder, follow_symlinks=False)
                    if stat.st_mtime < before_unix_s:
                        os.unlink(name, dir_fd=folder)
                        self.room.resize(disk_bytes(stat.st_size), 0)
            finally:
                os.close(folder)
            os.rmdir(node, dir_fd=incoming)
            self.room.resize(BLOCK_BYTES, 0)

    def _receive(self, incoming: int, node_id: str, names: Sequence[str], part: FileChunk) -> FileProgress:
        key = hashlib.sha256(part.path.encode()).hexdigest()
        end = part.offset + len(part.data)
        held_bytes = size_of(key, incoming) if part.offset else 0
        if part.offset > held_bytes:
            return self._out_of_order(node_id, names, part, held_bytes)
        size_bytes = end if part.last else max(held_bytes, end)
        with self._counted(key, incoming, size_bytes), opened(key, incoming) as file:
            file.seek(part.offset)
            file.write(part.data)
            file.truncate(size_bytes)
            if not part.last:
                return FileProgress(part.path, size_bytes)
            digest = digest_of(file)
            if digest != part.sha256:
                os.unlink(key, dir_fd=incoming)
                self.room.resize(disk_bytes(size_bytes), 0)
                raise FileRefusedError(
                    f"{shown(part.path)}: sha256 of the whole file differs; send it again from offset 0"
                )
            os.fsync(file.fileno())
            version = version_of(file)
        with self._folder("files", folder_name(node_id), *names[:-1]) as folder:
            replaced_bytes = taken(names[-1], folder)
            os.rename(key, names[-1], src_dir_fd=incoming, dst_dir_fd=folder)
            os.fsync(folder)
        self.room.resize(replaced_bytes, 0)
        self._remember((node_id, part.path), version, digest)
        return FileProgress(part.path, end, complete=True)

    @contextmanager
    def _counted(self, name: str, folder: int, size_bytes: int) -> Iterator[None]:
        """Count a file that gets this size in the block; if the disk fails there, count what it has taken."""
        self.room.resize(taken(name, folder), disk_bytes(size_bytes))
        try:
            yield
        except OSError:
            self.room.resize(disk_bytes(size_bytes), taken(name, folder))
            raise

    def _out_of_order(self, node_id: str, names: Sequence[str], part: FileChunk, held_bytes: int) -> FileProgress:
        """Answer a chunk after the end of the held bytes: a duplicate of a complete file's last one, or a gap."""
        if part.last and held_bytes == 0:
            with (
                suppress(FileNotFoundError),
                self._folder("files", folder_name(node_id), *names[:-1]) as folder,
                opened(names[-1], folder, os.O_RDWR) as file,
            ):
                if self._digest((node_id, part.path), file) == part.sha256:
                    return FileProgress(part.path, part.offset + len(part.data), complete=True)
        return FileProgress(part.path, held_bytes)

    def _digest(self, name: tuple[str, str], file: BufferedRandom) -> bytes:
        """Return the SHA-256 of a complete file, which is read only if it has changed or was long not asked for."""
        version = version_of(file)
        with self._lock:
            known, digest = self._digests.get(name, (None, b""))
        if known != version:
            digest = digest_of(file)
            self._remember(name, version, digest)
        return digest

    def _remember(self, name: tuple[str, str], version: FileVersion, digest: bytes) -> None:
        with self._lock:
            self._digests[name] = (version, digest)
            self._digests.move_to_end(name)
            if len(self._digests) > DIGESTS:
                self._digests.popitem(last=False)

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
                    self.room.resize(0, BLOCK_BYTES)
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
    if len(name) > LONGEST_FOLDER:  # the result is as long, so it is the directory of no other node
        return f"{name[: LONGEST_FOLDER - 64]}-{hashlib.sha256(node_id.encode()).hexdigest()}"
    return name if name.strip(".") else name.replace(".", "%2E")


def size_of(name: str, folder: int) -> int:
    """Return the size of a file in a directory, 0 if it does not exist."""
    with suppress(FileNotFoundError):
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_size
    return 0


def taken(name: str, folder: int) -> int:
    """Return what a file in a directory counts for, 0 if it does not exist."""
    with suppress(FileNotFoundError):
        return disk_bytes(os.stat(name, dir_fd=folder, follow_symlinks=False).st_size)
    return 0


def version_of(file: BufferedRandom) -> FileVersion:
    """Return what differs if a file was replaced or written."""
    stat = os.fstat(file.fileno())
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def digest_of(file: BufferedRandom) -> bytes:
    """Return the SHA-256 of a file."""
    file.seek(0)
    return hashlib.file_digest(file, "sha256").digest()


@contextmanager
def opened(name: str, folder: int, flags: int = os.O_RDWR | os.O_CREAT) -> Iterator[BufferedRandom]:
    """Open a file in a directory, following no link."""
    descriptor = os.open(name, flags | os.O_NOFOLLOW, 0o640, dir_fd=folder)
    with os.fdopen(descriptor, "r+b") as file:
        yield file
