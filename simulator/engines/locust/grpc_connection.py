"""One modelled connection as a real one, under gevent: a channel of its own, with a Connect and an Upload stream.

It does what the live engine's `NodeConnection` does under asyncio, and times the hub's answers:

    connect     Hello to Welcome
    heartbeat   Heartbeat to HeartbeatAck
    chunk       Chunk to the ChunkAck that covers it

An end that the node did not ask for is a failure of `connect` before the Welcome, of `stream` after it.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Any

import gevent
import grpc
from gevent.event import Event
from gevent.queue import SimpleQueue

from heartbench.mesh import encoding
from heartbench.mesh.channel import open_channel
from heartbench.mesh.credentials import Credentials
from heartbench.mesh.v1.mesh_pb2 import Chunk, Drain, HeartbeatAck, HubMessage, NodeMessage, Throttle, Welcome
from heartbench.mesh.v1.mesh_pb2_grpc import NodeMeshStub
from heartbench.simulator.engines.live.world import Loss

LINGER_S = 1.0  # for the hub to end a stream after the node has
LEFT = "load test ended"

Report = Callable[[str, str, float, Exception | None], None]
"""Receives kind and name of a request, how long it took, s, and what went wrong."""


class StreamEndedError(Exception):
    """The hub ended a stream, or could not be reached; the message says why."""


class NodeConnection:
    """A real connection of a node; `lost(loss)` is called when the hub ends it."""

    def __init__(
        self,
        address: str,
        credentials: Credentials | None,
        node_id: str,
        lost: Callable[[Loss], None],
        report: Report,
    ) -> None:
        self._node_id = node_id
        self._lost = lost
        self._report = report
        self._away_s = 0.0
        self._throttled = ""
        self._over = False
        self._welcome = Event()
        self._begun_s = time.perf_counter()
        self._heartbeats: deque[tuple[int, float]] = deque()  # seq and time of those without acknowledgement
        self._chunks: deque[tuple[int, float]] = deque()
        self._control: Any = SimpleQueue()
        self._output: Any = SimpleQueue()
        self._channel = open_channel(address, credentials)
        self._running = gevent.spawn(self._run)

    def send(self, message: NodeMessage) -> None:
        """Write a message on the Connect stream; the first is a Hello and opens the stream."""
        if message.HasField("heartbeat"):
            self._heartbeats.append((message.heartbeat.seq, time.perf_counter()))
        self._control.put(message)

    def upload(self, chunk: Chunk) -> None:
        """Write a chunk on the Upload stream."""
        self._chunks.append((chunk.seq, time.perf_counter()))
        self._output.put(chunk)

    def close(self) -> None:
        """End the streams when all messages are written."""
        self._over = True
        self._welcome.set()
        self._control.put(None)
        self._output.put(None)

    def leave(self) -> None:
        """Send a Goodbye, if the hub has welcomed the node; return when the connection is closed."""
        if self._welcome.is_set():
            self.send(encoding.goodbye(LEFT))
        self.close()
        self._running.join(2 * LINGER_S)

    def _run(self) -> None:
        uploading = gevent.spawn(self._run_upload)
        try:
            first = self._control.get()
            if first is not None:
                self._begun_s = time.perf_counter()
                self._read(NodeMeshStub(self._channel).Connect(_all(first, self._control)), self._receive)
        finally:
            self._over = True
            self._output.put(None)
            uploading.join(LINGER_S)
            self._channel.close()

    def _run_upload(self) -> None:
        first = self._output.get()
        self._welcome.wait()
        if first is not None:
            metadata = encoding.upload_metadata(self._node_id)
            call = NodeMeshStub(self._channel).Upload(_all(first, self._output), metadata=metadata)
            self._read(call, lambda ack: self._answered("chunk", self._chunks, ack.seq))

    def _read(self, call: Any, receive: Callable[[Any], None]) -> None:
        reason = "the hub ended the stream"
        try:
            for message in call:
                receive(message)
        except grpc.RpcError as error:
            status: Any = error
            reason = f"{status.code().name}: {status.details()}"
        if not self._over:
            self._end(reason)

    def _end(self, reason: str) -> None:
        """Report an end that the node did not ask for."""
        welcomed = self._welcome.is_set()
        name = "stream" if welcomed and not self._throttled else "connect"
        error = StreamEndedError(self._throttled or reason)
        self.close()
        self._report("hub", name, time.perf_counter() - self._begun_s, error)
        self._lost(Loss(self._away_s, refused=not welcomed and self._away_s == 0.0))

    def _receive(self, message: HubMessage) -> None:
        match encoding.body_of(message):
            case HeartbeatAck(seq=seq):
                self._answered("heartbeat", self._heartbeats, seq)
            case Welcome():
                self._welcome.set()
                self._report("hub", "connect", time.perf_counter() - self._begun_s, None)
            case Throttle(retry_after_s=away_s, reason=reason):
                self._away_s = away_s
                self._throttled = f"throttled: {reason}"
            case Drain(reconnect_after_s=away_s):
                self._away_s = away_s

    def _answered(self, name: str, waiting: deque[tuple[int, float]], seq: int) -> None:
        """Report the times of all messages that an answer up to `seq` covers."""
        while waiting and waiting[0][0] <= seq:
            self._report("hub", name, time.perf_counter() - waiting.popleft()[1], None)


def _all(first: Any, queue: Any) -> Any:
    yield first
    yield from iter(queue.get, None)
