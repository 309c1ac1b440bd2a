"""Messages that are too long are refused with the limit, and answers are never too long for a client."""

import grpc
import grpc.aio
import pytest
from tests.hub.rpc.test_server import run

from heartbench.hub.rpc.server import HubServer
from heartbench.mesh.channel import open_aio_channel
from heartbench.mesh.encoding import chunk, command_result, hello, upload_metadata
from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1.mesh_pb2_grpc import HubAdminStub, NodeMeshStub

LIMIT = 10_000


def test_a_message_that_is_too_long_is_refused_with_the_limit_that_welcome_tells() -> None:
    async def scene(server: HubServer) -> None:
        async with open_aio_channel(server.address) as channel:
            node, admin = NodeMeshStub(channel), HubAdminStub(channel)
            stream = node.Connect()
            await stream.write(hello("n"))
            assert (await stream.read()).welcome.max_message_bytes == LIMIT
            upload = node.Upload(metadata=upload_metadata("n"))
            await upload.write(chunk(1, bytes(LIMIT - 10)))
            assert (await upload.read()).seq == 1
            await upload.write(chunk(2, bytes(LIMIT)))
            await stream.write(command_result("1", bytes(3 * LIMIT)))
            command = pb.SendCommandRequest(node_id="n", payload=bytes(LIMIT), within_s=1.0)
            for call in (upload.read(), stream.read(), admin.SendCommand(command)):
                with pytest.raises(grpc.aio.AioRpcError, match=f"HUB_MESSAGE_BYTES allows {LIMIT}") as error:
                    await call
                assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            command.payload = bytes(5 * LIMIT)
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await admin.SendCommand(command)
            assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    run(scene, message_bytes=LIMIT)


def test_a_history_is_read_in_pages_that_every_client_accepts() -> None:
    sent = [chunk(seq, bytes([seq]) * 200_000) for seq in range(1, 51)]

    async def scene(server: HubServer) -> None:
        async with open_aio_channel(server.address) as channel:
            node, admin = NodeMeshStub(channel), HubAdminStub(channel)
            stream, upload = node.Connect(), node.Upload(metadata=upload_metadata("n"))
            await stream.write(hello("n"))
            await stream.read()
            for one in sent:
                await upload.write(one)
                await upload.read()
            chunks: list[pb.Chunk] = []
            token, pages = "", 0
            while token or not pages:
                page = await admin.GetHistory(pb.GetHistoryRequest(node_id="n", page_token=token))
                chunks += page.chunks
                token, pages = page.next_page_token, pages + 1
            assert (chunks, pages) == (sent, 3)

    run(scene, history_bytes=16 << 20)
