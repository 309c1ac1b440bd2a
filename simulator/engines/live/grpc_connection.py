"""One modelled connection as a real one: a channel of its own, on it a Connect stream and, if needed, an Upload stream.

It says what it is given, at once, and reads what the hub says; the answers of the hub reach the node in the model, so
here only those count that the model does not know of: an end that the node did not ask for, and for how long the hub
asks it to stay away. A command is answered with its own payload.
"""

import asyncio
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio

from heartbench.mesh.v1.mesh_pb2 import Chunk, CommandResult, Goodbye, HubMessage, NodeMessage
from heartbench.mesh.v1.mesh_pb2_grpc import NodeMeshStub

NO_ROW = -1  # of what is no part of the trace
LINGER_S = 1.0  # that the hub gets to end a stream after the node has
LEFT = "the run has ended"

# A TCP connection for each channel; nothing that gRPC does by itself: what nodes do is the model's affair.
OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.max_pings_without_data", 0),
]


@dataclass(slots=True)
class Log:
    """When which row was given to gRPC and when gRPC had written it, s; and what the hub said.

    That is the threshold of which it told a node, and how many files it has whole and verified.
    """

    row: "array[int]" = field(default_factory=lambda: array("q"))
    begun_s: "array[float]" = field(default_factory=lambda: array("d"))
    written_s: "array[float]" = field(default_factory=lambda: array("d"))
    stale_after_s: float = 0.0
    files: int = 0

    def written(self, row: int, begun_s: float, written_s: float) -> None:
        """Note that a row has been written."""
        self.row.append(row)
        self.begun_s.append(begun_s)
        self.written_s.append(written_s)


class Wire:
    """A real connection of a node.

    `lost(wire, away_s, refused)` is called when the hub ends it: how long it asked the node to stay away (0: it did not
    ask), and whether it ended without a Welcome and without such a wish, as the connection to a dead hub does.
    """

    def __init__(
        self, node: int, node_id: str, address: str, log: Log, lost: "Callable[[Wire, float, bool], None]"
    ) -> None:
        self.node = node
        self._node_id = node_id
        self._log = log
        self._lost = lost
        self._away_s = 0.0
        self._over = False
        self._gone = asyncio.Event()
        self._control: asyncio.Queue[tuple[int, NodeMessage] | None] = asyncio.Queue()
        self._output: asyncio.Queue[tuple[int, Chunk] | None] = asyncio.Queue()
        self._welcome = asyncio.Event()
        self._channel = grpc.aio.insecure_channel(address, options=OPTIONS)
        self._channel.get_state(try_to_connect=True)

    async def ready(self) -> None:
        """Wait until the TCP connection stands."""
        await self._channel.channel_ready()

    def say(self, row: int, message: NodeMessage) -> None:
        """Write a message on the Connect stream; the first is a Hello and opens it."""
        self._control.put_nowait((row, message))

    def put_out(self, row: int, chunk: Chunk) -> None:
        """Write a chunk on the Upload stream."""
        self._output.put_nowait((row, chunk))

    def close(self) -> None:
        """End the streams when all is written that was to be."""
        self._over = True
        self._welcome.set()
        self._control.put_nowait(None)
        self._output.put_nowait(None)

    def leave(self) -> None:
        """Say Goodbye, where the hub has welcomed the node, and end the streams."""
        if self._welcome.is_set():
            self.say(NO_ROW, NodeMessage(goodbye=Goodbye(reason=LEFT)))
        self.close()

    async def gone(self) -> None:
        """Return when it is closed."""
        await self._gone.wait()

    async def flushed(self) -> None:
        """Return when all is written that was to be."""
        await self._control.join()
        await self._output.join()

    async def live(self) -> None:
        """Do all that, until it is closed or the hub ends it."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._speak(self._control, self._connect))
                tasks.create_task(self._speak(self._output, self._upload))
        finally:
            await self._channel.close()
            self._gone.set()

    def _connect(self) -> Any:
        return NodeMeshStub(self._channel).Connect()

    def _upload(self) -> Any:
        return NodeMeshStub(self._channel).Upload(metadata=(("node-id", self._node_id),))

    async def _speak(self, queue: "asyncio.Queue[Any]", begin: Callable[[], Any]) -> None:
        """Write what comes on a stream that the first message opens."""
        first = await queue.get()
        if first is None:
            return
        if queue is self._output:
            await self._welcome.wait()
        call = begin()
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(self._read(call))
            with _whatever_the_end():
                await self._write(call, first, queue)
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER_S):
                    await reader

    async def _write(self, call: Any, said: Any, queue: "asyncio.Queue[Any]") -> None:
        while said is not None:
            row, message = said
            begun_s = time.monotonic()
            await call.write(message)
            if row != NO_ROW:
                self._log.written(row, begun_s, time.monotonic())
            queue.task_done()
            said = await queue.get()
        await call.done_writing()

    async def _read(self, call: Any) -> None:
        with _whatever_the_end():
            while (message := await call.read()) is not grpc.aio.EOF:
                if isinstance(message, HubMessage):
                    self._hear(message)
                elif message.file.complete:
                    self._log.files += 1
        if not self._over:
            refused = not self._welcome.is_set() and self._away_s == 0.0
            self.close()
            self._lost(self, self._away_s, refused)

    def _hear(self, message: HubMessage) -> None:
        kind = message.WhichOneof("body")
        if kind == "welcome":
            self._log.stale_after_s = message.welcome.stale_after_s
            self._welcome.set()
        elif kind == "throttle":
            self._away_s = message.throttle.retry_after_s
        elif kind == "drain":
            self._away_s = message.drain.reconnect_after_s
        elif kind == "command":
            echo = CommandResult(command_id=message.command.command_id, payload=message.command.payload)
            self.say(NO_ROW, NodeMessage(command_result=echo))  # at once: the model knows nothing of commands


@contextmanager
def _whatever_the_end() -> Iterator[None]:
    """Let a stream have ended as it may. gRPC raises CancelledError where the hub's end was cancelled."""
    try:
        yield
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        pass
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
