"""Names that nodes and operators choose: any text names a node, and errors show the beginning of a long one."""

from collections.abc import Awaitable

import grpc
import grpc.aio
import pytest
from tests.hub.rpc.test_server import run

from heartbench.hub.rpc.server import HubServer
from heartbench.mesh.channel import open_aio_channel
from heartbench.mesh.encoding import chunk, file_chunk, hello, upload_metadata, upload_of
from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1.mesh_pb2_grpc import HubAdminStub, NodeMeshStub


@pytest.mark.parametrize("name", ["näher dran", "节点-7", "with\nline", " spaces ", "edge"])
def test_a_node_of_any_name_uploads(name: str) -> None:
    async def scene(server: HubServer) -> None:
        async with open_aio_channel(server.address) as channel:
            stream = NodeMeshStub(channel).Connect()
            await stream.write(hello(name))
            await stream.read()
            upload = NodeMeshStub(channel).Upload(metadata=upload_metadata(name))
            await upload.write(chunk(1, b"text"))
            assert (await upload.read()).seq == 1

    run(scene)


def test_a_long_value_is_not_sent_back_whole(tmp_path: object) -> None:
    long = "x" * 100_000

    async def scene(server: HubServer) -> None:
        async with open_aio_channel(server.address) as channel:
            node, admin = NodeMeshStub(channel), HubAdminStub(channel)
            stream = node.Connect()
            await stream.write(hello("n"))
            await stream.read()
            path = node.Upload(metadata=upload_metadata("n"))
            await path.write(upload_of(file_chunk(f"../{long}", 0, b"")))
            named = node.Upload(metadata=upload_metadata(long[:6000]))
            await named.write(chunk(1))
            lost = node.Connect()
            await lost.write(hello(long))
            calls: list[Awaitable[object]] = [
                admin.GetNode(pb.GetNodeRequest(node_id=long)),
                admin.GetHistory(pb.GetHistoryRequest(node_id=long)),
                admin.SendCommand(pb.SendCommandRequest(node_id=long, within_s=1.0)),
                admin.ListNodes(pb.ListNodesRequest(page_token=long)),
                path.read(),
                named.read(),
                lost.read(),
            ]
            for call in calls:
                with pytest.raises(grpc.aio.AioRpcError) as error:
                    await call
                assert error.value.code() is not grpc.StatusCode.UNKNOWN
                assert 10 < len(error.value.details() or "") < 300

    run(scene, files_dir=tmp_path)
