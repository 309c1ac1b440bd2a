"""A call whose client does not read ends with its status, once the client reads: gRPC cannot end it before."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest

from heartbench.hub.clock import Clock
from heartbench.hub.config import HubSettings
from heartbench.hub.rpc import connect
from heartbench.hub.rpc.server import HubServer
from heartbench.hub.rpc.servicers import Calls
from heartbench.hub.security.gate import Gate
from heartbench.mesh.channel import open_aio_channel
from heartbench.mesh.encoding import chunk, goodbye, hello, upload_metadata
from heartbench.mesh.v1.mesh_pb2_grpc import NodeMeshStub

NO_WINDOW = [("grpc.http2.lookahead_bytes", 1)]
"""With this, a message is on its way until the client asks for it."""

FLUSH_S = 0.02
SOON_S = 0.1


@pytest.fixture(autouse=True)
def no_traceback(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail if gRPC logs that it could not end a call."""
    monkeypatch.setattr(connect, "FLUSH_S", FLUSH_S)
    yield
    assert [record.getMessage() for record in caplog.get_records("call") if record.name.startswith("grpc")] == []


def run(scene: Callable[[HubServer, Any], Awaitable[None]]) -> None:
    async def served() -> None:
        settings = HubSettings.of(listen="127.0.0.1:0", store_url="memory:", store_linger_s=0, drain_s=0)
        async with HubServer(settings) as server, client(server, NO_WINDOW) as stub:
            await scene(server, stub)

    asyncio.run(asyncio.wait_for(served(), 20))


@asynccontextmanager
async def client(server: HubServer, options: Any = ()) -> AsyncIterator[Any]:
    async with open_aio_channel(server.address, options=options) as channel:
        yield NodeMeshStub(channel)


async def code_of(stream: Any) -> grpc.StatusCode:
    """Read a stream to its end; return its status."""
    try:
        while await stream.read() is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError as error:
        return error.code()
    code: grpc.StatusCode = await stream.code()
    return code


async def unread(stub: Any) -> Any:
    """Open a Connect stream, and leave its Welcome unread."""
    stream: Any = stub.Connect()
    await stream.write(hello("n"))
    await asyncio.sleep(SOON_S)
    return stream


def test_a_stream_that_was_replaced_ends_with_the_reason() -> None:
    async def scene(server: HubServer, stub: Any) -> None:
        stream = await unread(stub)
        async with client(server) as another:
            newer = another.Connect()
            await newer.write(hello("n"))
            await newer.read()
            await asyncio.sleep(SOON_S)
            assert await code_of(stream) is grpc.StatusCode.ABORTED

    run(scene)


def test_a_stream_that_said_goodbye_ends() -> None:
    async def scene(_: HubServer, stub: Any) -> None:
        stream = await unread(stub)
        await stream.write(goodbye())
        await asyncio.sleep(SOON_S)
        assert await code_of(stream) is grpc.StatusCode.OK

    run(scene)


def test_an_upload_with_a_bad_chunk_ends_with_the_reason() -> None:
    async def scene(_: HubServer, stub: Any) -> None:
        await unread(stub)
        stream = stub.Upload(metadata=upload_metadata("n"))
        await stream.write(chunk(1, b"text"))
        await asyncio.sleep(SOON_S)
        await stream.write(chunk(0, b"text"))
        await asyncio.sleep(SOON_S)
        assert await code_of(stream) is grpc.StatusCode.INVALID_ARGUMENT

    run(scene)


@pytest.mark.parametrize(
    ("words", "raised"),
    [('Failed "execute_batch": ()', asyncio.CancelledError), ("TOO_MANY_OPERATIONS", grpc.aio.InternalError)],
)
def test_a_client_that_goes_while_the_hub_writes_is_no_error_of_the_hub(
    words: str, raised: type[BaseException]
) -> None:
    class Context:  # gRPC's, at a moment that cannot be brought about
        peer = staticmethod(lambda: "ipv4:127.0.0.1:1")
        auth_context: Any = staticmethod(dict)
        invocation_metadata = staticmethod(lambda: ())

    async def scene() -> None:
        context: Any = Context()
        async with Calls(Gate(Clock())).begin(context):
            raise grpc.aio.InternalError(words)

    with pytest.raises(raised):
        asyncio.run(scene())


def test_a_client_that_goes_without_reading_leaves_nothing() -> None:
    async def scene(server: HubServer, stub: Any) -> None:
        connected = await unread(stub)
        upload = stub.Upload(metadata=upload_metadata("n"))
        await upload.write(chunk(1, b"text"))
        await asyncio.sleep(SOON_S)
        await connected.write(goodbye())
        await upload.write(chunk(0, b"text"))
        await asyncio.sleep(SOON_S)
        connected.cancel()
        upload.cancel()
        for _ in range(100):
            await asyncio.sleep(0.01)
            if not server.stats().uploads:
                return
        raise AssertionError("the upload has its place for ever")

    run(scene)
