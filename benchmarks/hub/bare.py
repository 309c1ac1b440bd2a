"""The baseline: a `grpc.aio` servicer that receives and answers the same messages as the hub, and does nothing else.

As a process, it prints its address and serves until it is killed.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio

from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1 import mesh_pb2_grpc as pb_grpc


class Bare(pb_grpc.NodeMeshServicer):
    """Welcomes each node and acknowledges the heartbeats that ask for it."""

    async def Connect(  # type: ignore[override]  # noqa: N802
        self, request_iterator: AsyncIterator[pb.NodeMessage], context: grpc.aio.ServicerContext[Any, Any]
    ) -> None:
        """Serve one stream of a node."""
        async for message in request_iterator:
            if message.WhichOneof("body") == "hello":
                await context.write(pb.HubMessage(welcome=pb.Welcome(epoch=1)))
            elif message.heartbeat.ack:
                heartbeat = message.heartbeat
                ack = pb.HeartbeatAck(seq=heartbeat.seq, sent_unix_s=heartbeat.sent_unix_s)
                await context.write(pb.HubMessage(heartbeat_ack=ack))

    async def Upload(  # type: ignore[override]  # noqa: N802
        self, request_iterator: AsyncIterator[pb.Chunk], context: grpc.aio.ServicerContext[Any, Any]
    ) -> None:
        """Accept no uploads."""


async def serve() -> None:
    """Serve until killed."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0), ("grpc.http2.bdp_probe", 0)])
    pb_grpc.add_NodeMeshServicer_to_server(Bare(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"127.0.0.1:{port}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve())
