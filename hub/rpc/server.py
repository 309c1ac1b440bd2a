"""The hub on the network: what it serves, with which options of gRPC, from its first call to its last.

What was measured and decides the options (grpcio 1.85):

- A second server on a busy port binds silently unless `grpc.so_reuseport` is 0.
- A hub that reads nothing grew to 1.4 GB with 300 nodes by gRPC's own windows; with `grpc.http2.bdp_probe` 0 to 83 MB.
- The hub pings only a connection on which nothing came for `keepalive_s`: a node that beats more often is never pinged.
- gRPC sets TCP_USER_TIMEOUT, to `keepalive_timeout_s`, only where it pings. TCP closes if the ping is not acknowledged
  by then; a ping that the node's kernel acknowledges and its process does not answer has `grpc.http2.ping_timeout_ms`.
- By default, a server answers a client that pings more than once in 300 s without data with GOAWAY too_many_pings.
"""

import asyncio
import gc
import signal
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import structlog

from heartbench.hub.clock import Clock
from heartbench.hub.composition import open_hub
from heartbench.hub.config import HubSettings
from heartbench.hub.errors import HubError
from heartbench.hub.events.fanout import StoreChanged
from heartbench.hub.events.observer_file import check_observer_file
from heartbench.hub.events.recorder import FLUSH_S as RECORD_INTERVAL_S
from heartbench.hub.events.trace_directory import check_trace_dir
from heartbench.hub.liveness.self_health import TICK_S
from heartbench.hub.operations.calls import CallCounts
from heartbench.hub.operations.health import Health, add_health_and_reflection
from heartbench.hub.operations.http_listener import HttpListener, open_http
from heartbench.hub.operations.reload import Adopt, Reloader
from heartbench.hub.rpc.admin import AdminService
from heartbench.hub.rpc.connect import NodeService
from heartbench.hub.rpc.decoding import RefuseGarbage
from heartbench.hub.rpc.listeners import Listeners
from heartbench.hub.rpc.message_size import REFUSED_WITH_REASON
from heartbench.hub.rpc.servicers import Calls, HubAdmin, NodeMesh
from heartbench.hub.rpc.upload import Files, UploadService
from heartbench.hub.security.gate import Gate, tls_of
from heartbench.hub.stats import AccessStats, HubStats, stats_of, summary
from heartbench.hub.store.received_files import FileReceiver
from heartbench.hub.store.url import open_store
from heartbench.hub.store.writer import StoreHealth, StoreState
from heartbench.hub.work.executor import BoundedExecutor
from heartbench.mesh.v1 import mesh_pb2_grpc as pb_grpc

RECONNECT_AFTER_S = 1.0
FINISH_S = 1.5
FLUSH_INTERVAL_S = 1.0
FORGET_INTERVAL_S = 60.0
TIDY_INTERVAL_S = 60.0
IDLE_INTERVAL_S = 1.0
NEVER_MS = 2**31 - 1
STREAMS_OF_A_CONNECTION = 100

log = structlog.get_logger()


def server_options(settings: HubSettings) -> list[tuple[str, int]]:
    """Return the options for gRPC: a port of its own, bounded windows, and any number of pings by the nodes."""
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", settings.window_bytes),
        ("grpc.max_receive_message_length", settings.message_bytes * REFUSED_WITH_REASON),
        ("grpc.max_concurrent_streams", STREAMS_OF_A_CONNECTION),
        ("grpc.keepalive_time_ms", round(settings.keepalive_s * 1000) or NEVER_MS),
        ("grpc.keepalive_timeout_ms", round(settings.keepalive_timeout_s * 1000)),
        ("grpc.http2.ping_timeout_ms", round(settings.keepalive_timeout_s * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.server_handshake_timeout_ms", round(settings.hello_within_s * 1000)),
        ("grpc.http2.min_ping_interval_without_data_ms", 1000),
    ]


class HubServer:
    """A hub that listens. `async with HubServer(settings) as server:` serves until the block ends."""

    def __init__(self, settings: HubSettings) -> None:
        self.settings = settings
        self.address = self.admin_address = ""
        self._clock = Clock()
        self.health = Health()
        self.http: HttpListener | None = None
        self.calls = CallCounts()
        self._interval_changed = asyncio.Event()

    async def __aenter__(self) -> "HubServer":
        """Start to listen; HubError if an address, a credential, the store or the folder for files cannot be used."""
        self._gate, self._tls = Gate.of(self.settings, self._clock), tls_of(self.settings)
        interceptors = [self.calls, RefuseGarbage()]
        self._listeners = Listeners(self.settings, server_options(self.settings), interceptors, self._tls)
        try:
            # Before the store: opening it ends another hub that uses it, and this one may not get its address.
            self._listeners.bind()
            self.http = open_http(self.settings.http_listen, self.stats, self.health, self.calls)
            self._assemble()
        except HubError:
            await self._listeners.stop(None)
            if self.http:
                self.http.close()
            raise
        self.address, self.admin_address = self._listeners.address, self._listeners.admin_address
        work = (
            self.hub.writer.run(self.hub.all_nodes, self._store_changed),
            every(TICK_S, self._tick),
            every(FLUSH_INTERVAL_S, self.hub.effects.flush),
            every(RECORD_INTERVAL_S, self._record),
            every(IDLE_INTERVAL_S, self._uploads.places.end_idle),
            self._summarise(),
            self._forget_expired(),
        )
        self._tasks = [asyncio.create_task(one) for one in work]
        if self._files:
            self._files.executor.start()
            self._tasks.append(asyncio.create_task(self._tidy(self._files)))
        await self._listeners.start()
        if self.http:
            self.http.start()
        self._warn()
        log.info(
            "hub is ready",
            address=self.address,
            admin=self.admin_address,
            epoch=self.hub.epoch,
            nodes=len(self.hub.registry.nodes),
        )
        return self

    async def __aexit__(self, *exception: object) -> None:
        """Judge no more deadlines, send the nodes a Drain, store what is left, and stop."""
        self.hub.end(self._clock.monotonic())
        self.health.drain()
        self._nodes.drain(RECONNECT_AFTER_S)
        self._uploads.close()
        self._admin.close()
        await self._listeners.stop(self.settings.drain_s)
        await self._finish_work()
        if self.http:
            await self.http.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        log.info("hub has stopped", **summary(self.stats(), None))

    def also(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the hub until it stops; an error in it ends the hub."""
        self._tasks.append(asyncio.create_task(work))

    async def run_until(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set; raises what ends the hub before that, for example another hub on its store."""
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([stopping, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        for task in self._tasks:
            if task.done():
                task.result()

    def adopt(self, settings: HubSettings) -> None:
        """Use other settings from now on; `operations/reload.py` says which of them may differ."""
        if settings.summary_interval_s != self.settings.summary_interval_s:
            self._interval_changed.set()
        self.settings = self._uploads.places.settings = settings
        self.hub.adopt(settings, self._clock.monotonic())

    def stats(self) -> HubStats:
        """Return the hub's figures now."""
        executor = self._files.executor if self._files else None
        handshakes = self._tls.handshakes if self._tls else 0
        access = AccessStats(self._gate.unauthenticated, self._gate.not_allowed, handshakes)
        return stats_of(self.hub, self._clock.monotonic(), len(self._uploads), executor, access)

    def _assemble(self) -> None:
        settings = self.settings
        self._files = files_of(settings)
        check_observer_file(settings.observe_file)
        check_trace_dir(settings.trace_dir)
        with ExitStack() as undo:
            store = open_store(settings.store_url, settings.store_durability, settings.store_ttl_s)
            undo.callback(store.close)
            self.hub = open_hub(settings, self._clock, store)
            undo.pop_all()
        if settings.store_url != "memory:" and not self.hub.histories:
            log.warning("the store is empty: it is new, or was emptied", store=settings.shown().store_url)
        self._uploads = UploadService(self.hub, self._clock, self._files)
        self._nodes = NodeService(self.hub, self._clock, self._uploads.places)
        self._admin = AdminService(self.hub, self._clock, self._nodes, self._uploads)
        self._add_services()

    def _add_services(self) -> None:
        calls, listeners = Calls(self._gate), self._listeners
        operators = HubAdmin(calls, self._admin, self.stats, self.settings.message_bytes)
        pb_grpc.add_NodeMeshServicer_to_server(NodeMesh(calls, self._nodes, self._uploads), listeners.nodes)
        pb_grpc.add_HubAdminServicer_to_server(operators, listeners.operators)
        for server in {listeners.nodes, listeners.operators}:
            add_health_and_reflection(self.health, server)

    def _warn(self) -> None:
        believed = {"listen": "any node", "admin_listen": "an operator"}
        for name, address in self.settings.open_addresses.items():
            log.warning(f"HUB_INSECURE=1: whoever reaches this address can be {believed[name]}", address=address)

    def _tick(self) -> None:
        now = self._clock.monotonic()
        self.hub.latency.offset_s = self._clock.unix(now) - now
        self.hub.tick(now)

    def _record(self) -> None:
        if self.hub.recorder is not None:
            now = self._clock.monotonic()
            self.hub.recorder.flush(now, self._clock.unix(now))

    def _store_changed(self, health: StoreHealth) -> None:
        self.health.set_store(health.state is StoreState.OK)
        self.hub.effects.announce(self._clock.monotonic(), StoreChanged(health.state, health.error))

    async def _forget_expired(self) -> None:
        while True:
            await asyncio.sleep(FORGET_INTERVAL_S)
            await self._admin.forget_expired()

    async def _tidy(self, files: Files) -> None:
        while True:
            await asyncio.sleep(TIDY_INTERVAL_S)
            now_unix_s = self._clock.unix(self._clock.monotonic())
            await files.tidy(now_unix_s, self.settings.unfinished_file_ttl_s)

    async def _summarise(self) -> None:
        before = None
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.settings.summary_interval_s):
                    await self._interval_changed.wait()
                    self._interval_changed.clear()
                    continue
            stats = self.stats()
            log.info("summary", **summary(stats, before))
            before = stats

    async def _finish_work(self) -> None:
        """Wait up to FINISH_S for admitted files and chunks; the nodes still have what was not acknowledged."""
        with suppress(TimeoutError, HubError):
            async with asyncio.timeout(FINISH_S):
                if self._files:
                    await self._files.executor.close()
                await self.hub.writer.flush()


async def every(interval_s: float, call: Callable[[], object]) -> None:
    """Call something after each `interval_s`, until cancelled."""
    while True:
        await asyncio.sleep(interval_s)
        call()


def files_of(settings: HubSettings) -> Files | None:
    """Return where files go, or None if the hub accepts none."""
    if settings.files_dir is None:
        return None
    executor = BoundedExecutor(settings.executor_workers, settings.executor_queue, settings.executor_policy)
    receiver = FileReceiver(settings.files_dir, settings.file_bytes, settings.files_bytes)
    return Files(receiver, executor, settings.max_inflight_bytes // 4)


def collect_less_garbage() -> None:
    """Set Python's cycle collector to run less often, in a process that only runs a hub.

    Reference counts free what a message leaves behind. At 4,000 chunks/s of 2,000 nodes the search for cycles took a
    fifth of the hub's CPU time with Python's default thresholds (700, 10, 10), and found next to nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


async def serve(
    settings: HubSettings,
    ready: Callable[[HubServer], None],
    env: Path | None = None,
    adopt: Adopt = lambda _: None,
) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is called when nodes can connect.

    SIGHUP, or a change of the file `env`, reloads the settings; `adopt` gets them after the hub. Without a file, SIGHUP
    stops the hub too, unless it was ignored from the start (nohup).
    """
    stop = asyncio.Event()
    server = HubServer(settings)
    reloader = None if env is None else Reloader(env, settings, server.adopt, adopt)
    on_signal = {signal.SIGINT: stop.set, signal.SIGTERM: stop.set}
    if reloader:
        on_signal[signal.SIGHUP] = reloader.ask
    elif signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        on_signal[signal.SIGHUP] = stop.set
    for number, call in on_signal.items():
        asyncio.get_running_loop().add_signal_handler(number, call)
    async with server:
        if reloader:
            server.also(reloader.run())
        ready(server)
        await server.run_until(stop)
