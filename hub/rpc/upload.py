"""How the hub behaves on a node's Upload stream: terminal output into history and store, files into their folder.

What slows a node here is the hub's own room, and nothing slows its heartbeats, which come on another stream: a stream
is not read while its chunks, or all chunks, or all pieces of files that are taken in and not yet stored, are too many.
gRPC's flow control tells the node. A chunk is acknowledged when it is as safe as the settings say, in order, and one
acknowledgement stands for all before it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from heartbench.hub.clock import Clock
from heartbench.hub.core import Hub
from heartbench.hub.errors import BadMessageError, NoRoomError
from heartbench.hub.rpc.task_scope import CancelScope, together
from heartbench.hub.store.history import StoredChunk
from heartbench.hub.store.received_files import FilePart, FileReceiver
from heartbench.hub.work.budget import Budget
from heartbench.hub.work.executor import BoundedExecutor
from heartbench.mesh.v1.mesh_pb2 import Chunk, ChunkAck, FileAck, FileChunk

SendAck = Callable[[ChunkAck], Awaitable[None]]
ANY_NUMBER = 1 << 62
CHUNKS_OF_A_NODE = 10_000
"""Unacknowledged chunks of a node, also where they are empty."""
FILE_ACKS_WAITING = 64


class Files:
    """Where pieces of files go: a receiver on a bounded executor, with room for so many bytes on the way."""

    def __init__(self, receiver: FileReceiver, executor: BoundedExecutor, max_bytes: int) -> None:
        self.executor = executor
        self._receiver = receiver
        self._room = Budget(ANY_NUMBER, max_bytes)

    async def take(self, node_id: str, piece: FileChunk) -> FileAck:
        """Write one piece; the errors are those of receiver and executor."""
        part = FilePart(piece.path, piece.offset, piece.data, piece.crc32, piece.last, piece.sha256)
        await self._room.acquire(len(part.data))
        try:
            done = await self.executor.submit(self._receiver.receive, node_id, part)
        finally:
            self._room.release(1, len(part.data))
        return FileAck(path=done.path, held_bytes=done.held_bytes, complete=done.complete)


class Acks:
    """What one stream is to be told: in order for chunks, as it comes for files."""

    def __init__(self, room: Budget) -> None:
        """`room` is what the node's unacknowledged chunks share."""
        self._room = room
        self._chunks: deque[tuple[StoredChunk, asyncio.Future[None]]] = deque()
        self._files: deque[FileAck] = deque()
        self._file_room = Budget(FILE_ACKS_WAITING, ANY_NUMBER)
        self._something = asyncio.Event()
        self._closed = False

    def put(self, chunk: StoredChunk, saved: "asyncio.Future[None]") -> None:
        """Have a chunk acknowledged when it is saved."""
        self._chunks.append((chunk, saved))
        saved.add_done_callback(self._wake)

    async def put_file(self, progress: FileAck) -> None:
        """Have the node told how far a file is; waits where it does not read what it is told."""
        await self._file_room.acquire(0)
        self._files.append(progress)
        self._something.set()

    def close(self) -> None:
        """Nothing more comes: `send_all` returns when all is told."""
        self._closed = True
        self._something.set()

    async def send_all(self, send: SendAck) -> None:
        """Tell it; raises what kept a chunk from being saved."""
        while True:
            self._something.clear()
            while (message := self._next()) is not None:
                await send(message)
            if self._closed and not self._chunks:
                return
            await self._something.wait()

    def give_up(self) -> None:
        """The stream is gone: what it waited for takes its node's room no longer."""
        while self._chunks:
            self._room.release(1, len(self._chunks.popleft()[0].data))

    def _wake(self, _: "asyncio.Future[None]") -> None:
        self._something.set()

    def _next(self) -> ChunkAck | None:
        if self._files:
            self._file_room.release(1, 0)
            return ChunkAck(file=self._files.popleft())
        newest = None
        while self._chunks and self._chunks[0][1].done():
            self._chunks[0][1].result()
            newest, _ = self._chunks.popleft()
            self._room.release(1, len(newest.data))
        return ChunkAck(boot_id=newest.boot_id, seq=newest.seq) if newest else None


@dataclass(slots=True)
class OfNode:
    """The Upload streams of one node, and the room that they share."""

    room: Budget
    open: set[CancelScope] = field(default_factory=set)
    none_open: asyncio.Event = field(default_factory=asyncio.Event)

    def close(self) -> None:
        """Stop reading them."""
        for ending in self.open:
            ending.end()


class UploadService:
    """Serves the Upload streams of all nodes on one hub; without `files` it takes none."""

    def __init__(self, hub: Hub, clock: Clock, files: Files | None = None) -> None:
        self._hub = hub
        self._now = clock.monotonic
        self._files = files
        self._nodes: dict[str, OfNode] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    async def upload(self, node_id: str, chunks: AsyncIterator[Chunk], send: SendAck) -> None:
        """Serve one stream until the node ends it or the hub closes it.

        Raises:
            NotIntroducedError: The node did not say Hello with this boot before.
            BadMessageError, FileRefusedError: What it sends cannot be taken.
            NoRoomError: It has, or the hub has, as many streams as are allowed.
            HubError: The hub cannot store it now.
        """
        with self._place(node_id) as (of_node, ending):
            acks = Acks(of_node.room)
            try:
                async with together() as tasks:
                    tasks.create_task(acks.send_all(send))
                    async with ending:
                        await self._read(node_id, of_node.room, chunks, acks)
                    acks.close()
            finally:
                acks.give_up()

    def close(self) -> None:
        """End all streams; what was taken in is still acknowledged."""
        for of_node in self._nodes.values():
            of_node.close()

    async def close_node(self, node_id: str) -> None:
        """End the streams of one node, and wait until they have ended."""
        of_node = self._nodes.get(node_id)
        if of_node is not None:
            of_node.close()
            await of_node.none_open.wait()

    @contextmanager
    def _place(self, node_id: str) -> Iterator[tuple[OfNode, CancelScope]]:
        """A place for one more stream: the node's part, and what ends the stream."""
        settings = self._hub.settings
        if self._count >= settings.max_uploads:
            raise NoRoomError(f"{self._count} Upload streams are open; HUB_MAX_INFLIGHT_BYTES allows no more")
        of_node = self._nodes.get(node_id)
        if of_node is None:
            of_node = self._nodes[node_id] = OfNode(Budget(CHUNKS_OF_A_NODE, settings.node_inflight_bytes))
        if len(of_node.open) >= settings.uploads_per_node:
            raise NoRoomError(
                f"node {node_id!r} has {len(of_node.open)} Upload streams; HUB_UPLOADS_PER_NODE allows no more"
            )
        ending = CancelScope()
        of_node.open.add(ending)
        self._count += 1
        try:
            yield of_node, ending
        finally:
            self._count -= 1
            of_node.open.discard(ending)
            if not of_node.open:
                del self._nodes[node_id]
                of_node.none_open.set()

    async def _read(self, node_id: str, room: Budget, chunks: AsyncIterator[Chunk], acks: Acks) -> None:
        async for chunk in chunks:
            if chunk.HasField("file"):
                await self._take_file(node_id, chunk, acks)
            else:
                await self._take(node_id, room, chunk, acks)

    async def _take(self, node_id: str, room: Budget, message: Chunk, acks: Acks) -> None:
        chunk = StoredChunk(message.boot_id, message.seq, message.sent_unix_s, message.data)
        node = self._hub.sign_of_life(node_id, chunk.boot_id, self._now(), chunk.seq, chunk.sent_unix_s)
        if chunk.boot_id < node.boot_id:
            return
        await room.acquire(len(chunk.data))
        try:
            saved = await self._hub.writer.append(node_id, self._hub.history(node_id), chunk)
        except BaseException as error:
            room.release(1, len(chunk.data))
            if isinstance(error, ValueError):
                raise BadMessageError(str(error)) from None
            raise
        acks.put(chunk, saved)

    async def _take_file(self, node_id: str, message: Chunk, acks: Acks) -> None:
        self._hub.sign_of_life(node_id, message.boot_id, self._now(), 0, message.sent_unix_s)
        if self._files is None:
            raise BadMessageError("this hub takes no files: HUB_FILES_DIR is empty")
        await acks.put_file(await self._files.take(node_id, message.file))
