"""How the hub behaves on a node's Connect stream: over plain async iterators, without gRPC.

    Hello           Welcome, or Throttle and the end
    Heartbeat       HeartbeatAck where it asks for one
    CommandResult   finds who sent the command
    Goodbye         the end

A message is judged by the hub's clock when it is read here. Who reads never waits for who sends: a node that does not
read its acknowledgements is heard all the same.
"""

import asyncio
from collections.abc import AsyncIterator

from heartbench.hub.clock import Clock
from heartbench.hub.core import Hub
from heartbench.hub.errors import BadMessageError, ReplacedStreamError
from heartbench.hub.liveness import registry
from heartbench.hub.liveness.registry import Session
from heartbench.hub.rpc.task_scope import CancelScope, together
from heartbench.hub.work.commands import Answer
from heartbench.hub.work.outbox import Outbox, Send
from heartbench.mesh.v1.mesh_pb2 import Command, Drain, HeartbeatAck, Hello, HubMessage, NodeMessage, Throttle, Welcome

FLUSH_S = 1.0
"""Time that a stream which the hub ends gets to take what waits for it."""

LONGEST_NAME = 256
LONGEST_LABELS = 4096
"""Bytes of a node_id, and of its labels in all: each known node keeps them."""


class Stream:
    """One open stream of a node, as the rest of the hub sees it."""

    __slots__ = ("ending", "outbox", "replaced")

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.ending = CancelScope()
        self.replaced = False

    def close(self) -> None:
        """Stop reading; what waits in the outbox is still sent."""
        self.ending.end()


class NodeService:
    """Serves the Connect streams of all nodes on one hub."""

    def __init__(self, hub: Hub, clock: Clock) -> None:
        self._hub = hub
        self._now = clock.monotonic
        self._open: dict[str, Stream] = {}

    async def connect(self, messages: AsyncIterator[NodeMessage], send: Send) -> None:
        """Serve one stream until the node ends it or the hub closes it.

        Raises:
            BadMessageError: It does not begin with a Hello, or not in time.
            OutdatedStreamError: A newer stream of the node is known.
            ReplacedStreamError: A newer one has come.
            NoRoomError: The hub knows as many nodes as it may.
        """
        hello = await self._introduction(messages)
        if hello is None:
            return
        session, retry_after_s = self._hub.hello(hello_of(hello), self._now(), hello.sent_unix_s)
        if session is None:
            throttle = Throttle(retry_after_s=retry_after_s, reason="too many nodes come at once")
            await send(HubMessage(throttle=throttle))
            return
        try:
            await self._serve(session, messages, send)
        finally:
            self._hub.closed(session, self._now())

    def drain(self, reconnect_after_s: float) -> None:
        """Tell all nodes that the hub is about to stop, and end their streams."""
        message = HubMessage(drain=Drain(reconnect_after_s=reconnect_after_s))
        for stream in self._open.values():
            stream.outbox.put(message)
            stream.close()

    def close(self, node_id: str) -> None:
        """End the stream of one node, if it has one."""
        if node_id in self._open:
            self._open[node_id].close()

    async def _introduction(self, messages: AsyncIterator[NodeMessage]) -> Hello | None:
        """The first message; None if the stream ends without a word."""
        within_s = self._hub.settings.hello_within_s
        try:
            async with asyncio.timeout(within_s):
                first = await anext(messages, None)
        except TimeoutError:
            raise BadMessageError(f"a stream must say Hello within {within_s:g} s") from None
        if first is None:
            return None
        if first.WhichOneof("body") != "hello":
            raise BadMessageError("the first message of a stream must be a Hello")
        return first.hello

    async def _serve(self, session: Session, messages: AsyncIterator[NodeMessage], send: Send) -> None:
        node_id = session.node.node_id
        outbox = Outbox(self._hub.settings.acks_waiting, lambda: self._command(node_id))
        outbox.put(HubMessage(welcome=self._welcome(session)))
        async with together() as tasks:
            writer = tasks.create_task(outbox.send_all(send))
            replaced = await self._converse(session, messages, outbox)
            self._hub.closed(session, self._now())
            outbox.close()
            await asyncio.wait([writer], timeout=FLUSH_S)
            writer.cancel()
        if replaced:
            raise ReplacedStreamError(f"node {node_id}: a newer stream took the place of this one")

    async def _converse(self, session: Session, messages: AsyncIterator[NodeMessage], outbox: Outbox) -> bool:
        """Read until the node ends the stream, or the hub does; True if a newer stream is why."""
        node_id, commands = session.node.node_id, self._hub.commands
        stream = Stream(outbox)
        async with stream.ending:
            if node_id in self._open:
                self._open[node_id].replaced = True
                self._open[node_id].close()
            self._open[node_id] = stream
            commands.attach(node_id, outbox.wake)
            try:
                await self._read(session, messages, outbox)
            finally:
                commands.detach(node_id, outbox.wake)
                if self._open.get(node_id) is stream:
                    del self._open[node_id]
        return stream.replaced

    async def _read(self, session: Session, messages: AsyncIterator[NodeMessage], outbox: Outbox) -> None:
        heartbeat_came, now = self._hub.heartbeat, self._now
        async for message in messages:
            kind = message.WhichOneof("body")
            if kind == "heartbeat":
                heartbeat = message.heartbeat
                heartbeat_came(session, now(), heartbeat.seq, heartbeat.sent_unix_s)
                if heartbeat.ack:
                    ack = HeartbeatAck(seq=heartbeat.seq, sent_unix_s=heartbeat.sent_unix_s)
                    outbox.put_ack(HubMessage(heartbeat_ack=ack))
            elif kind == "command_result":
                result = message.command_result
                answer = Answer(result.payload, result.error)
                self._hub.answered(session, now(), result.command_id, answer)
            elif kind == "goodbye":
                self._hub.goodbye(session, now())
                return

    def _welcome(self, session: Session) -> Welcome:
        return Welcome(
            epoch=self._hub.epoch,
            last_chunk_seq=self._hub.saved_seq(session),
            stale_after_s=self._hub.settings.stale_after_s,
        )

    def _command(self, node_id: str) -> HubMessage | None:
        """The next command for a node, which is sent now or never."""
        command = self._hub.commands.take(node_id)
        if command is None:
            return None
        within_s = max(0.0, command.expires_s - asyncio.get_running_loop().time())
        return HubMessage(command=Command(command_id=command.command_id, payload=command.payload, within_s=within_s))


def hello_of(hello: Hello) -> registry.Hello:
    """A Hello with what is kept of it in bounds; BadMessageError if it is out of them."""
    labels = dict(hello.labels)
    if not 0 < len(hello.node_id.encode()) <= LONGEST_NAME:
        raise BadMessageError(f"node_id={hello.node_id[:LONGEST_NAME]!r}: allowed are 1 to {LONGEST_NAME} bytes")
    if sum(len(key) + len(value) for key, value in labels.items()) > LONGEST_LABELS:
        raise BadMessageError(f"node {hello.node_id}: its labels are too long; allowed are {LONGEST_LABELS} characters")
    interval_s = hello.heartbeat_interval_s if 0 <= hello.heartbeat_interval_s < 1e9 else 0.0
    return registry.Hello(hello.node_id, hello.boot_id, hello.connection, interval_s, labels)
