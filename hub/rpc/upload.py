"""The hub's side of a node's Upload stream: terminal output into history and store, files into their folder.

Only the hub's own room slows an Upload stream, and nothing on it slows heartbeats, which come on another stream: the
hub stops reading a stream while the node's chunks, all chunks or all file chunks that are admitted and not yet stored
are too many. gRPC's flow control then stops the node. A chunk is acknowledged, in order, when it is as safe as the
settings demand; one acknowledgement stands for all chunks before it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

from heartbench.hub.clock import Clock
from heartbench.hub.core import Hub
from heartbench.hub.errors import BadMessageError, HubError
from heartbench.hub.rpc import protobuf_mapping as mapping
from heartbench.hub.rpc.message_size import check_size
from heartbench.hub.rpc.peer import Peer
from heartbench.hub.rpc.task_scope import task_scope
from heartbench.hub.rpc.upload_places import UploadPlaces
from heartbench.hub.store.history import StoredChunk
from heartbench.hub.store.order import check_name
from heartbench.hub.store.received_files import FileProgress, FileReceiver
from heartbench.hub.work.budget import Budget
from heartbench.hub.work.executor import BoundedExecutor
from heartbench.mesh.v1.mesh_pb2 import Chunk, ChunkAck, FileChunk

SendAck = Callable[[ChunkAck], Awaitable[None]]
UNLIMITED = 1 << 62
FILE_ACKS_WAITING = 64


class Files:
    """A receiver of files on a bounded executor, with room for `max_bytes` of admitted file chunks."""

    def __init__(self, receiver: FileReceiver, executor: BoundedExecutor, max_bytes: int) -> None:
        self.executor = executor
        self._receiver = receiver
        self._room = Budget(UNLIMITED, max_bytes)

    async def forget(self, node_id: str) -> None:
        """Remove a node's incomplete files, if the executor takes the work; else they go in time."""
        with suppress(HubError):
            await self.executor.submit(self._receiver.forget, node_id)

    async def tidy(self, now_unix_s: float, keep_s: float) -> None:
        """Remove the incomplete files that no chunk came for within `keep_s`, and count what all files take."""
        with suppress(HubError):
            await self.executor.submit(self._receiver.tidy, now_unix_s - keep_s)

    async def write(self, node_id: str, part: FileChunk) -> FileProgress:
        """Write one part of a file; raises the errors of receiver and executor."""
        await self._room.acquire(len(part.data))
        try:
            return await self.executor.submit(self._receiver.receive, node_id, part)
        finally:
            self._room.release(1, len(part.data))


class AckQueue:
    """The acknowledgements of one stream: in order for chunks, at once for files."""

    def __init__(self, room: Budget) -> None:
        """`room` is shared by the node's unacknowledged chunks."""
        self._room = room
        self._chunks: deque[tuple[StoredChunk, asyncio.Future[None]]] = deque()
        self._files: deque[FileProgress] = deque()
        self._file_room = Budget(FILE_ACKS_WAITING, UNLIMITED)
        self._changed = asyncio.Event()
        self._closed = False

    def put(self, chunk: StoredChunk, saved: "asyncio.Future[None]") -> None:
        """Queue a chunk, which is acknowledged when it is saved."""
        self._chunks.append((chunk, saved))
        saved.add_done_callback(lambda _: self._changed.set())

    async def put_file(self, progress: FileProgress) -> None:
        """Queue the progress of a file; waits while the node does not read its acknowledgements."""
        await self._file_room.acquire(0)
        self._files.append(progress)
        self._changed.set()

    def close(self) -> None:
        """Add no more; `send_all` returns when the queue is empty."""
        self._closed = True
        self._changed.set()

    async def send_all(self, send: SendAck) -> None:
        """Send acknowledgements until closed; raises the error that kept a chunk from being saved."""
        while True:
            self._changed.clear()
            while (message := self._next()) is not None:
                await send(message)
            if self._closed and not self._chunks:
                return
            await self._changed.wait()

    def discard(self) -> None:
        """Drop what is queued and release its room, because the stream has ended; add no more."""
        while self._chunks:
            self._room.release(1, len(self._chunks.popleft()[0].data))
        self._files.clear()
        self.close()

    def _next(self) -> ChunkAck | None:
        if self._files:
            self._file_room.release(1, 0)
            return mapping.file_ack(self._files.popleft())
        newest = None
        while self._chunks and self._chunks[0][1].done():
            self._chunks[0][1].result()
            newest, _ = self._chunks.popleft()
            self._room.release(1, len(newest.data))
        return mapping.chunk_ack(newest) if newest else None


class UploadService:
    """Serves the Upload streams of all nodes of one hub; without `files` it accepts no files."""

    def __init__(self, hub: Hub, clock: Clock, files: Files | None = None) -> None:
        self._hub = hub
        self._now = clock.monotonic
        self._files = files
        self.places = UploadPlaces(hub.settings, clock.monotonic, hub.is_connected)

    def __len__(self) -> int:
        return len(self.places)

    async def upload(self, peer: Peer, node_id: str, chunks: AsyncIterator[Chunk], send: SendAck) -> None:
        """Serve one stream until the node ends it or the hub closes it; raises a HubError to end it with a reason."""
        with self.places.take(peer, node_id) as place:
            acks = AckQueue(place.room)
            try:
                async with task_scope() as tasks:
                    writer = tasks.create_task(acks.send_all(send))
                    try:
                        async with place.scope:
                            await self._read(node_id, place.room, self.places.messages(place, chunks), acks)
                        place.check()
                    except HubError:
                        acks.discard()
                        await asyncio.wait([writer])  # as at the end of a Connect stream
                        raise
                    acks.close()
            finally:
                acks.discard()

    def close(self) -> None:
        """End all streams; admitted chunks are still acknowledged."""
        self.places.close()

    async def close_node(self, node_id: str) -> None:
        """End the streams of one node and wait until they have ended."""
        await self.places.close_node(node_id)

    async def forget_files(self, node_id: str) -> None:
        """Remove the incomplete files of a node."""
        if self._files is not None:
            await self._files.forget(node_id)

    async def _read(self, node_id: str, room: Budget, chunks: AsyncIterator[Chunk], acks: AckQueue) -> None:
        limit_bytes = self._hub.settings.message_bytes
        async for chunk in chunks:
            check_size(chunk, limit_bytes)
            if chunk.HasField("file"):
                await self._write_file(node_id, chunk, acks)
            else:
                await self._store(node_id, room, chunk, acks)

    async def _store(self, node_id: str, room: Budget, message: Chunk, acks: AckQueue) -> None:
        chunk = StoredChunk(message.boot_id, message.seq, message.sent_unix_s, message.data)
        check_name(chunk)
        self._hub.sign_of_life(node_id, chunk.boot_id, self._now(), chunk.seq, chunk.sent_unix_s)
        await room.acquire(len(chunk.data))
        saved = None
        try:
            saved = await self._hub.writer.append(node_id, self._hub.history(node_id), chunk)
        finally:
            if saved is None:
                room.release(1, len(chunk.data))
        acks.put(chunk, saved)

    async def _write_file(self, node_id: str, message: Chunk, acks: AckQueue) -> None:
        self._hub.sign_of_life(node_id, message.boot_id, self._now(), 0, message.sent_unix_s)
        if self._files is None:
            raise BadMessageError("this hub accepts no files: HUB_FILES_DIR is empty")
        await acks.put_file(await self._files.write(node_id, message.file))
