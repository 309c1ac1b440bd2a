"""The hub without its bounds, for comparison in a wave: a process that prints its address, like `heartbench hub`.

It is the same hub but for three things: file chunks queue without limit for their threads while their stream is read
on; gRPC's windows grow with the load; and no budget applies (`HUB_MAX_INFLIGHT_BYTES` is a terabyte).
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from unittest.mock import patch
from zlib import crc32

from heartbench.hub import logs
from heartbench.hub.clock import Clock
from heartbench.hub.config import HubSettings
from heartbench.hub.core import Hub
from heartbench.hub.rpc import server
from heartbench.hub.rpc.upload import AckQueue, Files, UploadService
from heartbench.hub.work.executor import BoundedExecutor, Policy
from heartbench.mesh.v1.mesh_pb2 import Chunk

T = TypeVar("T")
NO_BOUND_BYTES = 1 << 40
BOUNDED_WINDOWS = ("grpc.http2.bdp_probe", "grpc.http2.lookahead_bytes")

server_options = server.server_options


class UnboundedExecutor(BoundedExecutor):
    """As many workers, each with an unlimited queue. A node uses one of them, so its file chunks stay in order."""

    def __init__(self, workers: int, queue_limit: int, policy: Policy) -> None:
        super().__init__(workers, queue_limit, policy)
        self._lanes = [ThreadPoolExecutor(1) for _ in range(workers)]

    async def submit(self, fn: Callable[..., T], *args: Any) -> T:
        """Queue the call, however many are waiting."""
        lane = self._lanes[crc32(str(args[0]).encode()) % self.workers]
        return await asyncio.get_running_loop().run_in_executor(lane, fn, *args)


class UnboundedUploads(UploadService):
    """Keeps reading while file chunks are written."""

    def __init__(self, hub: Hub, clock: Clock, files: Files | None = None) -> None:
        super().__init__(hub, clock, files)
        self._writing: set[asyncio.Task[None]] = set()

    async def _write_file(self, node_id: str, message: Chunk, acks: AckQueue) -> None:
        task = asyncio.create_task(super()._write_file(node_id, message, acks))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)


def growing_windows(settings: HubSettings) -> list[tuple[str, int]]:
    """Return the hub's options without those that bound gRPC's windows."""
    return [option for option in server_options(settings) if option[0] not in BOUNDED_WINDOWS]


async def serve() -> None:
    """Serve with the settings of the environment, without bounds."""
    settings = HubSettings.load().changed(max_inflight_bytes=NO_BOUND_BYTES)
    logs.configure(settings.log_level)
    unbounded: dict[str, Any] = {
        "BoundedExecutor": UnboundedExecutor,
        "UploadService": UnboundedUploads,
        "server_options": growing_windows,
    }
    with patch.multiple(server, **unbounded):
        await server.serve(settings, lambda hub: print(hub.address, flush=True))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(serve())
