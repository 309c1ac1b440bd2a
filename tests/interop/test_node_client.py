"""A node in JavaScript, written from the .proto alone, with a real hub."""

import asyncio
import json
import shutil
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
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
async def node_client(address: str, node_id: str, *credentials: str) -> AsyncIterator[Process]:
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


async def first_life(server: HubServer, client: Process, name: str, operator: Credentials | None) -> None:
    """See the node register, beat, upload and answer a command."""
    assert (await printed(client, "welcome"))["max_message_bytes"] == server.settings.message_bytes
    await printed(client, "heartbeat")
    await printed(client, "held")
    async with open_aio_channel(server.admin_address, operator) as channel:
        command = pb.SendCommandRequest(node_id=name, payload=b"echo", within_s=5.0)
        answer = await HubAdminStub(channel).SendCommand(command)
    assert (answer.outcome, answer.result.payload) == (pb.COMMAND_OUTCOME_ANSWERED, b"echo")


async def second_life(server: HubServer, client: Process, name: str) -> None:
    """See the node come back, and go on where it was: no line is missing, none is there twice."""
    held = (await printed(client, "welcome"))["last_chunk_seq"]
    assert held > 0
    while await printed(client, "held") < held + 20:
        pass
    lines = [chunk.data for chunk in server.hub.history(name)]
    assert lines == [b"line %d\n" % seq for seq in range(1, len(lines) + 1)]
    assert len(lines) >= held + 20


async def two_lives(
    settings: HubSettings, name: str, credentials: Sequence[str] = (), operator: Credentials | None = None
) -> None:
    """See a node live with a hub, and with the one that comes after it on the same store."""
    async with node_client(settings.listen, name, *credentials) as client:
        async with HubServer(settings) as server:
            await first_life(server, client, name, operator)
        async with HubServer(settings) as server:
            await second_life(server, client, name)


def hub_settings(folder: Path, **settings: Any) -> HubSettings:
    store_url = f"sqlite:///{folder}/hub.db"
    return HubSettings.of(listen=f"127.0.0.1:{free_port()}", store_url=store_url, **settings)


def test_a_node_in_another_language_lives_with_the_hub_and_survives_its_restart(tmp_path: Path) -> None:
    asyncio.run(asyncio.wait_for(two_lives(hub_settings(tmp_path), "näher dran"), 60))


def test_it_does_so_with_tls_a_certificate_and_a_token(tmp_path: Path, pki: Pki) -> None:
    files = {"--tls-ca": "ca.pem", "--cert": "node-a.pem", "--key": "node-a.key", "--token": "node-a.token"}
    credentials = [word for option, name in files.items() for word in (option, str(pki.file(name)))]
    operator = replace(pki.certificate("operator-operator"), token=pki.token_of("operator-operator").token)
    settings = hub_settings(tmp_path, **pki.settings(tokens=True))
    asyncio.run(asyncio.wait_for(two_lives(settings, "a", credentials, operator), 60))


def test_the_hub_tells_it_why_its_credential_is_refused(tmp_path: Path, pki: Pki) -> None:
    async def scene() -> None:
        settings = hub_settings(tmp_path, **pki.settings(client_ca=False, tokens=True))
        credentials = "--tls-ca", str(pki.file("ca.pem")), "--token", str(pki.file("node-b.token"))
        async with HubServer(settings) as server, node_client(settings.listen, "a", *credentials) as client:
            assert "PERMISSION_DENIED" in await printed(client, "error")
            assert not server.hub.registry.nodes

    asyncio.run(asyncio.wait_for(scene(), 60))
