"""How the hub behaves towards one node: over plain async iterators, without gRPC.

    Connect   Hello -> Welcome; Heartbeat -> HeartbeatAck where asked; Goodbye ends it
    Upload    Chunk -> ChunkAck

A message is judged by the hub's clock when it is read here. The one who reads never waits for the one who sends: a node
that does not read its acknowledgements is heard all the same.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

from heartbench.hub import registry
from heartbench.hub.core import Hub
from heartbench.hub.errors import NotIntroducedError
from heartbench.hub.history import StoredChunk
from heartbench.hub.outbox import Outbox, Send
from heartbench.hub.registry import Session
from heartbench.mesh.v1.mesh_pb2 import Chunk, ChunkAck, Drain, HeartbeatAck, Hello, HubMessage, NodeMessage, Welcome

FLUSH_S = 1.0
"""Time that a stream which the hub ends gets to take what waits for it."""


class Stream:
    """One open stream of a node, as the rest of the hub sees it."""

    __slots__ = ("_end", "outbox")

    def __init__(self, outbox: Outbox, end: asyncio.Timeout) -> None:
        self.outbox = outbox
        self._end = end

    def close(self) -> None:
        """Stop reading; what waits in the outbox is still sent."""
        if not self._end.expired():
            self._end.reschedule(asyncio.get_running_loop().time())


class NodeService:
    """Serves the streams of all nodes on one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._open: dict[str, Stream] = {}
        self._uploads: set[asyncio.Timeout] = set()

    async def connect(self, messages: AsyncIterator[NodeMessage], send: Send) -> None:
        """Serve one Connect stream until the node ends it or the hub closes it.

        NotIntroducedError if it does not begin with Hello, OutdatedStreamError if a newer stream of the node is known.
        """
        first = await anext(messages, None)
        if first is None:
            return
        if first.WhichOneof("body") != "hello" or not first.hello.node_id:
            raise NotIntroducedError("the first message of a stream must be a Hello with a node_id")
        outbox = Outbox(self._hub.settings.acks_waiting)
        session = self._greet(first.hello, outbox)
        try:
            async with asyncio.TaskGroup() as group:
                writer = group.create_task(outbox.send_all(send))
                await self._converse(session, messages, outbox)
                self._hub.closed(session)
                outbox.close()
                await asyncio.wait([writer], timeout=FLUSH_S)
                writer.cancel()
        finally:
            self._hub.closed(session)

    async def upload(
        self, node_id: str, chunks: AsyncIterator[Chunk], send: Callable[[ChunkAck], Awaitable[None]]
    ) -> None:
        """Take in one Upload stream; NotIntroducedError if its node has not said Hello with this boot."""
        with suppress(TimeoutError):
            async with asyncio.timeout(None) as end:
                self._uploads.add(end)
                try:
                    async for chunk in chunks:
                        self._hub.chunk(node_id, StoredChunk(chunk.boot_id, chunk.seq, chunk.sent_unix_s, chunk.data))
                        await send(ChunkAck(boot_id=chunk.boot_id, seq=chunk.seq))
                finally:
                    self._uploads.discard(end)

    def drain(self, reconnect_after_s: float) -> None:
        """Tell all nodes that the hub is about to stop, and end their streams."""
        message = HubMessage(drain=Drain(reconnect_after_s=reconnect_after_s))
        for stream in self._open.values():
            stream.outbox.put(message)
            stream.close()
        for end in self._uploads:
            end.reschedule(asyncio.get_running_loop().time())

    def _greet(self, hello: Hello, outbox: Outbox) -> Session:
        interval_s, labels = hello.heartbeat_interval_s, dict(hello.labels)
        said = registry.Hello(hello.node_id, hello.boot_id, hello.connection, interval_s, labels)
        session = self._hub.hello(said, hello.sent_unix_s)
        welcome = Welcome(
            epoch=self._hub.epoch,
            last_chunk_seq=self._hub.last_chunk_seq(session.node),
            stale_after_s=self._hub.settings.stale_after_s,
        )
        outbox.put(HubMessage(welcome=welcome))
        return session

    async def _converse(self, session: Session, messages: AsyncIterator[NodeMessage], outbox: Outbox) -> None:
        """Read until the node ends the stream, or the hub does: a newer stream of the node, or the hub's own end."""
        node_id = session.node.node_id
        with suppress(TimeoutError):
            async with asyncio.timeout(None) as end:
                stream = Stream(outbox, end)
                if node_id in self._open:
                    self._open[node_id].close()
                self._open[node_id] = stream
                try:
                    await self._read(session, messages, outbox)
                finally:
                    if self._open.get(node_id) is stream:
                        del self._open[node_id]

    async def _read(self, session: Session, messages: AsyncIterator[NodeMessage], outbox: Outbox) -> None:
        heartbeat_came = self._hub.heartbeat
        async for message in messages:
            kind = message.WhichOneof("body")
            if kind == "heartbeat":
                heartbeat = message.heartbeat
                heartbeat_came(session, heartbeat.seq, heartbeat.sent_unix_s)
                if heartbeat.ack:
                    ack = HeartbeatAck(seq=heartbeat.seq, sent_unix_s=heartbeat.sent_unix_s)
                    outbox.put_ack(HubMessage(heartbeat_ack=ack))
            elif kind == "goodbye":
                self._hub.goodbye(session)
                return
