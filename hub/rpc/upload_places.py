"""The places for Upload streams: who may open one more, and which stream gives way.

A stream gives way to a newer one of its node, so that a connection that died without a word (power loss, a lost route)
does not hold the places of its node until TCP notices:

- A Hello of another boot ends the Uploads of the boot before: what they carry is refused anyway.
- A Hello on another TCP connection than the Connect stream that it replaces ends the Uploads on that connection.
- An Upload over HUB_UPLOADS_PER_NODE takes the place of the one of its node that was silent longest, if that came on
  another connection. On one connection it is refused: a client that opens too many would otherwise end its own.
- If all places are taken, one that has sent nothing for HUB_HELLO_WITHIN_S gives way to any newcomer; if those of a
  peer's share are, one of that peer.

And it ends by itself if it sends nothing for HUB_HELLO_WITHIN_S while its node has no Connect stream: nobody holds
places without introducing nodes, of which one peer may have so many. An idle Upload of a connected node stays open as
long as others find room. A stream that the hub does not read, because the store is slow, is not idle.

A stream that gives way has no place from then on, and ends without sending what is queued for it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from heartbench.hub.config import HubSettings
from heartbench.hub.errors import HubError, NoRoomError, NotIntroducedError, ReplacedStreamError
from heartbench.hub.printable import shown
from heartbench.hub.rpc.peer import Peer
from heartbench.hub.rpc.task_scope import CancelScope
from heartbench.hub.work.budget import Budget
from heartbench.hub.work.shares import Shares
from heartbench.mesh.v1.mesh_pb2 import Chunk

CHUNKS_OF_A_NODE = 10_000
"""Unacknowledged chunks of a node, including empty ones."""


@dataclass(slots=True, eq=False)
class NodeUploads:
    """The Upload streams of one node, oldest first, and the room that they share."""

    room: Budget
    open: "dict[Place, None]" = field(default_factory=dict)
    none_open: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True, eq=False)
class Place:
    """One open Upload stream."""

    node_id: str
    peer: Peer
    uploads: NodeUploads
    heard_s: float  # last message, or the start
    boot_id: int | None = None  # of the last message
    waits: bool = False  # for the node's next message
    scope: CancelScope = field(default_factory=CancelScope)
    error: HubError | None = None

    @property
    def room(self) -> Budget:
        """The room that the node's streams share."""
        return self.uploads.room

    def give_way(self, error: HubError) -> None:
        """Stop reading; `check` then raises `error`."""
        self.error = self.error or error
        self.scope.cancel()

    def check(self) -> None:
        """Raise the error with which another stream ended this one, if any."""
        if self.error is not None:
            raise self.error


class UploadPlaces:
    """The open Upload streams of all nodes.

    `now` returns the monotonic time in s, `connected` whether a node has a Connect stream.
    """

    def __init__(self, settings: HubSettings, now: Callable[[], float], connected: Callable[[str], bool]) -> None:
        self.settings = settings
        self._now = now
        self._connected = connected
        self._nodes: dict[str, NodeUploads] = {}
        self._open: dict[Place, None] = {}  # the one that was silent longest first
        self._of_peer = Shares(settings.max_uploads, settings.peer_share)

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def take(self, peer: Peer, node_id: str) -> Iterator[Place]:
        """Take a place for one more stream; raise NoRoomError if there is none."""
        settings = self.settings
        uploads = self._nodes.get(node_id)
        if uploads is not None and len(uploads.open) >= settings.uploads_per_node:
            self._replace_one(uploads, node_id, peer)
        if self._of_peer.is_full(peer.key):
            self._reclaim_one(peer.key)
        self._of_peer.check(peer.key, "Upload streams")
        if len(self._open) >= settings.max_uploads and not self._reclaim_one():
            raise NoRoomError(f"{len(self._open)} Upload streams are open; HUB_MAX_INFLIGHT_BYTES allows no more")
        if node_id not in self._nodes:
            self._nodes[node_id] = NodeUploads(Budget(CHUNKS_OF_A_NODE, settings.node_inflight_bytes))
        place = Place(node_id, peer, self._nodes[node_id], self._now())
        place.uploads.open[place] = self._open[place] = None
        self._of_peer.add(peer.key)
        try:
            yield place
        finally:
            self._leave(place)

    async def messages(self, place: Place, chunks: AsyncIterator[Chunk]) -> AsyncIterator[Chunk]:
        """Yield the messages of a stream, and note when they come and of which boot they are."""
        place.waits = True
        async for chunk in chunks:
            place.waits = False
            place.heard_s = self._now()
            place.boot_id = chunk.boot_id
            if place in self._open:
                del self._open[place]
                self._open[place] = None
            yield chunk
            place.waits = True

    def replaced(self, node_id: str, boot_id: int, old: Peer | None, new: Peer) -> None:
        """End the Uploads that a node's newest Hello makes obsolete; `old` is the peer of the stream it replaced."""
        uploads = self._nodes.get(node_id)
        for place in list(uploads.open) if uploads is not None else ():
            of_another_boot = place.boot_id not in (None, boot_id)
            if of_another_boot or (place.peer == old and place.peer != new):
                name = shown(node_id)
                self._end(place, ReplacedStreamError(f"node {name}: a newer Hello, from {new}, ended this Upload"))

    def end_idle(self) -> None:
        """End the streams that are idle while their node has no Connect stream; called about once a second."""
        for place in [place for place in self._idle() if not self._connected(place.node_id)]:
            within_s = self.settings.hello_within_s
            where = f"node {shown(place.node_id)} at {place.peer}"
            self._end(place, NotIntroducedError(f"{where}: no Connect stream, and nothing came within {within_s:g} s"))

    def close(self) -> None:
        """Stop reading all streams; what they have admitted is still acknowledged."""
        for place in self._open:
            place.scope.cancel()

    async def close_node(self, node_id: str) -> None:
        """End the streams of one node and wait until they have ended."""
        uploads = self._nodes.get(node_id)
        if uploads is not None:
            for place in uploads.open:
                place.scope.cancel()
            await uploads.none_open.wait()

    def _replace_one(self, uploads: NodeUploads, node_id: str, peer: Peer) -> None:
        others = [place for place in uploads.open if place.peer != peer]
        if not others:
            raise NoRoomError(
                f"node {shown(node_id)} at {peer} has {len(uploads.open)} Upload streams on this connection; "
                "HUB_UPLOADS_PER_NODE allows no more"
            )
        silent = min(others, key=lambda place: place.heard_s)
        self._end(silent, ReplacedStreamError(f"node {shown(node_id)}: a newer Upload, from {peer}, replaced this one"))

    def _reclaim_one(self, peer: str | None = None) -> bool:
        """End a stream that is idle, if need be one of this peer, and return whether there was one."""
        place = next((place for place in self._idle() if peer in (None, place.peer.key)), None)
        if place is not None:
            self._end(place, NoRoomError("idle, and all Upload streams are taken: open another when there is output"))
        return place is not None

    def _idle(self) -> Iterator[Place]:
        """Yield the streams that sent nothing for `hello_within_s`, although the hub reads them."""
        before_s = self._now() - self.settings.hello_within_s
        for place in self._open:
            if place.heard_s >= before_s:
                return
            if place.waits:
                yield place

    def _end(self, place: Place, error: HubError) -> None:
        place.give_way(error)
        self._leave(place)

    def _leave(self, place: Place) -> None:
        """Release the place, once."""
        uploads = place.uploads
        if place in uploads.open:
            del uploads.open[place], self._open[place]
            self._of_peer.remove(place.peer.key)
            if not uploads.open and self._nodes.get(place.node_id) is uploads:
                del self._nodes[place.node_id]
                uploads.none_open.set()
