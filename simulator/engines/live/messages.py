"""The real message for a row of the model."""

from heartbench.mesh import encoding
from heartbench.mesh.kinds import Kind
from heartbench.mesh.v1.mesh_pb2 import Chunk, NodeMessage
from heartbench.simulator.group import Group
from heartbench.simulator.session import Rows


def message_of(rows: Rows, row: int, node_id: str, group: Group, boot_base: int, unix_s: float) -> NodeMessage | Chunk:
    """Return the message that a row stands for, but for chunks of files.

    Args:
        rows: what the model has sent.
        row: which of them.
        node_id: the node's name at the hub.
        group: the node's group.
        boot_base: is added to the model's boots.
        unix_s: time 0 of the model on the wall clock.
    """
    kind, seq, boot_id = int(rows.kind[row]), int(rows.seq[row]), boot_base + int(rows.boot[row])
    sent_unix_s = unix_s + float(rows.sent_s[row])
    if kind == Kind.CHUNK:
        return encoding.chunk(seq, bytes(group.chunk_bytes), boot_id, sent_unix_s)
    if kind == Kind.HEARTBEAT:
        return encoding.heartbeat(seq, sent_unix_s, group.heartbeat_ack)
    connection = int(rows.connection[row])
    return encoding.hello(node_id, boot_id, connection, group.heartbeat_interval_s, sent_unix_s, {"group": group.name})
