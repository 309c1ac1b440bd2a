"""All nodes of a hub come back in the same moment, after its restart. 1,000 of them, for each second of admission:
`python -m pytest tests/hub/test_herd.py --herd 1000`. (Of more calls that begin at once, gRPC itself refuses some.)
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import grpc.aio

from heartbench.hub.config import HubSettings
from heartbench.hub.rpc.server import STREAMS_OF_A_CONNECTION, HubServer
from heartbench.hub.stats import HubStats
from heartbench.mesh.channel import open_aio_channel
from heartbench.mesh.encoding import hello
from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1.mesh_pb2_grpc import NodeMeshStub

Stream = grpc.aio.StreamStreamCall[pb.NodeMessage, pb.HubMessage]

SECONDS_TO_ADMIT_ALL = 1.0


async def admitted(channel: grpc.aio.Channel, name: str, connection: int) -> tuple[Stream, int]:
    """Open a stream, and wait as long as the hub says before each other try; return it and the number of tries."""
    tries = 1
    while True:
        stream: Stream = NodeMeshStub(channel).Connect()
        await stream.write(hello(name, connection=connection))
        answer = await stream.read()
        if answer.HasField("welcome"):
            return stream, tries
        await asyncio.sleep(answer.throttle.retry_after_s)
        tries += 1


async def arrive(settings: HubSettings, names: Sequence[str], connection: int) -> tuple[HubStats, list[int]]:
    """Run a hub until all nodes have arrived; return its figures then, and the tries that each node needed."""
    async with HubServer(settings) as server, AsyncExitStack() as open_channels:
        channels = [
            await open_channels.enter_async_context(open_aio_channel(server.address))
            for _ in range(0, len(names), STREAMS_OF_A_CONNECTION)
        ]
        places = [(channels[number // STREAMS_OF_A_CONNECTION], name) for number, name in enumerate(names)]
        arrivals = await asyncio.gather(*(admitted(channel, name, connection) for channel, name in places))
        stats = server.stats()
        for stream, _ in arrivals:
            stream.cancel()
        return stats, [tries for _, tries in arrivals]


def test_a_herd_is_let_in_at_the_rate_and_no_node_is_called_stale(herd: int, tmp_path: Path) -> None:
    async def scene() -> None:
        settings = HubSettings.of(
            listen="127.0.0.1:0",
            store_url=f"sqlite:///{tmp_path}/hub.db",
            admit_per_s=herd / SECONDS_TO_ADMIT_ALL,
            drain_s=0,
        )
        names = [f"n{number}" for number in range(herd)]
        await arrive(settings.changed(admit_per_s=0), names, connection=1)
        stats, tries = await arrive(settings, names, connection=2)
        assert (stats.online, stats.connected, stats.flaps) == (herd, herd, 0)
        assert stats.throttled == sum(tries) - herd
        assert max(tries) < 10

    asyncio.run(scene())
