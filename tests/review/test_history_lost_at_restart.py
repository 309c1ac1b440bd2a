"""Finding: history is kept in memory alone and lost at every restart.

The hub here is what a user gets who sets nothing but a port.
"""

import asyncio
from pathlib import Path

import grpc
import grpc.aio
import pytest
from tests.review.conftest import Measured

from heartbench.hub.config import HubSettings
from heartbench.hub.rpc.server import HubServer
from heartbench.mesh.channel import open_aio_channel
from heartbench.mesh.encoding import chunk, goodbye, hello, upload_metadata
from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1.mesh_pb2_grpc import HubAdminStub, NodeMeshStub

CHUNKS = 150


@pytest.fixture(autouse=True)
def folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_LISTEN", "127.0.0.1:0")
    monkeypatch.chdir(tmp_path)


async def introduce(
    channel: grpc.aio.Channel, node_id: str
) -> "grpc.aio.StreamStreamCall[pb.NodeMessage, pb.HubMessage]":
    stream = NodeMeshStub(channel).Connect()
    await stream.write(hello(node_id))
    assert (await stream.read()).HasField("welcome")
    return stream


async def say_chunks(address: str) -> None:
    """Upload as much as a history holds, and wait until it is acknowledged."""
    async with open_aio_channel(address) as channel:
        await introduce(channel, "n")
        upload = NodeMeshStub(channel).Upload(metadata=upload_metadata("n"))
        for seq in range(1, CHUNKS + 1):
            await upload.write(chunk(seq, b"line"))
        while (await upload.read()).seq < CHUNKS:
            pass


async def history(address: str) -> list[int]:
    """The chunks that the hub says it has of the node; none where it never saw the node."""
    async with open_aio_channel(address) as channel:
        try:
            answer = await HubAdminStub(channel).GetHistory(pb.GetHistoryRequest(node_id="n"))
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            return []
        return [chunk.seq for chunk in answer.chunks]


def test_what_was_acknowledged_outlives_a_hub_that_was_killed(measured: Measured) -> None:
    async def scene() -> list[int]:
        # The second takes the store while the first holds it and has put nothing in order, as after kill -9.
        async with HubServer(HubSettings.load()) as killed:
            await say_chunks(killed.address)
            assert await history(killed.address) == list(range(1, CHUNKS + 1))
            async with HubServer(HubSettings.load()) as second:
                return await history(second.address)

    left = asyncio.run(asyncio.wait_for(scene(), 30))
    measured(f"chunks lost at a restart, of {CHUNKS} acknowledged", str(CHUNKS - len(left)))
    assert left == list(range(1, CHUNKS + 1))


def test_a_restarted_hub_knows_its_nodes_and_how_they_were_before_they_are_back(measured: Measured) -> None:
    async def scene() -> dict[str, int]:
        async with HubServer(HubSettings.load()) as first, open_aio_channel(first.address) as channel:
            await introduce(channel, "stays")
            leaves = await introduce(channel, "leaves")
            await leaves.write(goodbye())
            assert await leaves.read() is grpc.aio.EOF
        async with HubServer(HubSettings.load()) as second, open_aio_channel(second.address) as channel:
            nodes = (await HubAdminStub(channel).ListNodes(pb.ListNodesRequest())).nodes
            return {node.node_id: node.status for node in nodes}

    known = asyncio.run(asyncio.wait_for(scene(), 30))
    measured("nodes forgotten at a restart, of 2", str(2 - len(known)))
    assert known == {"stays": pb.STATUS_ONLINE, "leaves": pb.STATUS_OFFLINE}
