"""Finding: each heartbeat is a debug line in the log."""

import asyncio
from collections.abc import Iterator

import pytest
import structlog
from tests.review.conftest import Measured

from heartbench.hub.config import HubSettings
from heartbench.hub.logs import configure, flush
from heartbench.hub.rpc.server import HubServer
from heartbench.mesh.channel import open_aio_channel
from heartbench.mesh.encoding import heartbeat, hello
from heartbench.mesh.v1.mesh_pb2_grpc import NodeMeshStub

HEARTBEATS = 1000


@pytest.fixture(autouse=True)
def log_as_it_was() -> Iterator[None]:
    """After each test."""
    yield
    structlog.reset_defaults()


def test_heartbeats_are_counted_and_leave_no_line_each(capfd: pytest.CaptureFixture[str], measured: Measured) -> None:
    # A hub that says all that it can say, and does not remark on how busy this machine is.
    settings = HubSettings.of(listen="127.0.0.1:0", store_url="memory:", log_level="debug", pause_over_s=3600)
    configure(settings.log_level)

    async def scene() -> tuple[int, str]:
        async with HubServer(settings) as server, open_aio_channel(server.address) as channel:
            stream = NodeMeshStub(channel).Connect()
            await stream.write(hello("n"))
            assert (await stream.read()).HasField("welcome")
            assert flush(5.0)
            assert "hub is ready" in capfd.readouterr().err
            for seq in range(1, HEARTBEATS + 1):
                await stream.write(heartbeat(seq, ack=seq == HEARTBEATS))
            assert (await stream.read()).heartbeat_ack.seq == HEARTBEATS
            assert flush(5.0)
            return server.stats().heartbeats, capfd.readouterr().err

    counted, logged = asyncio.run(asyncio.wait_for(scene(), 30))
    measured(f"log of {HEARTBEATS:,} heartbeats", f"{logged.count(chr(10)):,} lines, {len(logged):,} bytes")
    assert logged == ""
    assert counted == HEARTBEATS
