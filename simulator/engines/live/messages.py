"""The real message for a row of the model, and the file that a node hands over.

The chunks of the file are those on which model and hub agree; it is the same for all nodes of a group. It has one name,
so that each version replaces the last one at the hub, and random bytes, which nothing compresses.
"""

import hashlib

from heartbench.mesh import encoding
from heartbench.mesh.kinds import Kind
from heartbench.mesh.v1.mesh_pb2 import Chunk, FileChunk, NodeMessage
from heartbench.simulator.group import Group
from heartbench.simulator.session import FILE_PIECE_BYTES, Rows

PATH = "sync/state.bin"


def message_of(rows: Rows, row: int, node_id: str, group: Group, boot_base: int, unix_s: float) -> NodeMessage | Chunk:
    """Return the message that `row` stands for, but for chunks of files.

    `boot_base` is added to the model's boots; `unix_s` is time 0 of the model on the wall clock.
    """
    kind, seq, boot_id = int(rows.kind[row]), int(rows.seq[row]), boot_base + int(rows.boot[row])
    sent_unix_s = unix_s + float(rows.sent_s[row])
    if kind == Kind.CHUNK:
        return encoding.chunk(seq, bytes(group.chunk_bytes), boot_id, sent_unix_s)
    if kind == Kind.HEARTBEAT:
        return encoding.heartbeat(seq, sent_unix_s, group.heartbeat_ack)
    connection = int(rows.connection[row])
    return encoding.hello(node_id, boot_id, connection, group.heartbeat_interval_s, sent_unix_s, {"group": group.name})


def file_chunks(name: str, size_bytes: int) -> list[FileChunk]:
    """Return the file of the group `name`, each chunk with its CRC-32, the last with the SHA-256 of the whole file."""
    data = hashlib.shake_256(name.encode()).digest(size_bytes)
    sha256 = hashlib.sha256(data).digest()
    ends = [min(offset + FILE_PIECE_BYTES, size_bytes) for offset in range(0, size_bytes, FILE_PIECE_BYTES)]
    return [
        encoding.file_chunk(PATH, begin, data[begin:end], sha256 if end == size_bytes else None)
        for begin, end in zip([0, *ends], ends, strict=False)
    ]
