"""The calls of operators: request messages in, response messages out, without gRPC. Each has the peer that calls."""

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from heapq import nsmallest
from operator import attrgetter

import structlog

from heartbench.hub.clock import Clock
from heartbench.hub.core import Hub
from heartbench.hub.errors import BadMessageError, shown
from heartbench.hub.events.fanout import Subscription
from heartbench.hub.rpc import protobuf_mapping as mapping
from heartbench.hub.rpc.connect import NodeService
from heartbench.hub.rpc.peer import Peer
from heartbench.hub.rpc.upload import UploadService
from heartbench.mesh.v1 import mesh_pb2 as pb

LONGEST_WAIT_S = 86_400.0
STREAMS_END_S = 1.0
LARGEST_PAGE = 10_000

log = structlog.get_logger()


class AdminService:
    """Serves operators. Its methods raise UnknownNodeError for a node that the hub never saw."""

    def __init__(self, hub: Hub, clock: Clock, nodes: NodeService, uploads: UploadService) -> None:
        self._hub = hub
        self._clock = clock
        self._nodes = nodes
        self._uploads = uploads
        self._wakers: set[asyncio.Event] = set()
        self._closed = False

    def list_nodes(self, _: Peer, request: pb.ListNodesRequest) -> pb.ListNodesResponse:
        """Return all nodes, or those of one status, as of the event `last_seq`; in pages if the request asks for them.

        A page begins after the last name of the page before it, so nodes that come and go in between shift no others.
        """
        if request.page_size < 0:
            raise BadMessageError(f"page_size={request.page_size}: must be 0 or more")
        after = name_of(request.page_token)
        nodes = self._hub.registry.nodes.values()
        wanted = [node for node in nodes if request.status in (pb.STATUS_UNSPECIFIED, mapping.STATUS[node.status])]
        token = ""
        if request.page_size or after:
            size = min(request.page_size, LARGEST_PAGE) or LARGEST_PAGE
            page = nsmallest(size + 1, (node for node in wanted if node.node_id > after), key=attrgetter("node_id"))
            wanted, more = page[:size], page[size:]
            token = urlsafe_b64encode(wanted[-1].node_id.encode()).decode() if more else ""
        infos = [mapping.node_info(self._hub, node, self._clock) for node in wanted]
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
        return mapping.history_page(newer, request.page_size or LARGEST_PAGE)

    @contextmanager
    def watch(self, request: pb.WatchEventsRequest) -> Iterator[AsyncIterator[pb.Event]]:
        """Subscribe to events, from now on or from the subscriber's last one; the block misses none of them."""
        waker = asyncio.Event()
        after = (request.epoch, request.after_seq) if request.epoch else None
        with self._hub.fanout.subscribe(request.node_id, waker.set, after) as subscription:
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
        self._nodes.close(node_id)
        with suppress(TimeoutError):
            async with asyncio.timeout(STREAMS_END_S):
                await self._uploads.close_node(node_id)
        self._hub.forget(node_id, self._clock.monotonic())
        await self._uploads.forget_files(node_id)

    async def forget_expired(self) -> None:
        """Remove the nodes that were silent for longer than HUB_FORGET_AFTER."""
        for node_id in self._hub.expired_nodes(self._clock.monotonic()):
            await self.forget(node_id)

    def debug_node(self, peer: Peer, request: pb.DebugNodeRequest) -> pb.DebugNodeResponse:
        """Begin or stop logging each message of one node."""
        node_id = self._hub.node(request.node_id).node_id
        log.info("debug node", node_id=node_id, on=request.on, operator=str(peer))
        self._hub.effects.debug(node_id, request.on)
        return pb.DebugNodeResponse()

    async def _events(self, subscription: Subscription, waker: asyncio.Event) -> AsyncIterator[pb.Event]:
        while True:
            while (event := subscription.take()) is not None:
                yield mapping.event(event, self._hub.epoch, self._clock)
            if self._closed:
                return
            waker.clear()
            await waker.wait()


def name_of(token: str) -> str:
    """Return the node after which a page begins; BadMessageError for a token that the hub did not issue."""
    try:
        return urlsafe_b64decode(token.encode()).decode()
    except ValueError:
        raise BadMessageError(f"page_token={shown(token)}: must be a next_page_token, or empty") from None
