"""The file that a node hands over, in the chunks on which model and hub agree; the same for all nodes of a group.

It has one name, so that each version replaces the last one at the hub, and random bytes, which nothing compresses.
"""

import hashlib

from heartbench.mesh.encoding import file_chunk
from heartbench.mesh.v1.mesh_pb2 import FileChunk
from heartbench.simulator.session import FILE_PIECE_BYTES

PATH = "sync/state.bin"


def file_chunks(name: str, size_bytes: int) -> list[FileChunk]:
    """Return the file of the group `name`, each chunk with its CRC-32, the last with the SHA-256 of the whole file."""
    data = hashlib.shake_256(name.encode()).digest(size_bytes)
    sha256 = hashlib.sha256(data).digest()
    ends = [min(offset + FILE_PIECE_BYTES, size_bytes) for offset in range(0, size_bytes, FILE_PIECE_BYTES)]
    return [
        file_chunk(PATH, begin, data[begin:end], sha256 if end == size_bytes else None)
        for begin, end in zip([0, *ends], ends, strict=False)
    ]
