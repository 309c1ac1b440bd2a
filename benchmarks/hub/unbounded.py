"""The hub without its bounds, the old way of a wave: a process that prints its address, as `heartbench hub` does.

It is the same hub, less three things: pieces of files queue without end for their threads, and their stream is read on
meanwhile; gRPC's windows grow with the load; and no budget is in force (`HUB_MAX_INFLIGHT_BYTES` of a terabyte).
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
    """As many workers, and a queue without end in front of each. A node keeps to one of them: its pieces in order."""

    def __init__(self, workers: int, queue_limit: int, policy: Policy) -> None:
        super().__init__(workers, queue_limit, policy)
        self._lanes = [ThreadPoolExecutor(1) for _ in range(workers)]

    async def submit(self, fn: Callable[..., T], *args: Any) -> T:
        """Queue the call, whatever waits already."""
        lane = self._lanes[crc32(str(args[0]).encode()) % self.workers]
        return await asyncio.get_running_loop().run_in_executor(lane, fn, *args)


class UnboundedUploads(UploadService):
    """Reads on while pieces of files are written."""

    def __init__(self, hub: Hub, clock: Clock, files: Files | None = None) -> None:
        super().__init__(hub, clock, files)
        self._under_way: set[asyncio.Task[None]] = set()

    async def _write_file(self, node_id: str, message: Chunk, acks: AckQueue) -> None:
        task = asyncio.create_task(super()._write_file(node_id, message, acks))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)


def growing_windows(settings: HubSettings) -> list[tuple[str, int]]:
    """The hub's options, less those that bound gRPC's windows."""
    return [option for option in server_options(settings) if option[0] not in BOUNDED_WINDOWS]


async def serve() -> None:
    """Serve as the environment says, and without bounds."""
    settings = HubSettings.load().changed(max_inflight_bytes=NO_BOUND_BYTES)
    logs.configure(settings.log_level)
    old_way: dict[str, Any] = {
        "BoundedExecutor": UnboundedExecutor,
        "UploadService": UnboundedUploads,
        "server_options": growing_windows,
    }
    with patch.multiple(server, **old_way):
        await server.serve(settings, lambda address: print(address, flush=True))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(serve())
