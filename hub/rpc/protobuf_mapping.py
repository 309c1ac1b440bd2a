"""The hub's records and events as messages of the wire contract."""

from typing import Any

from google.protobuf.message import Message

from heartbench.hub.clock import Clock
from heartbench.hub.core import Hub
from heartbench.hub.events import types as events
from heartbench.hub.liveness.registry import Node
from heartbench.hub.liveness.rules import Reason, Status
from heartbench.hub.stats import HubStats
from heartbench.hub.store.history import StoredChunk
from heartbench.hub.work.commands import Outcome
from heartbench.mesh.v1 import mesh_pb2 as pb

STATUS = {status: pb.Status.Value(f"STATUS_{status.name}") for status in Status}
REASON = {reason: pb.Reason.Value(f"REASON_{reason.name}") for reason in Reason}
OUTCOME = {outcome: pb.CommandOutcome.Value(f"COMMAND_OUTCOME_{outcome.name}") for outcome in Outcome}


def node_info(hub: Hub, node: Node, clock: Clock) -> pb.NodeInfo:
    """What the hub knows of a node now."""
    now = clock.monotonic()
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
        changed_unix_s=clock.unix(node.changed_s),
        labels=node.labels,
    )


def hub_stats(stats: HubStats) -> pb.HubStats:
    """Return the hub's figures as GetStats answers them."""
    health = stats.store.health
    store = pb.StoreStats(state=health.state, error=health.error, **fields_of(pb.StoreStats, stats.store))
    executor = pb.ExecutorStats(**fields_of(pb.ExecutorStats, stats.executor)) if stats.executor else None
    return pb.HubStats(store=store, executor=executor, **fields_of(pb.HubStats, stats))


def fields_of(message: type[Message], figures: object) -> dict[str, Any]:
    """Return the scalar fields of a message that `figures` has under the same names."""
    scalars = [field.name for field in message.DESCRIPTOR.fields if field.message_type is None]
    return {name: getattr(figures, name) for name in scalars if hasattr(figures, name)}


def chunk(stored: StoredChunk) -> pb.Chunk:
    """A chunk as the node sent it."""
    return pb.Chunk(boot_id=stored.boot_id, seq=stored.seq, sent_unix_s=stored.sent_unix_s, data=stored.data)


def event(told: events.Event, epoch: int, clock: Clock) -> pb.Event:
    """An event with its time on the wall clock; what was not said at a time of its own is said now."""
    at_unix_s = clock.unix(told.at_s or clock.monotonic())
    return pb.Event(seq=told.seq, epoch=epoch, at_unix_s=at_unix_s, **body(told.body))


def body(said: events.Body) -> dict[str, Any]:
    """An event's body under the name that it has on the wire."""
    match said:
        case events.Change(_, node_id, status, connected, flapping, reason):
            changed = pb.NodeChanged(
                node_id=node_id, status=STATUS[status], connected=connected, flapping=flapping, reason=REASON[reason]
            )
            return {"changed": changed}
        case events.EventsLost(count):
            return {"lost": pb.EventsLost(count=count)}
        case events.LogBegan(asked_epoch):
            return {"log_began": pb.LogBegan(asked_epoch=asked_epoch)}
        case events.MassSilenceBegan(silent, online):
            return {"mass_silence": pb.MassSilence(silent=silent, online=online)}
        case events.MassSilenceEnded(heard_again, silent, lasted_s, gave_up):
            ended = pb.MassSilenceEnded(heard_again=heard_again, silent=silent, lasted_s=lasted_s, gave_up=gave_up)
            return {"mass_silence_ended": ended}
        case events.Forgotten(node_id):
            return {"forgotten": pb.NodeForgotten(node_id=node_id)}
        case events.StoreChanged(state, error):
            return {"store": pb.StoreChanged(state=state, error=error)}
        case events.Paused(lasted_s):
            return {"paused": pb.HubPaused(lasted_s=lasted_s)}
