"""The hub on the network: the only module that knows gRPC.

What was measured and decides the options (grpcio 1.85):

- A second server on a busy port binds silently unless `grpc.so_reuseport` is 0.
- A hub that reads nothing grew to 1.4 GB with 300 nodes by gRPC's own windows; with `grpc.http2.bdp_probe` 0 to 83 MB.
- A server answers GOAWAY too_many_pings to a client that pings more than once in 300 s without data, unless told.
- A behaviour that writes with `context.write` while it reads costs no more than one that yields, and lets the hub speak
  unasked.
"""

import asyncio
import errno
import gc
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc
import grpc.aio
import structlog

from heartbench.hub.clock import SystemClock
from heartbench.hub.composition import open_hub
from heartbench.hub.config import HubSettings
from heartbench.hub.errors import (
    BadMessageError,
    HubError,
    NoRoomError,
    NotIntroducedError,
    OutdatedStreamError,
    ReplacedStreamError,
    UnknownNodeError,
)
from heartbench.hub.rpc.admin import AdminService
from heartbench.hub.rpc.connect import NodeService
from heartbench.hub.rpc.upload import Files, UploadService
from heartbench.hub.stats import HubStats, stats_of, summary
from heartbench.hub.store import StoreHealth, open_store
from heartbench.hub.store.received_files import FileReceiver, FileRefusedError
from heartbench.hub.ticker import Ticker
from heartbench.hub.work.executor import BoundedExecutor, ExecutorFullError
from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1 import mesh_pb2_grpc as pb_grpc

RECONNECT_AFTER_S = 1.0
FINISH_S = 1.5
FLUSH_INTERVAL_S = 1.0
FORGET_INTERVAL_S = 60.0
NEVER_MS = 2**31 - 1
STREAMS_OF_A_CONNECTION = 100

CODES = {
    BadMessageError: grpc.StatusCode.INVALID_ARGUMENT,
    FileRefusedError: grpc.StatusCode.INVALID_ARGUMENT,
    NotIntroducedError: grpc.StatusCode.FAILED_PRECONDITION,
    OutdatedStreamError: grpc.StatusCode.FAILED_PRECONDITION,
    ReplacedStreamError: grpc.StatusCode.ABORTED,
    NoRoomError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    ExecutorFullError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    UnknownNodeError: grpc.StatusCode.NOT_FOUND,
}
"""What an error is called on the wire; all others mean that the hub cannot now."""

log = structlog.get_logger()

Context = grpc.aio.ServicerContext[Any, Any]


def server_options(settings: HubSettings) -> list[tuple[str, int]]:
    """Options for gRPC: no shared port, bounded windows, and pings as the nodes like."""
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", settings.window_bytes),
        ("grpc.max_receive_message_length", settings.message_bytes),
        ("grpc.max_concurrent_streams", STREAMS_OF_A_CONNECTION),
        ("grpc.keepalive_time_ms", round(settings.keepalive_s * 1000) or NEVER_MS),
        ("grpc.keepalive_timeout_ms", round(settings.keepalive_timeout_s * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", 1000),
    ]


@asynccontextmanager
async def told(context: Context) -> AsyncIterator[None]:
    """Tell the one who called what went wrong."""
    try:
        yield
    except HubError as error:
        await context.abort(CODES.get(type(error), grpc.StatusCode.UNAVAILABLE), str(error))


class NodeMesh(pb_grpc.NodeMeshServicer):
    """What nodes call."""

    def __init__(self, nodes: NodeService, uploads: UploadService) -> None:
        self._nodes = nodes
        self._uploads = uploads

    async def Connect(  # type: ignore[override]  # (a coroutine that writes, see above)
        self, request_iterator: AsyncIterator[pb.NodeMessage], context: Context
    ) -> None:
        """Control and heartbeats of one node."""
        async with told(context):
            await self._nodes.connect(request_iterator, context.write)

    async def Upload(  # type: ignore[override]
        self, request_iterator: AsyncIterator[pb.Chunk], context: Context
    ) -> None:
        """Terminal output and files of one node."""
        node_id = str(dict(context.invocation_metadata() or ()).get("node-id", ""))
        async with told(context):
            await self._uploads.upload(node_id, request_iterator, context.write)


class HubAdmin(pb_grpc.HubAdminServicer):
    """What operators call."""

    def __init__(self, admin: AdminService) -> None:
        self._admin = admin

    async def ListNodes(self, request: pb.ListNodesRequest, context: Context) -> pb.ListNodesResponse:
        """All nodes, or those of one status; all at once or in pages."""
        async with told(context):
            return self._admin.list_nodes(request)

    async def GetNode(self, request: pb.GetNodeRequest, context: Context) -> pb.NodeInfo:
        """One node."""
        async with told(context):
            return self._admin.get_node(request)

    async def GetHistory(self, request: pb.GetHistoryRequest, context: Context) -> pb.GetHistoryResponse:
        """What a node last said."""
        async with told(context):
            return self._admin.get_history(request)

    async def WatchEvents(self, request: pb.WatchEventsRequest, context: Context) -> AsyncIterator[pb.Event]:
        """Events from now on, or from where the subscriber was; once the metadata has come, it misses none."""
        async with told(context):
            with self._admin.watch(request) as events:
                await context.send_initial_metadata(())
                async for event in events:
                    yield event

    async def SendCommand(self, request: pb.SendCommandRequest, context: Context) -> pb.SendCommandResponse:
        """Have a node carry something out."""
        async with told(context):
            return await self._admin.send_command(request)

    async def GetStats(self, request: pb.GetStatsRequest, context: Context) -> pb.HubStats:
        """The hub's figures."""
        return self._admin.stats()

    async def ForgetNode(self, request: pb.ForgetNodeRequest, context: Context) -> pb.ForgetNodeResponse:
        """Remove a node for good."""
        async with told(context):
            return await self._admin.forget_node(request)

    async def DebugNode(self, request: pb.DebugNodeRequest, context: Context) -> pb.DebugNodeResponse:
        """Log each message of one node, or no longer."""
        async with told(context):
            return self._admin.debug_node(request)


class HubServer:
    """A hub that listens. `async with HubServer(settings) as server:` serves until the block ends."""

    def __init__(self, settings: HubSettings) -> None:
        self.settings = settings
        self.address = ""
        self._clock = SystemClock()

    async def __aenter__(self) -> "HubServer":
        """Begin to listen; HubError if the address, the store or the folder for files cannot be used."""
        self._server = grpc.aio.server(options=server_options(self.settings))
        try:
            # Before the store: opening it puts an end to another hub that has it, and this one may be no hub at all.
            self.address = bind(self._server, self.settings.listen)
            self._assemble()
        except HubError:
            await self._server.stop(None)
            raise
        work = self.hub.writer.run(self.hub.all_nodes, self._store_changed), self._ticker.run(), self._forget_expired()
        self._tasks = [asyncio.create_task(one) for one in work]
        if self._files:
            self._files.executor.start()
        await self._server.start()
        log.info("hub is ready", address=self.address, epoch=self.hub.epoch, nodes=len(self.hub.registry.nodes))
        return self

    async def __aexit__(self, *exception: object) -> None:
        """Judge nobody any more, tell the nodes to come back later, store what is left, and go."""
        self.hub.end(self._clock.monotonic())
        self._nodes.drain(RECONNECT_AFTER_S)
        self._uploads.close()
        self._admin.close()
        await self._server.stop(self.settings.drain_s)
        await self._finish_work()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        log.info("hub has stopped", **summary(self.stats(), None))

    async def run_until(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set; raises what put an end to the hub before, as another hub that took its store."""
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([stopping, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        for task in self._tasks:
            if task.done():
                task.result()

    def stats(self) -> HubStats:
        """Return the hub's figures now."""
        executor = self._files.executor if self._files else None
        return stats_of(self.hub, self._clock.monotonic(), len(self._uploads), executor)

    def _assemble(self) -> None:
        settings = self.settings
        self._files = files_of(settings)
        store = open_store(settings.store_url, settings.store_durability, settings.store_ttl_s)
        try:
            self.hub = open_hub(settings, self._clock, store)
        except BaseException:
            store.close()
            raise
        self._nodes = NodeService(self.hub, self._clock)
        self._uploads = UploadService(self.hub, self._clock, self._files)
        self._admin = AdminService(self.hub, self._clock, self._nodes, self._uploads, self.stats)
        self._summarised: HubStats | None = None
        self._ticker = Ticker(self.hub, self._clock)
        self._ticker.every(FLUSH_INTERVAL_S, self.hub.effects.flush)
        self._ticker.every(settings.summary_interval_s, self._summarise)
        pb_grpc.add_NodeMeshServicer_to_server(NodeMesh(self._nodes, self._uploads), self._server)
        pb_grpc.add_HubAdminServicer_to_server(HubAdmin(self._admin), self._server)

    def _store_changed(self, health: StoreHealth) -> None:
        self.hub.store_changed(health, self._clock.monotonic())

    async def _forget_expired(self) -> None:
        while True:
            await asyncio.sleep(FORGET_INTERVAL_S)
            await self._admin.forget_expired()

    def _summarise(self) -> None:
        stats = self.stats()
        log.info("summary", **summary(stats, self._summarised))
        self._summarised = stats

    async def _finish_work(self) -> None:
        """Give store and executor a while for what was taken in; the nodes still have what was not acknowledged."""
        with suppress(TimeoutError, HubError):
            async with asyncio.timeout(FINISH_S):
                if self._files:
                    await self._files.executor.close()
                await self.hub.writer.flush()


def bind(server: grpc.aio.Server, listen: str) -> str:
    """Have the server listen; HOST:PORT with the port that it got."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    shown = f"[{host}]" if ":" in host else host
    # Tried first: where gRPC cannot have an address, it logs a line before it says so.
    if has_free_address(host, int(port)):
        with suppress(RuntimeError):
            return f"{shown}:{server.add_insecure_port(f'{shown}:{port}')}"
    raise HubError(
        f"HUB_LISTEN={listen!r} cannot be bound: it is in use or not of this machine; "
        "allowed is a free port (0: any) of an own address"
    )


def has_free_address(host: str, port: int) -> bool:
    """Whether any address of `host` can be bound, as gRPC binds it, by this program."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        return False
    return any(is_free(family, address) for family, _, _, _, address in found)


def is_free(family: int, address: Any) -> bool:
    """Whether a socket can be bound to `address`; said as well where it is IPv6 and gRPC will have to do without."""
    try:
        with socket.socket(family) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        return error.errno == errno.EAFNOSUPPORT
    return True


def files_of(settings: HubSettings) -> Files | None:
    """Where files go, if any are taken."""
    if settings.files_dir is None:
        return None
    executor = BoundedExecutor(settings.executor_workers, settings.executor_queue, settings.executor_policy)
    receiver = FileReceiver(settings.files_dir, settings.file_bytes)
    return Files(receiver, executor, settings.max_inflight_bytes // 4)


def collect_less_garbage() -> None:
    """Have Python look for cycles less often; for a process that is a hub and nothing else.

    What a message leaves behind is freed by its reference counts. At 4,000 chunks/s of 2,000 nodes the search for
    cycles was a fifth of the hub's CPU time, with Python's own thresholds (700, 10, 10), and found next to nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


async def serve(settings: HubSettings, ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is told the address when nodes can connect."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with HubServer(settings) as server:
        ready(server.address)
        await server.run_until(stop)
