"""Channels to a hub."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import grpc
import pytest
from tests.hub.security.pki import Pki

from heartbench.mesh.address import is_address
from heartbench.mesh.channel import open_aio_channel, open_channel
from heartbench.mesh.credentials import Credentials
from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1.mesh_pb2_grpc import HubAdminServicer, HubAdminStub, add_HubAdminServicer_to_server


class Admin(HubAdminServicer):
    def GetStats(self, request: pb.GetStatsRequest, context: Any) -> pb.HubStats:  # noqa: N802
        """Its epoch is the length of the caller's authorization."""
        return pb.HubStats(epoch=len(dict(context.invocation_metadata()).get("authorization", "")))


@pytest.fixture
def secure_address(pki: Pki) -> Iterator[str]:
    """A hub that demands a certificate."""
    key, certificate = pki.file("hub.key").read_bytes(), pki.file("hub.pem").read_bytes()
    server = grpc.server(ThreadPoolExecutor(1))
    add_HubAdminServicer_to_server(Admin(), server)
    credentials = grpc.ssl_server_credentials([(key, certificate)], pki.file("ca.pem").read_bytes(), True)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


def test_a_channel_has_the_credentials_that_it_is_given(secure_address: str, pki: Pki) -> None:
    with open_channel(secure_address, replace(pki.certificate("node-a"), token="secret")) as channel:
        assert HubAdminStub(channel).GetStats(pb.GetStatsRequest(), timeout=10).epoch == len("Bearer secret")


async def epoch_of(address: str, credentials: Credentials) -> int:
    async with open_aio_channel(address, credentials) as channel:
        return (await HubAdminStub(channel).GetStats(pb.GetStatsRequest(), timeout=10)).epoch


def test_so_has_one_for_asyncio(secure_address: str, pki: Pki) -> None:
    assert asyncio.run(epoch_of(secure_address, pki.certificate("node-a"))) == 0


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("127.0.0.1:50551", True), ("[::1]:1", True), ("hub:65535", True), ("hub", False), (":1", False), ("hub:0", False),
     ("hub:65536", False), ("hub:x", False)],
)  # fmt: skip
def test_an_address_is_host_and_port(text: str, is_one: bool) -> None:
    assert is_address(text) is is_one
