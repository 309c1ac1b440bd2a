"""gRPC's own counters: calls by method and status code."""

import asyncio

import grpc
import grpc.aio
import pytest

from heartbench.hub.config import HubSettings
from heartbench.hub.rpc.server import HubServer
from heartbench.mesh.channel import open_aio_channel
from heartbench.mesh.encoding import goodbye, heartbeat, hello
from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1.mesh_pb2_grpc import HubAdminStub, NodeMeshStub

MESH, ADMIN = "heartbench.mesh.v1.NodeMesh", "heartbench.mesh.v1.HubAdmin"


def test_calls_are_counted_by_method_and_code() -> None:
    async def scene() -> None:
        settings = HubSettings.of(listen="127.0.0.1:0", store_url="memory:")
        async with HubServer(settings) as server, open_aio_channel(server.address) as channel:
            node, admin = NodeMeshStub(channel), HubAdminStub(channel)
            stream = node.Connect()
            await stream.write(hello("n"))
            await stream.read()
            events = admin.WatchEvents(pb.WatchEventsRequest())
            await events.initial_metadata()
            wrong = node.Connect()
            await wrong.write(heartbeat(1))
            with pytest.raises(grpc.aio.AioRpcError):
                await wrong.read()
            with pytest.raises(grpc.aio.AioRpcError):
                await admin.GetNode(pb.GetNodeRequest(node_id="x"))
            await stream.write(goodbye())
            assert await stream.read() is grpc.aio.EOF
            with pytest.raises(grpc.aio.AioRpcError):
                await channel.unary_unary("/made.up/Method", bytes, bytes)(b"")
            events.cancel()
            await admin.ListNodes(pb.ListNodesRequest())  # the hub reads it after the cancellation
        connect, watch = ("bidi_stream", MESH, "Connect"), ("server_stream", ADMIN, "WatchEvents")
        get, list_nodes = ("unary", ADMIN, "GetNode"), ("unary", ADMIN, "ListNodes")
        assert server.calls.started == {connect: 2, watch: 1, get: 1, list_nodes: 1}
        assert server.calls.handled == {
            (connect, "OK"): 1,
            (connect, "INVALID_ARGUMENT"): 1,
            (get, "NOT_FOUND"): 1,
            (watch, "CANCELLED"): 1,
            (list_nodes, "OK"): 1,
        }

    asyncio.run(asyncio.wait_for(scene(), 20))
