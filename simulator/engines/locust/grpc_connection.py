"""One modelled connection as a real one, under gevent: a channel of its own, on it a Connect and an Upload stream.

The counterpart of the live engine's wire. It writes what it is given, at once, and times the hub's answers:

    connect     Hello to Welcome
    heartbeat   Heartbeat to HeartbeatAck
    chunk       Chunk to the ChunkAck that covers it

An end that the node did not ask for is a failure of `connect` before the Welcome, of `stream` after it.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import gevent
import grpc
from gevent.event import Event
from gevent.queue import SimpleQueue

from heartbench.mesh.v1.mesh_pb2 import Chunk, Goodbye, HubMessage, NodeMessage
from heartbench.mesh.v1.mesh_pb2_grpc import NodeMeshStub
from heartbench.simulator.engines.live.grpc_connection import OPTIONS

LINGER_S = 1.0  # that the hub gets to end a stream after the node has
LEFT = "load test ended"


class Report(Protocol):
    """Is told how long something took, s, and what went wrong."""

    def __call__(self, kind: str, name: str, took_s: float, error: Exception | None = None) -> None:
        """Note it."""


class StreamEndedError(Exception):
    """The hub ended a stream, or could not be reached; the message says why."""


class Wire:
    """A real connection of a node.

    `lost(away_s, refused)` is called when the hub ends it: how long it asked the node to stay away (0: it did not ask),
    and whether it ended without a Welcome and without such a wish, as the connection to a dead hub does.
    """

    def __init__(self, address: str, node_id: str, lost: Callable[[float, bool], None], report: Report) -> None:
        self._node_id = node_id
        self._lost = lost
        self._report = report
        self._away_s = 0.0
        self._refused = ""
        self._over = False
        self._welcome = Event()
        self._begun_s = time.perf_counter()
        self._heartbeats: deque[tuple[int, float]] = deque()  # seq and time of what is not acknowledged
        self._chunks: deque[tuple[int, float]] = deque()
        self._control: Any = SimpleQueue()
        self._output: Any = SimpleQueue()
        self._channel = grpc.insecure_channel(address, options=OPTIONS)
        self._living = gevent.spawn(self._live)

    def say(self, message: NodeMessage) -> None:
        """Write a message on the Connect stream; the first is a Hello and opens it."""
        if message.HasField("heartbeat"):
            self._heartbeats.append((message.heartbeat.seq, time.perf_counter()))
        self._control.put(message)

    def put_out(self, chunk: Chunk) -> None:
        """Write a chunk on the Upload stream."""
        self._chunks.append((chunk.seq, time.perf_counter()))
        self._output.put(chunk)

    def close(self, goodbye: bool = False) -> None:
        """End the streams when all is written that was to be."""
        if goodbye and self._welcome.is_set():
            self._control.put(NodeMessage(goodbye=Goodbye(reason=LEFT)))
        self._over = True
        self._welcome.set()
        self._control.put(None)
        self._output.put(None)

    def join(self) -> None:
        """Return when it is closed."""
        self._living.join(2 * LINGER_S)

    def _live(self) -> None:
        uploading = gevent.spawn(self._upload)
        try:
            first = self._control.get()
            if first is not None:
                self._begun_s = time.perf_counter()
                self._read(NodeMeshStub(self._channel).Connect(_all(first, self._control)), self._hear)
        finally:
            self._over = True
            self._output.put(None)
            uploading.join(LINGER_S)
            self._channel.close()

    def _upload(self) -> None:
        first = self._output.get()
        self._welcome.wait()
        if first is not None:
            metadata = (("node-id", self._node_id),)
            call = NodeMeshStub(self._channel).Upload(_all(first, self._output), metadata=metadata)
            self._read(call, lambda ack: self._answered("chunk", self._chunks, ack.seq))

    def _read(self, call: Any, hear: Callable[[Any], None]) -> None:
        reason = "the hub ended the stream"
        try:
            for message in call:
                hear(message)
        except grpc.RpcError as error:
            status: Any = error
            reason = f"{status.code().name}: {status.details()}"
        if not self._over:
            self._end(reason)

    def _end(self, reason: str) -> None:
        """Note an end that the node did not ask for."""
        welcomed = self._welcome.is_set()
        name = "stream" if welcomed and not self._refused else "connect"
        error = StreamEndedError(self._refused or reason)
        self.close()
        self._report("hub", name, time.perf_counter() - self._begun_s, error)
        self._lost(self._away_s, not welcomed and self._away_s == 0.0)

    def _hear(self, message: HubMessage) -> None:
        kind = message.WhichOneof("body")
        if kind == "heartbeat_ack":
            self._answered("heartbeat", self._heartbeats, message.heartbeat_ack.seq)
        elif kind == "welcome":
            self._welcome.set()
            self._report("hub", "connect", time.perf_counter() - self._begun_s)
        elif kind == "throttle":
            self._away_s = message.throttle.retry_after_s
            self._refused = f"throttled: {message.throttle.reason}"
        elif kind == "drain":
            self._away_s = message.drain.reconnect_after_s

    def _answered(self, name: str, waiting: deque[tuple[int, float]], seq: int) -> None:
        """Time all that an answer up to `seq` covers."""
        while waiting and waiting[0][0] <= seq:
            self._report("hub", name, time.perf_counter() - waiting.popleft()[1])


def _all(first: Any, queue: Any) -> Any:
    yield first
    yield from iter(queue.get, None)
