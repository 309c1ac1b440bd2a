"""Health and reflection, asked as standard tools ask."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from heartbench.hub.config import HubSettings
from heartbench.hub.operations.health import Health, add_health_and_reflection
from heartbench.hub.rpc.server import HubServer
from heartbench.mesh.channel import open_aio_channel

MESH, ADMIN = "heartbench.mesh.v1.NodeMesh", "heartbench.mesh.v1.HubAdmin"
SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING


def run(scene: Callable[[Health, grpc.aio.Channel], Awaitable[None]]) -> None:
    async def served() -> None:
        health, server = Health(), grpc.aio.server()
        add_health_and_reflection(health, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with open_aio_channel(f"127.0.0.1:{port}") as channel:
            await scene(health, channel)
        await server.stop(None)

    asyncio.run(asyncio.wait_for(served(), 10))


@pytest.mark.parametrize(
    ("happens", "whole", "mesh", "admin"),
    [
        (lambda _: None, SERVING, SERVING, SERVING),
        (lambda health: health.set_store(ok=False), SERVING, SERVING, NOT_SERVING),
        (lambda health: health.drain(), NOT_SERVING, NOT_SERVING, NOT_SERVING),
    ],
)
def test_each_service_has_its_status(happens: Callable[[Health], None], whole: int, mesh: int, admin: int) -> None:
    async def scene(health: Health, channel: grpc.aio.Channel) -> None:
        happens(health)
        stub = HealthStub(channel)
        answers = [await stub.Check(HealthCheckRequest(service=name)) for name in ("", MESH, ADMIN)]
        assert [answer.status for answer in answers] == [whole, mesh, admin]

    run(scene)


def test_a_service_that_the_hub_lacks_is_not_found() -> None:
    async def scene(_: Health, channel: grpc.aio.Channel) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await HealthStub(channel).Check(HealthCheckRequest(service="x"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        assert ADMIN in str(caught.value.details())

    run(scene)


def test_a_watcher_sees_each_change_and_the_end() -> None:
    async def scene(health: Health, channel: grpc.aio.Channel) -> None:
        watch = HealthStub(channel).Watch(HealthCheckRequest(service=ADMIN))
        assert (await watch.read()).status == SERVING
        health.set_store(ok=False)
        assert (await watch.read()).status == NOT_SERVING
        health.set_store(ok=True)
        assert (await watch.read()).status == SERVING
        health.drain()
        assert (await watch.read()).status == NOT_SERVING
        assert await watch.read() is grpc.aio.EOF

    run(scene)


def test_reflection_lists_all_services() -> None:
    async def scene(_: Health, channel: grpc.aio.Channel) -> None:
        stub: Any = ServerReflectionStub(channel)  # type: ignore[arg-type]
        call = stub.ServerReflectionInfo(iter([ServerReflectionRequest(list_services="")]))
        answer = await call.read()
        names = {service.name for service in answer.list_services_response.service}
        assert names >= {MESH, ADMIN, "grpc.health.v1.Health"}

    run(scene)


@pytest.mark.parametrize(
    "method", ["grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "grpc.health.v1.Health/Check"]
)
def test_what_is_no_message_is_refused_as_everywhere(method: str) -> None:
    async def scene() -> None:
        settings = HubSettings.of(listen="127.0.0.1:0", store_url="memory:")
        async with HubServer(settings) as server, open_aio_channel(server.address) as channel:
            call = channel.stream_stream(f"/{method}", bytes, bytes)()
            await call.write(b"\xff\xff")
            assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT

    asyncio.run(asyncio.wait_for(scene(), 10))
