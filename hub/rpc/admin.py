"""What an operator can ask of the hub and have it do: messages in, messages out, without gRPC."""

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from heapq import nsmallest
from operator import attrgetter

from heartbench.hub.clock import Clock
from heartbench.hub.core import Hub
from heartbench.hub.errors import BadMessageError
from heartbench.hub.events.fanout import Subscription
from heartbench.hub.rpc import protobuf_mapping as wire
from heartbench.hub.rpc.connect import NodeService
from heartbench.hub.rpc.upload import UploadService
from heartbench.hub.stats import HubStats
from heartbench.mesh.v1 import mesh_pb2 as pb

LONGEST_WAIT_S = 86_400.0
STREAMS_END_S = 1.0
LARGEST_PAGE = 10_000


class AdminService:
    """Answers operators; `stats` returns the hub's figures. UnknownNodeError for a node that the hub never saw."""

    def __init__(
        self, hub: Hub, clock: Clock, nodes: NodeService, uploads: UploadService, stats: Callable[[], HubStats]
    ) -> None:
        self._stats = stats
        self._hub = hub
        self._clock = clock
        self._nodes = nodes
        self._uploads = uploads
        self._watching: set[asyncio.Event] = set()
        self._closed = False

    def list_nodes(self, request: pb.ListNodesRequest) -> pb.ListNodesResponse:
        """All nodes, or those of one status, as they are after the event `last_seq`; in pages where that is asked for.

        A page goes on after the last name of the one before: nodes that come and go meanwhile shift nobody.
        """
        after = name_of(request.page_token)
        nodes = self._hub.registry.nodes.values()
        wanted = [node for node in nodes if request.status in (pb.STATUS_UNSPECIFIED, wire.STATUS[node.status])]
        token = ""
        if request.page_size or after:
            size = page_size(request.page_size)
            page = nsmallest(size + 1, (node for node in wanted if node.node_id > after), key=attrgetter("node_id"))
            wanted, more = page[:size], page[size:]
            token = token_of(wanted[-1].node_id) if more else ""
        infos = [wire.node_info(self._hub, node, self._clock) for node in wanted]
        return pb.ListNodesResponse(
            nodes=infos, epoch=self._hub.epoch, last_seq=self._hub.fanout.seq, next_page_token=token
        )

    def stats(self) -> pb.HubStats:
        """Return the hub's figures."""
        return wire.hub_stats(self._stats())

    def get_node(self, request: pb.GetNodeRequest) -> pb.NodeInfo:
        """One node."""
        return wire.node_info(self._hub, self._hub.node(request.node_id), self._clock)

    def get_history(self, request: pb.GetHistoryRequest) -> pb.GetHistoryResponse:
        """What a node last said."""
        self._hub.node(request.node_id)
        chunks = [wire.chunk(stored) for stored in self._hub.history(request.node_id)]
        return pb.GetHistoryResponse(chunks=chunks)

    @contextmanager
    def watch(self, request: pb.WatchEventsRequest) -> Iterator[AsyncIterator[pb.Event]]:
        """Events from now on, or from where the subscriber was, until the hub ends; in the block none is missed."""
        something = asyncio.Event()
        after = (request.epoch, request.after_seq) if request.epoch else None
        with self._hub.fanout.subscribe(request.node_id, something.set, after) as waiting:
            self._watching.add(something)
            try:
                yield self._events(waiting, something)
            finally:
                self._watching.discard(something)

    def close(self) -> None:
        """Let those who watch read what waits for them, and end."""
        self._closed = True
        for something in self._watching:
            something.set()

    async def send_command(self, request: pb.SendCommandRequest) -> pb.SendCommandResponse:
        """Have a node carry something out; NoRoomError if too much waits for it."""
        if not 0 < request.within_s <= LONGEST_WAIT_S:
            raise BadMessageError(f"within_s={request.within_s:g}: allowed is more than 0, up to {LONGEST_WAIT_S:g} s")
        node = self._hub.node(request.node_id)
        command_id, outcome, answer = await self._hub.commands.run(node.node_id, request.payload, request.within_s)
        response = pb.SendCommandResponse(command_id=command_id, outcome=wire.OUTCOME[outcome])
        if answer is not None:
            response.result.CopyFrom(
                pb.CommandResult(command_id=command_id, payload=answer.payload, error=answer.error)
            )
        return response

    async def forget_node(self, request: pb.ForgetNodeRequest) -> pb.ForgetNodeResponse:
        """Remove a node for good."""
        await self.forget(self._hub.node(request.node_id).node_id)
        return pb.ForgetNodeResponse()

    async def forget(self, node_id: str) -> None:
        """End a node's streams, and then remove it: what is still under way must not bring it back."""
        self._nodes.close(node_id)
        with suppress(TimeoutError):
            async with asyncio.timeout(STREAMS_END_S):
                await self._uploads.close_node(node_id)
        self._hub.forget(node_id, self._clock.monotonic())

    async def forget_expired(self) -> None:
        """Remove the nodes that were silent for longer than the settings allow."""
        for node_id in self._hub.expired_nodes(self._clock.monotonic()):
            await self.forget(node_id)

    def debug_node(self, request: pb.DebugNodeRequest) -> pb.DebugNodeResponse:
        """Log each message of one node, or no longer."""
        self._hub.effects.debug(self._hub.node(request.node_id).node_id, request.on)
        return pb.DebugNodeResponse()

    async def _events(self, waiting: Subscription, something: asyncio.Event) -> AsyncIterator[pb.Event]:
        while True:
            while (event := waiting.take()) is not None:
                yield wire.event(event, self._hub.epoch, self._clock)
            if self._closed:
                return
            something.clear()
            await something.wait()


def page_size(asked: int) -> int:
    """Nodes of a page, of what was asked for; 0: not said."""
    if asked < 0:
        raise BadMessageError(f"page_size={asked}: allowed is 0 or more")
    return min(asked, LARGEST_PAGE) or LARGEST_PAGE


def token_of(node_id: str) -> str:
    """What names the page after this node."""
    return urlsafe_b64encode(node_id.encode()).decode()


def name_of(token: str) -> str:
    """The node after which a page begins; BadMessageError if the token is none that was given out."""
    try:
        return urlsafe_b64decode(token.encode()).decode()
    except ValueError:
        raise BadMessageError(f"page_token={token[:64]!r}: allowed is a next_page_token, or nothing") from None
