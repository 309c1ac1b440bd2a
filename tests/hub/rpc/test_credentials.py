"""A hub with credentials, on loopback, with certificates and tokens of `heartbench certs`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from tests.hub.security.pki import Pki

from heartbench.hub.config import HubSettings
from heartbench.hub.errors import HubError
from heartbench.hub.rpc.server import HubServer
from heartbench.mesh.channel import open_aio_channel, open_channel
from heartbench.mesh.credentials import Credentials
from heartbench.mesh.encoding import chunk, heartbeat, hello, upload_metadata
from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1.mesh_pb2_grpc import HubAdminStub, NodeMeshStub

DENIED, UNAUTHENTICATED = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED
NO_CONNECTION = grpc.StatusCode.UNAVAILABLE


def run(scene: Callable[[HubServer], Awaitable[None]], **settings: Any) -> None:
    async def served() -> None:
        values = {"listen": "localhost:0", "store_url": "memory:", **settings}
        async with HubServer(HubSettings.of(**values)) as server:
            await scene(server)

    asyncio.run(asyncio.wait_for(served(), 30))


@asynccontextmanager
async def connected(address: str, credentials: Credentials | None, name: str) -> AsyncIterator[Any]:
    """A welcomed node: its Connect stream, which answers each heartbeat that it sends."""
    async with open_aio_channel(address, credentials) as channel:
        stream: Any = NodeMeshStub(channel).Connect()
        await stream.write(hello(name))
        assert (await stream.read()).HasField("welcome")
        yield stream


async def beat(stream: Any, seq: int) -> None:
    await stream.write(heartbeat(seq, ack=True))
    assert (await stream.read()).heartbeat_ack.seq == seq


async def connect_code(address: str, credentials: Credentials | None, name: str) -> grpc.StatusCode:
    """How a Connect stream of a node ends that the hub does not welcome."""
    return await code_of(address, credentials, lambda stub: stub.Connect(iter([hello(name)]), timeout=10))


async def upload_code(address: str, credentials: Credentials | None, name: str) -> grpc.StatusCode:
    """How an Upload stream of a node ends."""
    metadata, message = upload_metadata(name), chunk(1, b"x")
    return await code_of(address, credentials, lambda stub: stub.Upload(iter([message]), metadata=metadata, timeout=10))


async def code_of(
    address: str, credentials: Credentials | None, call: Callable[[NodeMeshStub], Iterator[Any]]
) -> grpc.StatusCode:
    """How a stream ends. (grpc.aio says INTERNAL if it ends while the client writes, so this is not on the loop.)"""

    def ask() -> Any:
        with open_channel(address, credentials) as channel, pytest.raises(grpc.RpcError) as caught:
            next(call(NodeMeshStub(channel)))
        return caught.value.code()

    code: grpc.StatusCode = await asyncio.to_thread(ask)
    return code


async def admin_code(address: str, credentials: Credentials | None) -> grpc.StatusCode:
    """How a call of HubAdmin ends."""
    async with open_aio_channel(address, credentials) as channel:
        try:
            await HubAdminStub(channel).GetStats(pb.GetStatsRequest(), timeout=10)
        except grpc.aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK


async def stats(address: str, credentials: Credentials) -> pb.HubStats:
    async with open_aio_channel(address, credentials) as channel:
        return await HubAdminStub(channel).GetStats(pb.GetStatsRequest(), timeout=10)


Refusals = Sequence[tuple[Credentials | None, str, grpc.StatusCode]]


async def check(server: HubServer, refused: Refusals, honest: Credentials, operator: Credentials) -> None:
    """Each of `refused` ends with its status, as Connect and as Upload, and the honest node `a` goes on meanwhile."""
    async with connected(server.address, honest, "a") as stream:
        for seq, (credentials, name, code) in enumerate(refused, 1):
            assert await connect_code(server.address, credentials, name) is code
            assert await upload_code(server.address, credentials, name) is code
            await beat(stream, seq)
        found = await stats(server.address, operator)
        codes = [code for _, _, code in refused for _ in ("connect", "upload")]
        assert found.access.unauthenticated == codes.count(UNAUTHENTICATED)
        assert found.access.not_allowed == codes.count(DENIED)
        assert list(server.hub.registry.nodes) == ["a"]
        assert server.hub.registry.nodes["a"].heartbeats == len(refused)


def test_only_a_certificate_of_the_ca_connects_and_only_under_its_name(pki: Pki) -> None:
    async def scene(server: HubServer) -> None:
        a, operator = pki.certificate("node-a"), pki.certificate("operator-operator")
        refused = [
            (pki.certificate("node-b"), "a", DENIED),
            (pki.certificate("node-n%2A"), "a", DENIED),
            (pki.certificate("node-a", pki.stranger), "a", NO_CONNECTION),
            (pki.expired_certificate("a"), "a", NO_CONNECTION),
            (pki.certificate("hub"), "a", NO_CONNECTION),  # a server's certificate is no client's
            (replace(a, certificate=b"", key=b""), "a", NO_CONNECTION),
            (None, "a", NO_CONNECTION),
        ]
        await check(server, refused, a, operator)
        assert (await stats(server.address, operator)).access.tls_handshakes > len(refused)
        async with connected(server.address, pki.certificate("node-n%2A"), "n17") as stream:
            await beat(stream, 1)

    run(scene, **pki.settings())


def test_only_a_token_in_the_file_connects_and_only_under_its_name(pki: Pki) -> None:
    async def scene(server: HubServer) -> None:
        refused = [
            (pki.token_of("node-b"), "a", DENIED),
            (pki.token("guessed"), "a", UNAUTHENTICATED),
            (pki.expired_token("a"), "a", UNAUTHENTICATED),
            (replace(pki.token_of("node-a"), token=""), "a", UNAUTHENTICATED),
            (pki.certificate("node-a"), "a", UNAUTHENTICATED),  # not asked for
            (None, "a", NO_CONNECTION),
        ]
        await check(server, refused, pki.token_of("node-a"), pki.token_of("operator-operator"))

    run(scene, **pki.settings(client_ca=False, tokens=True))


def test_a_hub_that_asks_for_both_lets_both_decide(pki: Pki) -> None:
    async def scene(server: HubServer) -> None:
        refused = [
            (pki.both("node-a", "node-b"), "a", DENIED),
            (pki.both("node-b", "node-a"), "a", DENIED),
            (pki.certificate("node-a"), "a", UNAUTHENTICATED),
            (pki.token_of("node-a"), "a", NO_CONNECTION),
        ]
        operator = pki.both("operator-operator", "operator-operator")
        await check(server, refused, pki.both("node-a", "node-a"), operator)
        assert await admin_code(server.address, pki.both("operator-operator", "node-a")) is DENIED
        assert await admin_code(server.address, pki.both("node-a", "operator-operator")) is DENIED

    run(scene, **pki.settings(tokens=True))


@pytest.mark.parametrize("kind", ["certificate", "token"])
def test_a_node_calls_nothing_of_hub_admin(pki: Pki, kind: str) -> None:
    of_kind = {"certificate": pki.certificate, "token": pki.token_of}[kind]

    async def scene(server: HubServer) -> None:
        async with open_aio_channel(server.address, of_kind("node-a")) as channel:
            admin = HubAdminStub(channel)
            calls: list[Any] = [
                admin.ListNodes(pb.ListNodesRequest()),
                admin.GetNode(pb.GetNodeRequest(node_id="a")),
                admin.GetHistory(pb.GetHistoryRequest(node_id="a")),
                admin.SendCommand(pb.SendCommandRequest(node_id="a", within_s=1)),
                admin.GetStats(pb.GetStatsRequest()),
                admin.ForgetNode(pb.ForgetNodeRequest(node_id="a")),
                admin.DebugNode(pb.DebugNodeRequest(node_id="a", on=True)),
                admin.WatchEvents(pb.WatchEventsRequest()).read(),
            ]
            for call in calls:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call
                assert caught.value.code() is DENIED
        found = await stats(server.address, of_kind("operator-operator"))
        assert found.access.not_allowed == len(calls)
        async with connected(server.address, of_kind("operator-operator"), "any"):
            pass

    run(scene, **pki.settings(client_ca=kind == "certificate", tokens=kind == "token"))


def test_health_needs_a_connection_and_no_token(pki: Pki) -> None:
    async def healthy(address: str, credentials: Credentials) -> bool:
        async with open_aio_channel(address, credentials) as channel:
            stub: Any = HealthStub(channel)
            answer = await stub.Check(HealthCheckRequest(service=""), timeout=10)
        return bool(answer.status == HealthCheckResponse.SERVING)

    async def scene(server: HubServer) -> None:
        for address in server.address, server.admin_address:
            assert await healthy(address, pki.certificate("node-a"))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await healthy(address, pki.token_of("node-a"))
            assert caught.value.code() is NO_CONNECTION

    run(scene, admin_listen="localhost:0", **pki.settings(tokens=True))


def test_garbage_and_silence_at_the_port_are_closed_and_disturb_nobody(pki: Pki) -> None:
    async def scene(server: HubServer) -> None:
        port = int(server.address.rpartition(":")[2])
        async with connected(server.address, pki.certificate("node-a"), "a") as stream:
            writers = []
            for seq, data in enumerate([b"\x00\xff" * 500, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b""], 1):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(data)
                await beat(stream, seq)
                await reader.read()  # ends when the hub closes the connection
                writers.append(writer)
            await beat(stream, 5)
            for writer in writers:
                writer.close()

    run(scene, **pki.settings(), hello_within_s=0.3)


def test_operators_have_an_address_of_their_own_if_one_is_set(pki: Pki) -> None:
    async def scene(server: HubServer) -> None:
        assert server.admin_address != server.address
        operator = pki.certificate("operator-operator")
        assert await admin_code(server.address, operator) is grpc.StatusCode.UNIMPLEMENTED
        assert await admin_code(server.admin_address, operator) is grpc.StatusCode.OK
        assert await admin_code(server.admin_address, pki.certificate("node-a")) is DENIED
        code = await connect_code(server.admin_address, pki.certificate("node-a"), "a")
        assert code is grpc.StatusCode.UNIMPLEMENTED

    run(scene, **pki.settings(), admin_listen="127.0.0.1:0")


def test_an_address_for_operators_that_is_in_use_is_one_line() -> None:
    async def scene(server: HubServer) -> None:
        with pytest.raises(HubError, match=r"^HUB_ADMIN_LISTEN='.*' cannot be bound"):
            async with HubServer(HubSettings.of(listen="127.0.0.1:0", admin_listen=server.address)):
                pass

    run(scene, listen="127.0.0.1:0")


def replace_certificate(pki: Pki, folder: Path, *, whole: bool = True) -> None:
    """Put the stranger's certificate for the hub in place, and its key unless only half is done."""
    for name in ("hub.pem", "hub.key") if whole else ("hub.pem",):
        (folder / f"{name}.new").write_bytes((pki.stranger / name).read_bytes())
        (folder / f"{name}.new").replace(folder / name)


@pytest.mark.slow
def test_a_replaced_certificate_is_for_new_connections_and_old_ones_stay(pki: Pki, tmp_path: Path) -> None:
    nodes = 300
    files = {name: tmp_path / name for name in ("hub.pem", "hub.key")}
    for name, path in files.items():
        path.write_bytes(pki.file(name).read_bytes())
    ours = pki.certificate("node-n%2A")
    theirs = replace(ours, ca=(pki.stranger / "ca.pem").read_bytes())

    async def scene(server: HubServer) -> None:
        channels = [open_aio_channel(server.address, ours) for _ in range(nodes)]
        streams = [NodeMeshStub(channel).Connect() for channel in channels]
        for number, stream in enumerate(streams):
            await stream.write(hello(f"n{number}"))
            await stream.read()
        replace_certificate(pki, tmp_path, whole=False)
        async with connected(server.address, ours, "n-half"):  # a certificate without its key changes nothing
            pass
        replace_certificate(pki, tmp_path)
        async with connected(server.address, theirs, "n-new"):
            assert await connect_code(server.address, ours, "n-old") is NO_CONNECTION
        for stream in streams:
            await beat(stream, 1)
        for channel in channels:
            await channel.close()

    run(scene, **pki.settings() | {"tls_cert": files["hub.pem"], "tls_key": files["hub.key"]}, admit_per_s=0)


def test_a_replaced_ca_of_clients_is_for_new_connections(pki: Pki, tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_bytes(pki.file("ca.pem").read_bytes())

    async def scene(server: HubServer) -> None:
        ours, theirs = pki.certificate("node-a"), pki.certificate("node-a", pki.stranger)
        async with connected(server.address, ours, "a") as stream:
            assert await connect_code(server.address, theirs, "a") is NO_CONNECTION
            authority.write_bytes((pki.stranger / "ca.pem").read_bytes())
            assert await connect_code(server.address, ours, "a") is NO_CONNECTION
            await beat(stream, 1)
        async with connected(server.address, theirs, "a"):
            pass

    run(scene, **pki.settings() | {"tls_client_ca": authority})


def test_a_new_token_is_accepted_without_a_restart(pki: Pki, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    lines = pki.file("tokens").read_text().splitlines()
    tokens.write_text(lines[1])

    async def scene(server: HubServer) -> None:
        assert await connect_code(server.address, pki.token_of("node-a"), "a") is UNAUTHENTICATED
        tokens.write_text("\n".join(lines))
        async with connected(server.address, pki.token_of("node-a"), "a") as stream:
            tokens.write_text("# none any more\n")
            assert await connect_code(server.address, pki.token_of("node-a"), "a") is UNAUTHENTICATED
            await beat(stream, 1)

    run(scene, **pki.settings(client_ca=False) | {"tokens": tokens})


def test_tokens_need_no_tls_on_loopback_where_a_proxy_may_do_it(pki: Pki) -> None:
    async def scene(server: HubServer) -> None:
        assert await connect_code(server.address, None, "a") is UNAUTHENTICATED
        token = ("authorization", f"Bearer {pki.token_of('operator-operator').token}")
        async with open_aio_channel(server.address) as channel:
            await HubAdminStub(channel).GetStats(pb.GetStatsRequest(), metadata=(token,), timeout=10)

    run(scene, tokens=pki.file("tokens"))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"tls_cert": "missing.pem"}, r"HUB_TLS_\*: .*missing.pem: cannot be read: No such file"),
        ({"tls_key": "ca.key"}, r"HUB_TLS_\*: .*ca.key: not the key of the certificate .*hub.pem"),
        ({"tls_client_ca": "hub.key"}, r"HUB_TLS_\*: .*hub.key: not a PEM file with certificates"),
        ({"tokens": "hub.pem"}, "hub.pem: line 1: expected ROLE NAME SHA256"),
    ],
)
def test_a_wrong_file_keeps_the_hub_from_starting(pki: Pki, files: dict[str, str], message: str) -> None:
    async def scene(server: HubServer) -> None:
        raise AssertionError("it started")

    with pytest.raises(HubError, match=message):
        run(scene, **pki.settings() | {setting: pki.file(name) for setting, name in files.items()})
