"""The hub on the network: the only module that knows gRPC.

What was measured and decides the options (grpcio 1.85):

- A second server on a busy port binds silently unless `grpc.so_reuseport` is 0.
- A hub that reads nothing grew to 1.4 GB with 300 nodes by gRPC's own windows; with `grpc.http2.bdp_probe` 0 to 83 MB.
- A server answers GOAWAY too_many_pings to a client that pings more than once in 300 s without data, unless told.
- A behaviour that writes with `context.write` while it reads costs no more than one that yields, and lets the hub speak
  unasked.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
import structlog

from heartbench.hub import wire
from heartbench.hub.clock import SystemClock
from heartbench.hub.config import HubSettings
from heartbench.hub.core import Hub
from heartbench.hub.errors import HubError, NotIntroducedError, OutdatedStreamError
from heartbench.hub.pulse import Pulse
from heartbench.hub.registry import Node
from heartbench.hub.service import NodeService
from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1 import mesh_pb2_grpc as pb_grpc

RECONNECT_AFTER_S = 1.0
NEVER_MS = 2**31 - 1

log = structlog.get_logger()


def server_options(settings: HubSettings) -> list[tuple[str, int]]:
    """Options for gRPC: no shared port, bounded windows, and pings as the nodes like."""
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", settings.window_bytes),
        ("grpc.max_receive_message_length", settings.message_bytes),
        ("grpc.keepalive_time_ms", round(settings.keepalive_s * 1000) or NEVER_MS),
        ("grpc.keepalive_timeout_ms", round(settings.keepalive_timeout_s * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", 1000),
    ]


class NodeMesh(pb_grpc.NodeMeshServicer):
    """What nodes call."""

    def __init__(self, service: NodeService) -> None:
        self._service = service

    async def Connect(  # type: ignore[override]  # (a coroutine that writes, see above)
        self, request_iterator: AsyncIterator[pb.NodeMessage], context: grpc.aio.ServicerContext[Any, Any]
    ) -> None:
        """Control and heartbeats of one node."""
        try:
            await self._service.connect(request_iterator, context.write)
        except OutdatedStreamError as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        except NotIntroducedError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))

    async def Upload(  # type: ignore[override]
        self, request_iterator: AsyncIterator[pb.Chunk], context: grpc.aio.ServicerContext[Any, Any]
    ) -> None:
        """Terminal output of one node."""
        metadata = dict(context.invocation_metadata() or ())
        try:
            await self._service.upload(str(metadata.get("node-id", "")), request_iterator, context.write)
        except NotIntroducedError as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))


class HubAdmin(pb_grpc.HubAdminServicer):
    """What operators call."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def ListNodes(
        self, request: pb.ListNodesRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ListNodesResponse:
        """All nodes, or those of one status, as of the event `last_seq`."""
        nodes = self._hub.registry.nodes.values()
        wanted = (node for node in nodes if request.status in (pb.STATUS_UNSPECIFIED, wire.STATUS[node.status]))
        return pb.ListNodesResponse(
            nodes=[wire.node_info(self._hub, node) for node in wanted],
            epoch=self._hub.epoch,
            last_seq=self._hub.bus.seq,
        )

    async def GetNode(self, request: pb.GetNodeRequest, context: grpc.aio.ServicerContext[Any, Any]) -> pb.NodeInfo:
        """One node."""
        return wire.node_info(self._hub, await self._node(request.node_id, context))

    async def GetHistory(
        self, request: pb.GetHistoryRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.GetHistoryResponse:
        """What a node last said."""
        await self._node(request.node_id, context)
        return pb.GetHistoryResponse(chunks=[wire.chunk(stored) for stored in self._hub.history(request.node_id)])

    async def WatchEvents(
        self, request: pb.WatchEventsRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.Event]:
        """Events from now on."""
        something = asyncio.Event()
        with self._hub.bus.subscribe(request.node_id, something.set) as waiting:
            await context.send_initial_metadata(())  # the subscriber knows by it that it misses nothing from here on
            while True:
                while (event := waiting.take()) is not None:
                    yield wire.event(self._hub, event)
                something.clear()
                await something.wait()

    async def _node(self, node_id: str, context: grpc.aio.ServicerContext[Any, Any]) -> Node:
        node = self._hub.registry.nodes.get(node_id)
        if node is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"the hub never saw a node {node_id!r}")
        return node


class HubServer:
    """A hub that listens. `async with HubServer(settings) as server:` serves until the block ends."""

    def __init__(self, settings: HubSettings) -> None:
        clock = SystemClock()
        self.settings = settings
        self.address = ""
        self.hub = Hub(settings, clock, epoch=round(clock.unix(clock.monotonic()) * 1000))
        self._service = NodeService(self.hub)
        self._pulse = Pulse(self.hub)
        self._server = grpc.aio.server(options=server_options(settings))
        pb_grpc.add_NodeMeshServicer_to_server(NodeMesh(self._service), self._server)
        pb_grpc.add_HubAdminServicer_to_server(HubAdmin(self.hub), self._server)

    async def __aenter__(self) -> "HubServer":
        try:
            port = self._server.add_insecure_port(self.settings.listen)
        except RuntimeError:
            raise HubError(
                f"HUB_LISTEN={self.settings.listen!r} cannot be bound: it is in use or not of this machine; "
                "allowed is a free port (0: any) of an own address"
            ) from None
        self.address = f"{self.settings.listen.rpartition(':')[0]}:{port}"
        await self._server.start()
        self._beating = asyncio.create_task(self._pulse.beat())
        log.info("hub is ready", address=self.address, stale_after_s=self.settings.stale_after_s)
        return self

    async def __aexit__(self, *exception: object) -> None:
        """Judge nobody any more, tell the nodes to come back later, and go."""
        self.hub.end()
        self._beating.cancel()
        self._service.drain(RECONNECT_AFTER_S)
        await self._server.stop(self.settings.drain_s)
        await asyncio.wait([self._beating])
        log.info("hub has stopped", **self._pulse.summary())


async def serve(settings: HubSettings, ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is told the address when nodes can connect."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with HubServer(settings) as server:
        ready(server.address)
        await stop.wait()
