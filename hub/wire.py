"""The hub's records and events as messages of the wire contract."""

from heartbench.hub.core import Hub
from heartbench.hub.events import Change, Event, EventsLost
from heartbench.hub.history import StoredChunk
from heartbench.hub.liveness import Reason, Status
from heartbench.hub.registry import Node
from heartbench.mesh.v1 import mesh_pb2 as pb

STATUS = {status: pb.Status.Value(f"STATUS_{status.name}") for status in Status}
REASON = {reason: pb.Reason.Value(f"REASON_{reason.name}") for reason in Reason}


def node_info(hub: Hub, node: Node) -> pb.NodeInfo:
    """What the hub knows of a node now."""
    now = hub.clock.monotonic()
    return pb.NodeInfo(
        node_id=node.node_id,
        status=STATUS[node.status],
        connected=node.connected,
        flapping=node.flapping,
        boot_id=node.boot_id,
        connection=node.connection,
        silent_s=now - node.heard_s,
        flaps=hub.registry.flaps_of(node, now),
        heartbeat_interval_s=node.interval_s,
        heartbeats=node.heartbeats,
        reason=REASON[node.reason],
        changed_unix_s=hub.clock.unix(node.changed_s),
        labels=node.labels,
    )


def chunk(stored: StoredChunk) -> pb.Chunk:
    """A chunk as the node sent it."""
    return pb.Chunk(boot_id=stored.boot_id, seq=stored.seq, sent_unix_s=stored.sent_unix_s, data=stored.data)


def event(hub: Hub, told: Event) -> pb.Event:
    """An event with its time on the wall clock."""
    message = pb.Event(seq=told.seq, epoch=hub.epoch, at_unix_s=hub.clock.unix(told.at_s))
    match told.body:
        case Change() as change:
            message.changed.CopyFrom(
                pb.NodeChanged(
                    node_id=change.node_id,
                    status=STATUS[change.status],
                    connected=change.connected,
                    flapping=change.flapping,
                    reason=REASON[change.reason],
                )
            )
        case EventsLost(count):
            message.lost.count = count
    return message
