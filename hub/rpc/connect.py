"""The hub's side of a node's Connect stream, over plain async iterators, without gRPC.

    node sends       hub answers
    Hello            Welcome; or Throttle, and the stream ends
    Heartbeat        HeartbeatAck, if the heartbeat asks for it
    CommandResult    nothing; the command's sender gets it
    Goodbye          nothing; the stream ends

A message arrives, by the hub's clock, when it is read here. Reading never waits for writing: a node that does not read
its acknowledgements is still heard.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from math import inf

from heartbench.hub.clock import Clock
from heartbench.hub.core import Hub
from heartbench.hub.errors import BadMessageError, HubError, ReplacedStreamError
from heartbench.hub.liveness import node
from heartbench.hub.liveness.node import Session
from heartbench.hub.printable import shown
from heartbench.hub.rpc import protobuf_mapping as mapping
from heartbench.hub.rpc.message_size import check_size
from heartbench.hub.rpc.peer import Peer
from heartbench.hub.rpc.task_scope import FLUSH_S, CancelScope, task_scope
from heartbench.hub.rpc.upload_places import UploadPlaces
from heartbench.hub.store.order import LARGEST
from heartbench.hub.work.commands import Answer
from heartbench.hub.work.outbox import Outbox, Send
from heartbench.mesh.v1.mesh_pb2 import Hello, HubMessage, NodeMessage

SPREAD_S = 1.0
"""Least time over which the nodes of a hub that stops come back."""

LONGEST_NAME = 256
LONGEST_LABELS = 4096
"""Bytes of a node_id, and of a node's labels together: the hub keeps them for each known node."""


@dataclass(slots=True, eq=False)
class Stream:
    """An open Connect stream, as the rest of the hub sees it."""

    peer: Peer
    outbox: Outbox
    cancel_scope: CancelScope = field(default_factory=CancelScope)
    replaced_by: Peer | None = None

    def close(self) -> None:
        """Stop reading; queued messages are still sent."""
        self.cancel_scope.cancel()


class NodeService:
    """Serves the Connect streams of all nodes of one hub."""

    def __init__(self, hub: Hub, clock: Clock, uploads: UploadPlaces | None = None) -> None:
        """`uploads` are the Upload streams, of which a node's newest Hello ends the obsolete ones."""
        self._hub = hub
        self._now = clock.monotonic
        self._uploads = uploads
        self._open: dict[str, Stream] = {}

    async def connect(self, peer: Peer, messages: AsyncIterator[NodeMessage], send: Send) -> None:
        """Serve one stream until the node ends it or the hub closes it; raises a HubError to end it with a reason."""
        hello = await self._first_message(messages)
        if hello is None:
            return
        peer.require_node(hello.node_id)
        session, retry_after_s = self._hub.hello(hello_of(hello, peer), self._now(), hello.sent_unix_s)
        if session is None:
            await send(mapping.throttle(self._hub, hello.node_id, retry_after_s))
            return
        try:
            await self._serve(session, peer, messages, send)
        finally:
            self._hub.closed(session, self._now())

    def drain(self, reconnect_after_s: float) -> None:
        """Send all nodes a Drain, because the hub is about to stop, and end their streams.

        Each comes back at a time of its own from `reconnect_after_s` on, no more of them in a second than are admitted.
        """
        spread_s = max(SPREAD_S, len(self._open) / (self._hub.settings.admit_per_s or inf))
        for stream in self._open.values():
            stream.outbox.put(mapping.drain(reconnect_after_s + spread_s * self._hub.draw()))
            stream.close()

    def close(self, node_id: str) -> None:
        """End the stream of one node, if it has one."""
        if node_id in self._open:
            self._open[node_id].close()

    async def _first_message(self, messages: AsyncIterator[NodeMessage]) -> Hello | None:
        """Read the Hello; return None if the stream ends without a message."""
        within_s = self._hub.settings.hello_within_s
        try:
            async with asyncio.timeout(within_s):
                first = await anext(messages, None)
        except TimeoutError:
            raise BadMessageError(f"no Hello came within {within_s:g} s") from None
        if first is None:
            return None
        if first.WhichOneof("body") != "hello":
            raise BadMessageError("the first message of a stream must be a Hello")
        return first.hello

    async def _serve(self, session: Session, peer: Peer, messages: AsyncIterator[NodeMessage], send: Send) -> None:
        node_id = session.node.node_id
        outbox = Outbox(self._hub.settings.acks_waiting, lambda: self._command(node_id))
        outbox.put(mapping.welcome(self._hub, session))
        stream = Stream(peer, outbox)
        async with task_scope() as tasks:
            writer = tasks.create_task(outbox.send_all(send))
            try:
                await self._converse(session, stream, messages)
            except HubError:
                await self._finish(session, outbox, writer)
                raise
            await self._finish(session, outbox, writer)
        if stream.replaced_by is not None:
            raise ReplacedStreamError(
                f"node {shown(node_id)}: a newer stream, from {stream.replaced_by}, replaced this one"
            )

    async def _finish(self, session: Session, outbox: Outbox, writer: "asyncio.Task[None]") -> None:
        """Send what is queued, as far as the node takes it soon, and wait until no message is being written.

        gRPC goes on with a message whose writer is cancelled, and cannot end the call meanwhile: it would stay open. If
        the node never reads again, its connection ends, and cancels this.
        """
        self._hub.closed(session, self._now())
        outbox.close()
        await asyncio.wait([writer], timeout=FLUSH_S)
        outbox.discard()
        await asyncio.wait([writer])

    async def _converse(self, session: Session, stream: Stream, messages: AsyncIterator[NodeMessage]) -> None:
        """Read until the node or the hub ends the stream."""
        node_id, commands = session.node.node_id, self._hub.commands
        async with stream.cancel_scope:
            old = self._open.get(node_id)
            if old is not None:
                old.replaced_by = stream.peer
                old.close()
            if self._uploads is not None:
                self._uploads.replaced(node_id, session.boot_id, old.peer if old else None, stream.peer)
            self._open[node_id] = stream
            commands.attach(node_id, stream.outbox.wake)
            try:
                await self._read(session, messages, stream.outbox)
            finally:
                commands.detach(node_id, stream.outbox.wake)
                if self._open.get(node_id) is stream:
                    del self._open[node_id]

    async def _read(self, session: Session, messages: AsyncIterator[NodeMessage], outbox: Outbox) -> None:
        heartbeat_came, latency, now = self._hub.heartbeat, self._hub.latency, self._now
        async for message in messages:
            kind = message.WhichOneof("body")
            if kind == "heartbeat":
                heartbeat, at_s = message.heartbeat, now()
                sent_unix_s = heartbeat.sent_unix_s
                heartbeat_came(session, at_s, heartbeat.seq, sent_unix_s)
                if sent_unix_s:
                    latency.add(at_s, sent_unix_s)
                if heartbeat.ack:
                    outbox.put_ack(mapping.heartbeat_ack(heartbeat))
            elif kind == "command_result":
                result = message.command_result
                check_size(result, self._hub.settings.message_bytes)
                self._hub.answered(session, now(), result.command_id, Answer(result.payload, result.error))
            elif kind == "goodbye":
                self._hub.goodbye(session, now())
                return

    def _command(self, node_id: str) -> HubMessage | None:
        """Take the next command for a node; it is sent now or never."""
        command = self._hub.commands.take(node_id)
        return None if command is None else mapping.command(command, asyncio.get_running_loop().time())


def hello_of(hello: Hello, peer: Peer) -> node.Hello:
    """Return a peer's Hello as the registry takes it; BadMessageError if a part of it is too long or too large."""
    labels = dict(hello.labels)
    if hello.boot_id > LARGEST:
        raise BadMessageError(f"boot_id={hello.boot_id}: must be at most {LARGEST}, as of its chunks")
    if not 0 < len(hello.node_id.encode()) <= LONGEST_NAME:
        raise BadMessageError(f"node_id={shown(hello.node_id)}: must have 1 to {LONGEST_NAME} bytes")
    if sum(len(key) + len(value) for key, value in labels.items()) > LONGEST_LABELS:
        raise BadMessageError(
            f"node {shown(hello.node_id)}: labels may have up to {LONGEST_LABELS} characters together"
        )
    interval_s = hello.heartbeat_interval_s if 0 <= hello.heartbeat_interval_s < 1e9 else 0.0
    name = hello.node_id, hello.boot_id, hello.connection
    return node.Hello(*name, interval_s, labels, peer.key, str(peer))
