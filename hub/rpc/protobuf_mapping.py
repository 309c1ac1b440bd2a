"""The hub's records and events as messages of the wire contract; no other module of the hub makes protobuf messages."""

import re
from collections.abc import Iterable
from typing import Any

from google.protobuf.message import Message

from heartbench.hub.clock import Clock
from heartbench.hub.core import Hub
from heartbench.hub.errors import BadMessageError
from heartbench.hub.events.fanout import Body, Event, EventsLost, Forgotten, LogBegan, NameContested, StoreChanged
from heartbench.hub.liveness.mass_silence import MassSilenceBegan, MassSilenceEnded
from heartbench.hub.liveness.node import Node, Session
from heartbench.hub.liveness.rules import Change, Reason, Status
from heartbench.hub.liveness.self_health import Paused
from heartbench.hub.printable import shown
from heartbench.hub.stats import HubStats
from heartbench.hub.store.history import Position, StoredChunk
from heartbench.hub.store.received_files import FileProgress
from heartbench.hub.work.commands import Answer, Command, Outcome
from heartbench.mesh.v1 import mesh_pb2 as pb

STATUS = {status: pb.Status.Value(f"STATUS_{status.name}") for status in Status}
REASON = {reason: pb.Reason.Value(f"REASON_{reason.name}") for reason in Reason}
OUTCOME = {outcome: pb.CommandOutcome.Value(f"COMMAND_OUTCOME_{outcome.name}") for outcome in Outcome}
LARGEST_RESPONSE = (4 << 20) - 1024
"""Bytes of chunks in a response: a gRPC client accepts 4 MiB unless it is told otherwise."""
CHUNK_FRAME = 6
"""Bytes of tag and length of a chunk in a response."""
THROTTLED = "too many nodes come at once"
CONTESTED = "another stream has this node's name, and they replaced each other too often: is there a clone?"


def welcome(hub: Hub, session: Session) -> pb.HubMessage:
    """Return the answer to a Hello."""
    judged_by = hub.registry.policy.parameters_of(session.node.labels)
    body = pb.Welcome(
        epoch=hub.epoch,
        last_chunk_seq=hub.saved_seq(session),
        stale_after_s=judged_by.usual_silence_s(session.node.interval_s),
        max_message_bytes=hub.settings.message_bytes,
    )
    return pb.HubMessage(welcome=body)


def throttle(hub: Hub, node_id: str, retry_after_s: float) -> pb.HubMessage:
    """Return the answer to a Hello that must wait."""
    reason = CONTESTED if node_id in hub.takeovers.contested else THROTTLED
    return pb.HubMessage(throttle=pb.Throttle(retry_after_s=retry_after_s, reason=reason))


def drain(reconnect_after_s: float) -> pb.HubMessage:
    """Return the announcement that the hub stops."""
    return pb.HubMessage(drain=pb.Drain(reconnect_after_s=reconnect_after_s))


def heartbeat_ack(heartbeat: pb.Heartbeat) -> pb.HubMessage:
    """Return the acknowledgement of a heartbeat."""
    return pb.HubMessage(heartbeat_ack=pb.HeartbeatAck(seq=heartbeat.seq, sent_unix_s=heartbeat.sent_unix_s))


def command(waiting: Command, now_s: float) -> pb.HubMessage:
    """Return a command for a node; `now_s` is on the event loop's clock."""
    within_s = max(0.0, waiting.expires_s - now_s)
    body = pb.Command(command_id=waiting.command_id, payload=waiting.payload, within_s=within_s)
    return pb.HubMessage(command=body)


def command_response(command_id: str, outcome: Outcome, answer: Answer | None) -> pb.SendCommandResponse:
    """Return the outcome of a command, with the node's answer if there is one."""
    result = None
    if answer is not None:
        result = pb.CommandResult(command_id=command_id, payload=answer.payload, error=answer.error)
    return pb.SendCommandResponse(command_id=command_id, outcome=OUTCOME[outcome], result=result)


def chunk_ack(stored: StoredChunk) -> pb.ChunkAck:
    """Return the acknowledgement of a chunk and all before it."""
    return pb.ChunkAck(boot_id=stored.boot_id, seq=stored.seq)


def file_ack(progress: FileProgress) -> pb.ChunkAck:
    """Return how much of a file the hub holds."""
    body = pb.FileAck(path=progress.path, held_bytes=progress.held_bytes, complete=progress.complete)
    return pb.ChunkAck(file=body)


def node_info(hub: Hub, node: Node, clock: Clock) -> pb.NodeInfo:
    """Return what the hub knows of a node now."""
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
        contested=node.node_id in hub.takeovers.contested,
    )


def hub_stats(stats: HubStats) -> pb.HubStats:
    """Return the hub's figures as GetStats answers them."""
    health = stats.store.health
    store = pb.StoreStats(state=health.state, error=health.error, **fields_of(pb.StoreStats, stats.store))
    executor = pb.ExecutorStats(**fields_of(pb.ExecutorStats, stats.executor)) if stats.executor else None
    access = pb.AccessStats(**fields_of(pb.AccessStats, stats.access))
    return pb.HubStats(store=store, executor=executor, access=access, **fields_of(pb.HubStats, stats))


def fields_of(message: type[Message], figures: object) -> dict[str, Any]:
    """Return the scalar fields of a message that `figures` has under the same names."""
    scalars = [field.name for field in message.DESCRIPTOR.fields if field.message_type is None]
    return {name: getattr(figures, name) for name in scalars if hasattr(figures, name)}


def history_page(stored: Iterable[StoredChunk], most_chunks: int) -> pb.GetHistoryResponse:
    """Return the first chunks, as many as fit into a message that every client accepts, and the token of the next.

    `most_chunks` is 0 for no other limit.
    A single chunk that is longer than such a message comes alone.
    """
    page, room_bytes = pb.GetHistoryResponse(), LARGEST_RESPONSE
    for one in stored:
        message = chunk(one)
        room_bytes -= message.ByteSize() + CHUNK_FRAME
        if page.chunks and (room_bytes < 0 or len(page.chunks) == most_chunks):
            page.next_page_token = f"{page.chunks[-1].boot_id}/{page.chunks[-1].seq}"
            break
        page.chunks.append(message)
    return page


def position_of(page_token: str) -> Position:
    """Return the position after which a page of a history begins; BadMessageError for a token that is not ours."""
    found = re.fullmatch(r"(\d{1,19})/(\d{1,19})", page_token or "0/0", re.ASCII)
    if found is None:
        raise BadMessageError(f"page_token={shown(page_token)}: must be a next_page_token, or empty")
    return int(found[1]), int(found[2])


def chunk(stored: StoredChunk) -> pb.Chunk:
    """Return a chunk as the node sent it."""
    return pb.Chunk(boot_id=stored.boot_id, seq=stored.seq, sent_unix_s=stored.sent_unix_s, data=stored.data)


def event(published: Event, epoch: int, clock: Clock) -> pb.Event:
    """Return an event with its time on the wall clock; one without a time of its own gets the current time."""
    at_unix_s = clock.unix(published.at_s or clock.monotonic())
    return pb.Event(seq=published.seq, epoch=epoch, at_unix_s=at_unix_s, **body(published.body))


def body(of_event: Body) -> dict[str, Any]:
    """Return an event's body by the name of its field."""
    match of_event:
        case Change(_, node_id, status, connected, flapping, reason):
            changed = pb.NodeChanged(
                node_id=node_id, status=STATUS[status], connected=connected, flapping=flapping, reason=REASON[reason]
            )
            return {"changed": changed}
        case EventsLost(count):
            return {"lost": pb.EventsLost(count=count)}
        case LogBegan(asked_epoch):
            return {"log_began": pb.LogBegan(asked_epoch=asked_epoch)}
        case MassSilenceBegan(silent, online):
            return {"mass_silence": pb.MassSilence(silent=silent, online=online)}
        case MassSilenceEnded(heard_again, silent, lasted_s, gave_up):
            ended = pb.MassSilenceEnded(heard_again=heard_again, silent=silent, lasted_s=lasted_s, gave_up=gave_up)
            return {"mass_silence_ended": ended}
        case Forgotten(node_id):
            return {"forgotten": pb.NodeForgotten(node_id=node_id)}
        case NameContested(node_id, holder, other, over):
            contested = pb.NameContested(node_id=node_id, holder=holder, other=other, over=over)
            return {"contested": contested}
        case StoreChanged(state, error):
            return {"store": pb.StoreChanged(state=state, error=error)}
        case Paused(lasted_s):
            return {"paused": pb.HubPaused(lasted_s=lasted_s)}
