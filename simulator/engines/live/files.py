"""The file that a node hands over, in the pieces on which model and hub agree; the same for all nodes of a group.

It has one name, so that the next one takes its place at the hub, and random bytes, so that nothing compresses them.
"""

import hashlib
from zlib import crc32

from heartbench.mesh.v1.mesh_pb2 import FileChunk
from heartbench.simulator.session import FILE_PIECE_BYTES

PATH = "sync/state.bin"


def pieces_of(name: str, size_bytes: int) -> list[FileChunk]:
    """Return the file of the group `name`, each piece with its CRC-32, the last one with the SHA-256 of the whole."""
    data = hashlib.shake_256(name.encode()).digest(size_bytes)
    pieces = [
        _piece(offset, data[offset : offset + FILE_PIECE_BYTES]) for offset in range(0, size_bytes, FILE_PIECE_BYTES)
    ]
    if pieces:
        pieces[-1].last = True
        pieces[-1].sha256 = hashlib.sha256(data).digest()
    return pieces


def _piece(offset: int, data: bytes) -> FileChunk:
    return FileChunk(path=PATH, offset=offset, data=data, crc32=crc32(data))
