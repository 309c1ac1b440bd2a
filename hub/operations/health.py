"""The standard health service of gRPC (`grpc.health.v1`), and reflection: what tools ask any server.

    service     SERVING while
    ""          the hub takes calls, until its drain begins
    NodeMesh    the same: a store that cannot be written stops no heartbeat, so no node should go elsewhere
    HubAdmin    the same, and the store can be written

grpcio-health-checking has a servicer too; in it, one watcher that does not read holds a lock that everyone needs who
sets a status, so only its messages are used here.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_reflection.v1alpha import reflection

from heartbench.mesh.v1.mesh_pb2 import DESCRIPTOR

MESH, ADMIN = (DESCRIPTOR.services_by_name[name].full_name for name in ("NodeMesh", "HubAdmin"))


class Health(health_pb2_grpc.HealthServicer):
    """The health of one hub."""

    def __init__(self) -> None:
        self.draining = False
        self.store_ok = True
        self._changed = asyncio.Event()

    def why_not_ready(self) -> str:
        """Return the reason why not everything works, or nothing."""
        if self.draining:
            return "the hub is about to stop"
        return "" if self.store_ok else "the store cannot be written"

    def set_store(self, ok: bool) -> None:
        """Record whether the store can be written."""
        self.store_ok = ok
        self._wake()

    def drain(self) -> None:
        """Record that the hub is about to stop, and end all Watch streams with that."""
        self.draining = True
        self._wake()

    def status(self, service: str) -> int:
        """Return the status of a service now."""
        serving = {"": not self.draining, MESH: not self.draining, ADMIN: not self.why_not_ready()}.get(service)
        if serving is None:
            return HealthCheckResponse.SERVICE_UNKNOWN
        return HealthCheckResponse.SERVING if serving else HealthCheckResponse.NOT_SERVING

    async def Check(
        self, request: HealthCheckRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> HealthCheckResponse:
        """Return the status of a service; NOT_FOUND for one that the hub does not have."""
        status = self.status(request.service)
        if status == HealthCheckResponse.SERVICE_UNKNOWN:
            known = ", ".join(repr(name) for name in ("", MESH, ADMIN))
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no such service; allowed: {known}")
        return HealthCheckResponse(status=status)

    async def Watch(
        self, request: HealthCheckRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> AsyncIterator[HealthCheckResponse]:
        """Stream the status of a service: now, and whenever it changes."""
        last = None
        while True:
            changed, status, draining = self._changed, self.status(request.service), self.draining
            if status != last:
                yield HealthCheckResponse(status=status)
                last = status
            if draining:
                return
            await changed.wait()

    def _wake(self) -> None:
        """Wake all watchers; the next change has an event of its own, so that none is missed while one writes."""
        self._changed.set()
        self._changed = asyncio.Event()


def add_health_and_reflection(health: Health, server: grpc.aio.Server) -> None:
    """Serve health, and the description of every service, to tools that do not have the .proto."""
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    reflection.enable_server_reflection((MESH, ADMIN, HEALTH, reflection.SERVICE_NAME), server)
