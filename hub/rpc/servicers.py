"""The services on gRPC: each call is passed on to its service, and the service's errors become status codes.

A method that writes with `context.write` while it reads costs no more than one that yields (measured with grpcio 1.85),
and lets the hub send without being asked.
"""

from asyncio import CancelledError
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from inspect import isawaitable
from typing import Any
from urllib.parse import unquote

import grpc
import grpc.aio
import structlog
from google.protobuf.message import Message

from heartbench.hub import errors
from heartbench.hub.errors import HubError
from heartbench.hub.rpc.admin import AdminService
from heartbench.hub.rpc.connect import NodeService
from heartbench.hub.rpc.message_size import check_size
from heartbench.hub.rpc.peer import Peer
from heartbench.hub.rpc.protobuf_mapping import hub_stats
from heartbench.hub.rpc.upload import UploadService
from heartbench.hub.security.gate import Gate
from heartbench.hub.stats import HubStats
from heartbench.hub.store.received_files import FileRefusedError
from heartbench.hub.work.executor import ExecutorFullError
from heartbench.mesh.encoding import node_id_of
from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1 import mesh_pb2_grpc as pb_grpc

CODES = {
    errors.BadMessageError: grpc.StatusCode.INVALID_ARGUMENT,
    FileRefusedError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotIntroducedError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.OutdatedStreamError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.OutOfOrderError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.ReplacedStreamError: grpc.StatusCode.ABORTED,
    errors.NoRoomError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    ExecutorFullError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.UnknownNodeError: grpc.StatusCode.NOT_FOUND,
    errors.UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
    errors.NotAllowedError: grpc.StatusCode.PERMISSION_DENIED,
}
"""The status code of each error; all others are UNAVAILABLE."""

LOST = 'Failed "execute_batch"'
"""How gRPC's error begins if the client went while a message to it was being written."""

log = structlog.get_logger()

Context = grpc.aio.ServicerContext[Any, Any]


class Calls:
    """The frame of each call: who calls, and which status code its error becomes."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    @asynccontextmanager
    async def begin(self, context: Context, *, operator: bool = False) -> AsyncIterator[Peer]:
        """Open the block of a call, which knows its peer; a HubError in it ends the call with a status code."""
        address = address_of(context)
        try:
            peer = Peer(address, self._gate.identities(context.auth_context(), context.invocation_metadata()))
            if operator:
                peer.require_operator()
            yield peer
        except HubError as error:
            log.debug("call failed", peer=address, error=str(error))
            self._gate.note(address, error)
            await context.abort(CODES.get(type(error), grpc.StatusCode.UNAVAILABLE), str(error))
        except grpc.aio.InternalError as error:
            if not str(error).startswith(LOST):
                raise
            raise CancelledError from None  # which is what gRPC itself does once it knows that the client has gone


def address_of(context: Context) -> str:
    """Return the caller's address; gRPC writes it as ipv4:HOST:PORT, or with the host in %5B…%5D for IPv6."""
    return unquote(context.peer()).partition(":")[2]


class NodeMesh(pb_grpc.NodeMeshServicer):
    """The calls of nodes."""

    def __init__(self, calls: Calls, nodes: NodeService, uploads: UploadService) -> None:
        self._calls = calls
        self._nodes = nodes
        self._uploads = uploads

    async def Connect(  # type: ignore[override]  # (a coroutine that writes, see above)
        self, request_iterator: AsyncIterator[pb.NodeMessage], context: Context
    ) -> None:
        """Serve control messages and heartbeats of one node."""
        async with self._calls.begin(context) as peer:
            await self._nodes.connect(peer, request_iterator, context.write)

    async def Upload(  # type: ignore[override]
        self, request_iterator: AsyncIterator[pb.Chunk], context: Context
    ) -> None:
        """Serve terminal output and files of one node."""
        node_id = node_id_of(context.invocation_metadata())
        async with self._calls.begin(context) as peer:
            peer.require_node(node_id)
            await self._uploads.upload(peer, node_id, request_iterator, context.write)


def unary(method: Callable[[AdminService, Peer, Any], object]) -> Any:
    """Return the call that a method of AdminService answers, at once or when it is awaited."""

    async def call(self: "HubAdmin", request: Message, context: Context) -> object:
        async with self.calls.begin(context, operator=True) as peer:
            check_size(request, self.message_bytes)
            answer = method(self.admin, peer, request)
            return await answer if isawaitable(answer) else answer

    return call


class HubAdmin(pb_grpc.HubAdminServicer):
    """The calls of operators."""

    def __init__(self, calls: Calls, admin: AdminService, stats: Callable[[], HubStats], message_bytes: int) -> None:
        self.calls = calls
        self.admin = admin
        self.message_bytes = message_bytes
        self._stats = stats

    ListNodes = unary(AdminService.list_nodes)
    GetNode = unary(AdminService.get_node)
    GetHistory = unary(AdminService.get_history)
    SendCommand = unary(AdminService.send_command)
    ForgetNode = unary(AdminService.forget_node)
    DebugNode = unary(AdminService.debug_node)

    async def WatchEvents(self, request: pb.WatchEventsRequest, context: Context) -> AsyncIterator[pb.Event]:
        """Stream events; the initial metadata is sent when the subscription has begun."""
        async with self.calls.begin(context, operator=True) as peer:
            with self.admin.watch(peer, request) as events:
                await context.send_initial_metadata(())
                async for event in events:
                    yield event

    async def GetStats(self, request: pb.GetStatsRequest, context: Context) -> pb.HubStats:
        """Return the hub's figures."""
        async with self.calls.begin(context, operator=True):
            return hub_stats(self._stats())
