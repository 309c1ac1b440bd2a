"""The calls of operators: request messages in, response messages out, without gRPC. Each has the peer that calls."""

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress

import structlog

from heartbench.hub.clock import Clock
from heartbench.hub.core import Hub
from heartbench.hub.errors import BadMessageError
from heartbench.hub.events.fanout import Event, EventsLost, LogBegan, Subscription
from heartbench.hub.liveness.node import Node
from heartbench.hub.printable import shown
from heartbench.hub.rpc import protobuf_mapping as mapping
from heartbench.hub.rpc.connect import NodeService
from heartbench.hub.rpc.peer import Peer
from heartbench.hub.rpc.upload import UploadService
from heartbench.mesh.v1 import mesh_pb2 as pb

LONGEST_WAIT_S = 86_400.0
STREAMS_END_S = 1.0
PAGE = 1000
"""Nodes in a page at most, and by default."""
LOOKED_AT = 10_000
"""Nodes that a page of one status looks at."""
MESSAGES_KEPT = 256
"""Events that are made into messages once for all subscribers, which takes 8 µs; to serialise one takes 0.5 µs."""

log = structlog.get_logger()


class AdminService:
    """Serves operators. Its methods raise UnknownNodeError for a node that the hub never saw."""

    def __init__(self, hub: Hub, clock: Clock, nodes: NodeService, uploads: UploadService) -> None:
        self._hub = hub
        self._clock = clock
        self._nodes = nodes
        self._uploads = uploads
        self._wakers: set[asyncio.Event] = set()
        self._messages: dict[int, pb.Event] = {}  # of the newest events, by their numbers
        self._closed = False

    def list_nodes(self, _: Peer, request: pb.ListNodesRequest) -> pb.ListNodesResponse:
        """Return a page of the nodes, or of those of one status, as of the event `last_seq`.

        A page begins after the last name that the page before it looked at, so nodes that come and go in between shift
        no others. It costs what is in it, or LOOKED_AT nodes of other statuses: the hub reads nothing meanwhile.
        """
        if request.page_size < 0:
            raise BadMessageError(f"page_size={request.page_size}: must be 0 or more")
        size = min(request.page_size or PAGE, PAGE)
        registry = self._hub.registry
        wanted = {
            status for status, value in mapping.STATUS.items() if request.status in (value, pb.STATUS_UNSPECIFIED)
        }
        names = registry.names_after(name_of(request.page_token), LOOKED_AT + 1)
        found: list[Node] = []
        looked_at = 0
        for name in names[:LOOKED_AT]:
            looked_at += 1
            node = registry.nodes[name]
            if node.status in wanted:
                found.append(node)
                if len(found) == size:
                    break
        token = urlsafe_b64encode(names[looked_at - 1].encode()).decode() if looked_at < len(names) else ""
        infos = [mapping.node_info(self._hub, node, self._clock) for node in found]
        return pb.ListNodesResponse(
            nodes=infos, epoch=self._hub.epoch, last_seq=self._hub.fanout.seq, next_page_token=token
        )

    def get_node(self, _: Peer, request: pb.GetNodeRequest) -> pb.NodeInfo:
        """Return one node."""
        return mapping.node_info(self._hub, self._hub.node(request.node_id), self._clock)

    def get_history(self, _: Peer, request: pb.GetHistoryRequest) -> pb.GetHistoryResponse:
        """Return the newest chunks of a node's terminal output, in pages; dropped ones are missing from later pages."""
        if request.page_size < 0:
            raise BadMessageError(f"page_size={request.page_size}: must be 0 or more")
        self._hub.node(request.node_id)
        newer = self._hub.history(request.node_id).after(mapping.position_of(request.page_token))
        return mapping.history_page(newer, request.page_size)

    @contextmanager
    def watch(self, peer: Peer, request: pb.WatchEventsRequest) -> Iterator[AsyncIterator[pb.Event]]:
        """Subscribe to events, from now on or from the subscriber's last one; the block misses none of them."""
        waker = asyncio.Event()
        after = (request.epoch, request.after_seq) if request.epoch else None
        with self._hub.fanout.subscribe(request.node_id, waker.set, after, peer.key) as subscription:
            self._wakers.add(waker)
            try:
                yield self._events(subscription, waker)
            finally:
                self._wakers.discard(waker)

    def close(self) -> None:
        """End all subscriptions after the events that are queued for them."""
        self._closed = True
        for waker in self._wakers:
            waker.set()

    async def send_command(self, peer: Peer, request: pb.SendCommandRequest) -> pb.SendCommandResponse:
        """Send a command to a node and wait for the answer; NoRoomError if too many wait for it."""
        if not 0 < request.within_s <= LONGEST_WAIT_S:
            raise BadMessageError(f"within_s={request.within_s:g}: must be over 0 and up to {LONGEST_WAIT_S:g} s")
        node = self._hub.node(request.node_id)
        command_id, outcome, answer = await self._hub.commands.run(node.node_id, request.payload, request.within_s)
        log.info("command", node_id=node.node_id, command_id=command_id, outcome=outcome.value, operator=str(peer))
        return mapping.command_response(command_id, outcome, answer)

    async def forget_node(self, peer: Peer, request: pb.ForgetNodeRequest) -> pb.ForgetNodeResponse:
        """Remove a node for good."""
        node_id = self._hub.node(request.node_id).node_id
        log.info("forget node", node_id=node_id, operator=str(peer))
        await self.forget(node_id)
        return pb.ForgetNodeResponse()

    async def forget(self, node_id: str) -> None:
        """End a node's streams and then remove it, so that no message under way brings it back."""
        await self._end_streams(node_id)
        self._nodes.close(node_id)  # the node may have come back meanwhile
        self._hub.forget(node_id, self._clock.monotonic())
        await self._uploads.forget_files(node_id)

    async def forget_expired(self) -> None:
        """Remove the nodes that were silent for longer than HUB_FORGET_AFTER.

        Each one's streams get time to end, in which it and the others may return or be forgotten.
        """
        for node_id in self._hub.expired_nodes(self._clock.monotonic()):
            if self._hub.is_expired(node_id, self._clock.monotonic()):
                await self._end_streams(node_id)
            if self._hub.is_expired(node_id, now := self._clock.monotonic()):
                self._hub.forget(node_id, now)
                await self._uploads.forget_files(node_id)

    async def _end_streams(self, node_id: str) -> None:
        self._nodes.close(node_id)
        with suppress(TimeoutError):
            async with asyncio.timeout(STREAMS_END_S):
                await self._uploads.close_node(node_id)

    def debug_node(self, peer: Peer, request: pb.DebugNodeRequest) -> pb.DebugNodeResponse:
        """Begin or stop logging each message of one node."""
        node_id = self._hub.node(request.node_id).node_id
        log.info("debug node", node_id=node_id, on=request.on, operator=str(peer))
        self._hub.effects.debug(node_id, request.on)
        return pb.DebugNodeResponse()

    async def _events(self, subscription: Subscription, waker: asyncio.Event) -> AsyncIterator[pb.Event]:
        while True:
            while (event := subscription.take()) is not None:
                yield self._message(event)
            if self._closed:
                return
            waker.clear()
            await waker.wait()

    def _message(self, event: Event) -> pb.Event:
        """Return an event as a message: one for all subscribers."""
        if isinstance(event.body, EventsLost | LogBegan):  # of one subscriber, and without a number of its own
            return mapping.event(event, self._hub.epoch, self._clock)
        message = self._messages.get(event.seq)
        if message is None:
            message = self._messages[event.seq] = mapping.event(event, self._hub.epoch, self._clock)
            if len(self._messages) > MESSAGES_KEPT:
                del self._messages[next(iter(self._messages))]
        return message


def name_of(token: str) -> str:
    """Return the node after which a page begins; BadMessageError for a token that the hub did not issue."""
    try:
        return urlsafe_b64decode(token.encode()).decode()
    except ValueError:
        raise BadMessageError(f"page_token={shown(token)}: must be a next_page_token, or empty") from None
