"""One modelled connection as a real one: a channel of its own, with a Connect stream and, if needed, an Upload stream.

It writes what it is given at once, and reads the hub's answers. The answers reach the node in the model; only what the
model cannot know counts here: an end that the node did not ask for, and for how long the hub asks it to stay away. A
command is answered with its own payload.
"""

import asyncio
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc.aio

from heartbench.mesh import encoding
from heartbench.mesh.channel import open_aio_channel
from heartbench.mesh.credentials import Credentials
from heartbench.mesh.v1.mesh_pb2 import Chunk, Command, Drain, HubMessage, NodeMessage, Throttle, Welcome
from heartbench.mesh.v1.mesh_pb2_grpc import NodeMeshStub
from heartbench.simulator.engines.live.world import Loss

NO_ROW = -1  # of a message that is not part of the trace
LINGER_S = 1.0  # for the hub to end a stream after the node has
LEFT = "the run has ended"


@dataclass(slots=True)
class Log:
    """What the connections of a shard measured.

    Attributes:
        written: for each message its row, when it was given to gRPC, and when gRPC had written it (s, monotonic clock).
        stale_after_s: the threshold in the hub's Welcome; 0: no node was welcomed.
        files: how many files the hub has complete and verified.
    """

    written: "array[float]" = field(default_factory=lambda: array("d"))
    stale_after_s: float = 0.0
    files: int = 0


class NodeConnection:
    """A real connection of a node: number `number` of the model, of the node in place `node`.

    `lost(connection, loss)` is called when the hub ends it.
    """

    def __init__(
        self,
        number: int,
        node: int,
        node_id: str,
        address: str,
        log: Log,
        lost: "Callable[[NodeConnection, Loss], None]",
        credentials: Credentials | None = None,
    ) -> None:
        self.number = number
        self.node = node
        self._node_id = node_id
        self._log = log
        self._lost = lost
        self._away_s = 0.0
        self._over = False
        self.closed = asyncio.Event()
        self._control: asyncio.Queue[tuple[int, NodeMessage] | None] = asyncio.Queue()
        self._output: asyncio.Queue[tuple[int, Chunk] | None] = asyncio.Queue()
        self._welcome = asyncio.Event()
        self._channel = open_aio_channel(address, credentials)
        self._channel.get_state(try_to_connect=True)
        self._stub: Any = NodeMeshStub(self._channel)

    async def ready(self) -> None:
        """Wait until the TCP connection is established."""
        await self._channel.channel_ready()

    def send(self, row: int, message: NodeMessage) -> None:
        """Write a message on the Connect stream; the first is a Hello and opens the stream."""
        self._control.put_nowait((row, message))

    def upload(self, row: int, chunk: Chunk) -> None:
        """Write a chunk on the Upload stream."""
        self._output.put_nowait((row, chunk))

    def close(self) -> None:
        """End the streams when all messages are written."""
        self._over = True
        self._welcome.set()
        self._control.put_nowait(None)
        self._output.put_nowait(None)

    def leave(self) -> None:
        """Send a Goodbye, if the hub has welcomed the node, and end the streams."""
        if self._welcome.is_set():
            self.send(NO_ROW, encoding.goodbye(LEFT))
        self.close()

    async def flushed(self) -> None:
        """Return when all messages are written."""
        await self._control.join()
        await self._output.join()

    async def run(self) -> None:
        """Serve both streams until the node closes the connection or the hub ends it."""
        upload = partial(self._stub.Upload, metadata=encoding.upload_metadata(self._node_id))
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._stream(self._control, self._stub.Connect))
                tasks.create_task(self._stream(self._output, upload))
        finally:
            await self._channel.close()
            self.closed.set()

    async def _stream(self, queue: "asyncio.Queue[Any]", begin: Callable[[], Any]) -> None:
        """Write the queued messages on a stream that the first of them opens."""
        first = await queue.get()
        if first is None:
            return
        if queue is self._output:
            await self._welcome.wait()
        call = begin()
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(self._read(call))
            with _any_end_of_stream():
                await self._write(call, first, queue)
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER_S):
                    await reader

    async def _write(self, call: Any, queued: Any, queue: "asyncio.Queue[Any]") -> None:
        while queued is not None:
            row, message = queued
            begun_s = time.monotonic()
            await call.write(message)
            if row != NO_ROW:
                self._log.written.extend((row, begun_s, time.monotonic()))
            queue.task_done()
            queued = await queue.get()
        await call.done_writing()

    async def _read(self, call: Any) -> None:
        with _any_end_of_stream():
            while (message := await call.read()) is not grpc.aio.EOF:
                if isinstance(message, HubMessage):
                    self._receive(message)
                elif message.file.complete:
                    self._log.files += 1
        if not self._over:
            loss = Loss(self._away_s, refused=not self._welcome.is_set() and self._away_s == 0.0)
            self.close()
            self._lost(self, loss)

    def _receive(self, message: HubMessage) -> None:
        match encoding.body_of(message):
            case Welcome(stale_after_s=stale_after_s):
                self._log.stale_after_s = stale_after_s
                self._welcome.set()
            case Throttle(retry_after_s=away_s) | Drain(reconnect_after_s=away_s):
                self._away_s = away_s
            case Command(command_id=command_id, payload=payload):  # answered at once: the model has no commands
                self.send(NO_ROW, encoding.command_result(command_id, payload))


@contextmanager
def _any_end_of_stream() -> Iterator[None]:
    """Ignore how a stream ended. gRPC raises CancelledError if the hub's end was cancelled."""
    try:
        yield
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        pass
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
