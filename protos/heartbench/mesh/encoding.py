"""The messages of a node, made from plain values, and the hub's messages, read by type.

An Upload stream has no Hello: its call carries the node's name in the metadata, as bytes if it is not plain ASCII.
"""

from collections.abc import Iterable, Mapping
from zlib import crc32

from heartbench.mesh.v1.mesh_pb2 import (
    Chunk,
    Command,
    CommandResult,
    Drain,
    FileChunk,
    Goodbye,
    Heartbeat,
    HeartbeatAck,
    Hello,
    HubMessage,
    NodeMessage,
    Throttle,
    Welcome,
)

HubBody = Welcome | HeartbeatAck | Command | Throttle | Drain
Metadata = tuple[tuple[str, str | bytes], ...]

NODE_ID = "node-id"
NODE_ID_BYTES = "node-id-bin"
"""In UTF-8, for any name: gRPC allows only printable ASCII in other metadata, and may strip its spaces."""


def hello(
    node_id: str,
    boot_id: int = 1,
    connection: int = 0,
    heartbeat_interval_s: float = 0.0,
    sent_unix_s: float = 0.0,
    labels: Mapping[str, str] | None = None,
) -> NodeMessage:
    """Return the first message of a Connect stream."""
    body = Hello(
        node_id=node_id,
        boot_id=boot_id,
        connection=connection,
        heartbeat_interval_s=heartbeat_interval_s,
        sent_unix_s=sent_unix_s,
        labels=labels,
    )
    return NodeMessage(hello=body)


def heartbeat(seq: int, sent_unix_s: float = 0.0, ack: bool = False) -> NodeMessage:
    """Return a heartbeat; with `ack` it asks the hub for an acknowledgement."""
    return NodeMessage(heartbeat=Heartbeat(seq=seq, sent_unix_s=sent_unix_s, ack=ack))


def goodbye(reason: str = "") -> NodeMessage:
    """Return the last message of a node that leaves on purpose."""
    return NodeMessage(goodbye=Goodbye(reason=reason))


def command_result(command_id: str, payload: bytes = b"", error: str = "") -> NodeMessage:
    """Return the answer to a command."""
    return NodeMessage(command_result=CommandResult(command_id=command_id, payload=payload, error=error))


def chunk(seq: int, data: bytes = b"", boot_id: int = 1, sent_unix_s: float = 0.0) -> Chunk:
    """Return a chunk of terminal output."""
    return Chunk(boot_id=boot_id, seq=seq, sent_unix_s=sent_unix_s, data=data)


def file_chunk(path: str, offset: int, data: bytes, sha256: bytes | None = None) -> FileChunk:
    """Return a part of a file with its checksum; `sha256`, of the whole file, makes it the last one."""
    last = sha256 is not None
    return FileChunk(path=path, offset=offset, data=data, crc32=crc32(data), last=last, sha256=sha256 or b"")


def upload_of(file: FileChunk, boot_id: int = 1, sent_unix_s: float = 0.0) -> Chunk:
    """Return the message that carries a part of a file on an Upload stream."""
    return Chunk(boot_id=boot_id, sent_unix_s=sent_unix_s, file=file)


def body_of(message: HubMessage) -> HubBody | None:
    """Return what a message of the hub carries; None if it is of a kind that this version does not know."""
    field = message.WhichOneof("body")
    return getattr(message, field) if field else None


def upload_metadata(node_id: str) -> Metadata:
    """Return the metadata of a call to Upload."""
    if node_id.isascii() and node_id.isprintable() and node_id == node_id.strip():
        return ((NODE_ID, node_id),)
    return ((NODE_ID_BYTES, node_id.encode()),)


def node_id_of(metadata: Iterable[tuple[str, str | bytes]] | None) -> str:
    """Return the node that the metadata of a call to Upload names, or an empty string."""
    fields = dict(metadata or ())
    name = fields.get(NODE_ID_BYTES) or fields.get(NODE_ID, "")
    return name.decode(errors="replace") if isinstance(name, bytes) else name
