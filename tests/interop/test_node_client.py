"""A node in JavaScript, written from the .proto alone, with a real hub that asks for a certificate and a token."""

import asyncio
import json
import shutil
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.hub.conftest import free_port
from tests.hub.security.pki import Pki

from heartbench.hub.config import HubSettings
from heartbench.hub.rpc.server import HubServer
from heartbench.mesh.channel import open_aio_channel
from heartbench.mesh.credentials import Credentials
from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1.mesh_pb2_grpc import HubAdminStub

HERE = Path(__file__).parent
NODE = shutil.which("node")

pytestmark = [
    pytest.mark.skipif(NODE is None, reason="no Node.js here: apt-get install nodejs npm"),
    pytest.mark.skipif(not (HERE / "node_modules").exists(), reason="no packages for Node.js here: make interop"),
]


@asynccontextmanager
async def node_client(address: str, node_id: str, credentials: list[str]) -> AsyncIterator[Process]:
    assert NODE is not None
    options = ("--hub", address, "--node-id", node_id, *credentials)
    client = await asyncio.create_subprocess_exec(NODE, str(HERE / "node_client.js"), *options, stdout=PIPE)
    try:
        yield client
    finally:
        client.kill()
        await client.communicate()


async def printed(client: Process, key: str) -> Any:
    """Return what the node prints next under this key."""
    assert client.stdout is not None
    async for line in client.stdout:
        if key in (found := json.loads(line)):
            return found[key]
    raise AssertionError("the node has ended")


async def first_life(server: HubServer, client: Process, name: str, operator: Credentials) -> None:
    """See the node register, beat, upload and answer a command."""
    assert (await printed(client, "welcome"))["max_message_bytes"] == server.settings.message_bytes
    await printed(client, "heartbeat")
    await printed(client, "held")
    async with open_aio_channel(server.address, operator) as channel:
        command = pb.SendCommandRequest(node_id=name, payload=b"echo", within_s=5.0)
        answer = await HubAdminStub(channel).SendCommand(command)
    assert (answer.outcome, answer.result.payload) == (pb.COMMAND_OUTCOME_ANSWERED, b"echo")


async def second_life(server: HubServer, client: Process, name: str, _: Credentials) -> None:
    """See the node come back, and go on where it was: no line is missing, none is there twice."""
    held = (await printed(client, "welcome"))["last_chunk_seq"]
    assert held > 0
    while await printed(client, "held") < held + 20:
        pass
    lines = [chunk.data for chunk in server.hub.history(name)]
    assert lines == [b"line %d\n" % seq for seq in range(1, len(lines) + 1)]
    assert len(lines) >= held + 20


def test_a_node_in_another_language_lives_with_the_hub_and_survives_its_restart(tmp_path: Path, pki: Pki) -> None:
    name, operator = "näher dran", pki.both("operator-operator")
    listen, store = f"localhost:{free_port()}", f"sqlite:///{tmp_path}/hub.db"
    settings = HubSettings.of(listen=listen, store_url=store, **pki.settings(tokens=True))

    async def scene() -> None:
        async with node_client(listen, name, pki.options("node-n%2A")) as client:
            for life in (first_life, second_life):
                async with HubServer(settings) as server:
                    await life(server, client, name, operator)
                    assert server.stats().access.unauthenticated == 0

    asyncio.run(asyncio.wait_for(scene(), 60))
