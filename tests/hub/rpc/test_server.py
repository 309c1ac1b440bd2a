"""The hub under real gRPC on loopback."""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import grpc
import grpc.aio
import pytest
from structlog.testing import capture_logs
from tests.connections import accepted_connections

from heartbench.hub.config import HubSettings
from heartbench.hub.errors import HubError
from heartbench.hub.events.fanout import StoreChanged
from heartbench.hub.rpc.server import HubServer, serve
from heartbench.hub.store.protocol import FencedError
from heartbench.mesh.channel import open_aio_channel
from heartbench.mesh.encoding import (
    chunk,
    command_result,
    file_chunk,
    goodbye,
    heartbeat,
    hello,
    upload_metadata,
    upload_of,
)
from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1.mesh_pb2_grpc import HubAdminStub, NodeMeshStub

Stream = grpc.aio.StreamStreamCall[pb.NodeMessage, pb.HubMessage]

EVENTS = 1000


def run(scene: Callable[[HubServer], Awaitable[None]], **settings: object) -> None:
    async def served() -> None:
        async with HubServer(HubSettings.of(listen="127.0.0.1:0", **{"store_url": "memory:", **settings})) as server:
            await scene(server)

    asyncio.run(asyncio.wait_for(served(), 20))


def user_timeouts_ms(port: int) -> list[int]:
    """TCP_USER_TIMEOUT of the connections that this process has accepted on `port`."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError), socket.socket(fileno=os.dup(int(name))) as one:
            if one.family in (socket.AF_INET, socket.AF_INET6) and one.getsockname()[1] == port and one.getpeername():
                found.append(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))
    return found


def silent_client(address: str) -> socket.socket:
    """A client that speaks HTTP/2 as far as its SETTINGS, and then no more."""
    host, _, port = address.rpartition(":")
    client = socket.create_connection((host, int(port)))
    client.setblocking(False)
    client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
    return client


@pytest.mark.parametrize(
    ("settings", "timeout_ms"),
    [({}, 20_000), ({"keepalive_timeout_s": 7}, 7_000), ({"keepalive_s": 0, "keepalive_timeout_s": 7}, 0)],
    ids=["by default", "another timeout", "no pings"],
)
def test_tcp_gives_a_connection_up_as_the_settings_say(settings: dict[str, float], timeout_ms: int) -> None:
    async def scene(server: HubServer) -> None:
        port = int(server.address.rpartition(":")[2])
        async with open_aio_channel(server.address) as channel:
            stream = NodeMeshStub(channel).Connect()
            await stream.write(hello("n"))
            await stream.read()
            assert user_timeouts_ms(port) == [timeout_ms]

    run(scene, **settings)


def test_a_connection_that_answers_no_ping_is_closed() -> None:
    async def scene(server: HubServer) -> None:
        with silent_client(server.address) as client:
            while await asyncio.get_running_loop().sock_recv(client, 4096):
                pass

    run(scene, keepalive_s=1, keepalive_timeout_s=1)


def test_power_losses_of_a_node_leave_it_its_uploads() -> None:
    """Connect and Upload have connections of their own, and none of the old ones is ever closed."""

    async def scene(server: HubServer) -> None:
        channels = []
        for boot_id in range(1, 7):
            control, output = open_aio_channel(server.address), open_aio_channel(server.address)
            channels += [control, output]
            stream = NodeMeshStub(control).Connect()
            await stream.write(hello("n", boot_id))
            await stream.read()
            upload = NodeMeshStub(output).Upload(metadata=upload_metadata("n"))
            await upload.write(chunk(1, b"text", boot_id))
            assert (await upload.read()).boot_id == boot_id
        assert server.stats().uploads == 1
        for channel in channels:
            await channel.close()

    run(scene)


def test_an_upload_without_hello_and_messages_holds_no_place_for_long() -> None:
    async def scene(server: HubServer) -> None:
        async with open_aio_channel(server.address) as channel:
            upload = NodeMeshStub(channel).Upload(metadata=upload_metadata("n"))
            with pytest.raises(grpc.aio.AioRpcError) as ended:
                await upload.read()
            assert ended.value.code() is grpc.StatusCode.FAILED_PRECONDITION
            assert "no Connect stream" in (ended.value.details() or "")
            assert server.stats().uploads == 0

    run(scene, hello_within_s=0.1)


def test_a_node_speaks_and_an_operator_sees_it() -> None:
    async def scene(server: HubServer) -> None:
        async with open_aio_channel(server.address) as channel:
            node, admin = NodeMeshStub(channel), HubAdminStub(channel)
            events = admin.WatchEvents(pb.WatchEventsRequest())
            await events.initial_metadata()
            stream = node.Connect()
            await stream.write(hello("n"))
            welcome = await stream.read()
            assert welcome.welcome.epoch == server.hub.epoch
            await stream.write(heartbeat(1, ack=True))
            assert (await stream.read()).heartbeat_ack.seq == 1
            upload = node.Upload(metadata=upload_metadata("n"))
            await upload.write(chunk(1, b"text"))
            assert (await upload.read()).seq == 1
            info = await admin.GetNode(pb.GetNodeRequest(node_id="n"))
            assert (info.status, info.connected, info.heartbeats) == (pb.STATUS_ONLINE, True, 1)
            history = await admin.GetHistory(pb.GetHistoryRequest(node_id="n"))
            assert [stored.data for stored in history.chunks] == [b"text"]
            await stream.write(goodbye())
            assert await stream.read() is grpc.aio.EOF
            told = [await events.read() for _ in range(2)]
            assert [event.changed.reason for event in told] == [pb.REASON_REGISTERED, pb.REASON_GOODBYE]
            assert [event.seq for event in told] == [1, 2]
            listed = await admin.ListNodes(pb.ListNodesRequest(status=pb.STATUS_OFFLINE))
            assert ([node.node_id for node in listed.nodes], listed.last_seq) == (["n"], 2)

    run(scene)


def test_silence_makes_stale_in_time() -> None:
    async def scene(server: HubServer) -> None:
        async with open_aio_channel(server.address) as channel:
            events = HubAdminStub(channel).WatchEvents(pb.WatchEventsRequest(node_id="n"))
            await events.initial_metadata()
            stream = NodeMeshStub(channel).Connect()
            await stream.write(hello("n"))
            registered, stale = await events.read(), await events.read()
            assert stale.changed.reason == pb.REASON_SILENCE
            assert stale.at_unix_s - registered.at_unix_s == pytest.approx(0.2, abs=0.01)

    run(scene, stale_after_s=0.2)


def test_each_node_has_one_tcp_connection() -> None:
    async def scene(server: HubServer) -> None:
        port = int(server.address.rpartition(":")[2])
        channels = [open_aio_channel(server.address) for _ in range(10)]
        for number, channel in enumerate(channels):
            node = NodeMeshStub(channel)
            stream, upload = node.Connect(), node.Upload(metadata=upload_metadata(f"n{number}"))
            await stream.write(hello(f"n{number}"))
            await stream.read()
            await upload.write(chunk(1))
            await upload.read()
        assert accepted_connections(port) == 10
        for channel in channels:
            await channel.close()

    run(scene)


def test_a_busy_port_is_refused() -> None:
    async def scene(server: HubServer) -> None:
        with pytest.raises(HubError, match=f"HUB_LISTEN='{server.address}' cannot be bound"):
            async with HubServer(HubSettings.of(listen=server.address, store_url="memory:")):
                pass

    run(scene)


def test_a_port_that_another_program_holds_is_refused() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        settings = HubSettings.of(listen=f"127.0.0.1:{other.getsockname()[1]}", store_url="memory:")
        with pytest.raises(HubError, match="cannot be bound"):
            asyncio.run(serve(settings, ready=print))


@pytest.mark.parametrize(
    ("first", "code"),
    [
        (heartbeat(1, ack=True), grpc.StatusCode.INVALID_ARGUMENT),
        (hello("n", boot_id=0), grpc.StatusCode.FAILED_PRECONDITION),
    ],
)
def test_a_stream_that_begins_wrongly_is_told_why(first: pb.NodeMessage, code: grpc.StatusCode) -> None:
    async def scene(server: HubServer) -> None:
        async with open_aio_channel(server.address) as channel:
            known, stream = NodeMeshStub(channel).Connect(), NodeMeshStub(channel).Connect()
            await known.write(hello("n"))
            await known.read()
            await stream.write(first)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stream.read()
            assert caught.value.code() is code

    run(scene)


def test_what_the_hub_never_saw_is_not_found() -> None:
    async def scene(server: HubServer) -> None:
        async with open_aio_channel(server.address) as channel:
            admin = HubAdminStub(channel)
            for call in (
                admin.GetNode(pb.GetNodeRequest(node_id="x")),
                admin.GetHistory(pb.GetHistoryRequest(node_id="x")),
            ):
                with pytest.raises(grpc.aio.AioRpcError, match="never saw a node 'x'"):
                    await call

    run(scene)


def test_a_connection_that_breaks_leaves_the_node_online_and_not_connected() -> None:
    async def scene(server: HubServer) -> None:
        channel = open_aio_channel(server.address)
        stream = NodeMeshStub(channel).Connect()
        await stream.write(hello("n"))
        await stream.read()
        ended = asyncio.Event()
        with server.hub.fanout.subscribe("n", ended.set):
            await channel.close()
            await ended.wait()
        node = server.hub.registry.nodes["n"]
        assert (node.status, node.connected) == ("online", False)

    run(scene)


async def connected(channel: grpc.aio.Channel, node_id: str, boot_id: int = 1) -> Stream:
    """A stream of a node that was welcomed."""
    stream = NodeMeshStub(channel).Connect()
    await stream.write(hello(node_id, boot_id))
    assert (await stream.read()).HasField("welcome")
    return stream


def test_a_command_reaches_a_node_when_it_comes_back_and_is_answered() -> None:
    async def scene(server: HubServer) -> None:
        async with open_aio_channel(server.address) as channel:
            first = await connected(channel, "n")
            await first.write(goodbye())
            assert await first.read() is grpc.aio.EOF
            request = pb.SendCommandRequest(node_id="n", payload=b"uptime", within_s=10)
            asked = asyncio.ensure_future(HubAdminStub(channel).SendCommand(request))
            again = await connected(channel, "n", boot_id=2)
            command = (await again.read()).command
            assert command.payload == b"uptime"
            assert 9 < command.within_s <= 10
            result = command_result(command.command_id, b"5 days")
            await again.write(result)
            response = await asked
            assert (response.outcome, response.result) == (pb.COMMAND_OUTCOME_ANSWERED, result.command_result)

    run(scene)


def test_a_replaced_stream_learns_from_where() -> None:
    async def scene(server: HubServer) -> None:
        async with open_aio_channel(server.address) as channel:
            old, new = await connected(channel, "n"), await connected(channel, "n", boot_id=2)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await old.read()
            assert caught.value.code() is grpc.StatusCode.ABORTED
            assert "a newer stream, from 127.0.0.1:" in str(caught.value.details())
            await new.write(heartbeat(1, ack=True))
            assert (await new.read()).heartbeat_ack.seq == 1

    run(scene)


def test_a_storm_is_told_when_to_come_back() -> None:
    async def scene(server: HubServer) -> None:
        async with open_aio_channel(server.address) as channel:
            await connected(channel, "a")
            stream = NodeMeshStub(channel).Connect()
            await stream.write(hello("b"))
            assert (await stream.read()).throttle.retry_after_s > 0
            assert await stream.read() is grpc.aio.EOF

    run(scene, admit_per_s=0.5)


def test_a_subscriber_that_does_not_read_is_told_what_it_lost_and_holds_up_nobody() -> None:
    async def scene(server: HubServer) -> None:
        async with (
            open_aio_channel(server.address) as slow_channel,
            open_aio_channel(server.address) as channel,
        ):
            slow = HubAdminStub(slow_channel).WatchEvents(pb.WatchEventsRequest())
            quick = HubAdminStub(channel).WatchEvents(pb.WatchEventsRequest())
            await slow.initial_metadata()
            await quick.initial_metadata()
            for number in range(EVENTS):
                server.hub.fanout.publish(0.0, StoreChanged(f"state {number}", "x" * 20_000))
                assert (await quick.read()).seq == number + 1
            seen = 0
            while seen < EVENTS:
                event = await slow.read()
                seen += event.lost.count if event.HasField("lost") else 1
                assert event.seq == seen
            assert server.stats().events_lost > 0

    run(scene, event_queue=50)


def test_what_a_node_said_is_there_after_a_restart_before_the_node_is(tmp_path: Path) -> None:
    store_url = f"sqlite:///{tmp_path}/hub.db"
    epochs = []

    async def before(server: HubServer) -> None:
        epochs.append(server.hub.epoch)
        async with open_aio_channel(server.address) as channel:
            await connected(channel, "n")
            upload = NodeMeshStub(channel).Upload(metadata=upload_metadata("n"))
            await upload.write(chunk(1, b"text"))
            assert (await upload.read()).seq == 1

    async def after(server: HubServer) -> None:
        epochs.append(server.hub.epoch)
        async with open_aio_channel(server.address) as channel:
            admin = HubAdminStub(channel)
            history = await admin.GetHistory(pb.GetHistoryRequest(node_id="n"))
            assert [stored.data for stored in history.chunks] == [b"text"]
            info = await admin.GetNode(pb.GetNodeRequest(node_id="n"))
            assert (info.status, info.connected) == (pb.STATUS_ONLINE, False)
            stream = NodeMeshStub(channel).Connect()
            await stream.write(hello("n", connection=1))
            assert (await stream.read()).welcome.last_chunk_seq == 1

    run(before, store_url=store_url)
    run(after, store_url=store_url)
    assert epochs[0] < epochs[1]


def test_a_hub_whose_store_another_took_ends_and_says_so(tmp_path: Path) -> None:
    settings = HubSettings.of(listen="127.0.0.1:0", store_url=f"sqlite:///{tmp_path}/hub.db", drain_s=0)

    async def scene() -> None:
        async with HubServer(settings) as first, HubServer(settings), open_aio_channel(first.address) as node:
            await connected(node, "n")
            with pytest.raises(FencedError):
                await first.run_until(asyncio.Event())

    asyncio.run(asyncio.wait_for(scene(), 20))


def test_no_thread_is_started_but_for_the_executor_and_the_store(tmp_path: Path) -> None:
    before = set(threading.enumerate())

    async def scene(server: HubServer) -> None:
        async with open_aio_channel(server.address) as channel:
            await connected(channel, "n")
            upload = NodeMeshStub(channel).Upload(metadata=upload_metadata("n"))
            await upload.write(chunk(1))
            await upload.read()
        started = {thread.name for thread in threading.enumerate() if thread not in before}
        ours = {name for name in started if "_poll_wrapper" not in name}  # gRPC's own
        assert ours == {"store-writer_0", "hub-worker-0", "hub-worker-1"}

    run(scene, files_dir=tmp_path, executor_workers=2)


def test_a_port_that_is_busy_leaves_the_store_to_the_hub_that_has_it(tmp_path: Path) -> None:
    async def scene(server: HubServer) -> None:
        epoch = server.hub.epoch
        with pytest.raises(HubError, match="cannot be bound"):
            async with HubServer(server.settings.changed(listen=server.address)):
                pass
        async with HubServer(server.settings) as next_one:
            assert next_one.hub.epoch == epoch + 1

    run(scene, store_url=f"sqlite:///{tmp_path}/hub.db")


@pytest.mark.parametrize("wrong", ["files_dir", "observe_file", "trace_dir"])
def test_a_hub_that_cannot_begin_leaves_the_store_to_the_hub_that_has_it(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "a file").touch()

    async def scene(server: HubServer) -> None:
        bad = server.settings.changed(**{wrong: tmp_path / "a file" / "below"})
        with pytest.raises(HubError):
            async with HubServer(bad):
                pass
        async with HubServer(server.settings) as next_one:
            assert next_one.hub.epoch == server.hub.epoch + 1

    run(scene, store_url=f"sqlite:///{tmp_path}/hub.db")


def test_an_empty_store_is_said_at_the_start(tmp_path: Path) -> None:
    async def scene(server: HubServer) -> None:
        async with open_aio_channel(server.address) as channel:
            await connected(channel, "n")

    said = []
    for _ in range(2):
        with capture_logs() as logs:
            run(scene, store_url=f"sqlite:///{tmp_path}/hub.db")
        said.append([entry["store"] for entry in logs if entry["event"].startswith("the store is empty")])
    assert said == [[f"sqlite:///{tmp_path}/hub.db"], []]


def test_workers_for_files_run_before_anybody_is_let_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    let_in = grpc.aio._server.Server.start
    running: list[str] = []

    async def start(server: grpc.aio.Server) -> None:
        running.extend(thread.name for thread in threading.enumerate() if thread.name.startswith("hub-worker"))
        await let_in(server)

    async def scene(server: HubServer) -> None:
        assert running == ["hub-worker-0", "hub-worker-1"]

    monkeypatch.setattr("grpc.aio._server.Server.start", start)
    run(scene, files_dir=tmp_path, executor_workers=2)


@pytest.mark.parametrize("wrong", ["files_dir", "observe_file", "trace_dir"])
def test_a_hub_that_cannot_begin_leaves_nothing_open(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "a file").touch()
    path = f"{tmp_path}/hub.db"

    async def scene() -> None:
        settings = HubSettings.of(listen="127.0.0.1:0", store_url=f"sqlite:///{path}")
        with pytest.raises(HubError):
            async with HubServer(settings.changed(**{wrong: tmp_path / "a file" / "below"})):
                pass

    asyncio.run(asyncio.wait_for(scene(), 20))
    assert path not in {os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()}


def test_a_file_arrives_and_too_long_a_message_does_not(tmp_path: Path) -> None:
    async def scene(server: HubServer) -> None:
        async with open_aio_channel(server.address) as channel:
            await connected(channel, "n")
            upload = NodeMeshStub(channel).Upload(metadata=upload_metadata("n"))
            await upload.write(upload_of(file_chunk("a", 0, b"1", sha256(b"1").digest())))
            assert (await upload.read()).file.complete
            await upload.write(chunk(1, bytes(5000)))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await upload.read()
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert (tmp_path / "files" / "n" / "a").read_bytes() == b"1"

    run(scene, files_dir=tmp_path, message_bytes=4096)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_the_nodes_and_ends_the_hub_without_a_word_on_them(
    tmp_path: Path, number: signal.Signals
) -> None:
    observed = tmp_path / "observer.jsonl"
    settings = HubSettings.of(listen="127.0.0.1:0", store_url="memory:", observe_file=observed)

    async def scene() -> float:
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(serve(settings, lambda server: ready.set_result(server.address)))
        async with open_aio_channel(await ready) as channel:
            node = NodeMeshStub(channel)
            stream, upload = node.Connect(), node.Upload(metadata=upload_metadata("n"))
            await stream.write(hello("n"))
            await stream.read()
            await upload.write(chunk(1))
            assert (await upload.read()).seq == 1  # heard: what is still in the socket at the signal may not be
            began = asyncio.get_running_loop().time()
            os.kill(os.getpid(), number)
            assert (await stream.read()).drain.reconnect_after_s > 0
            assert await stream.read() is grpc.aio.EOF
            await serving
            return asyncio.get_running_loop().time() - began

    assert asyncio.run(asyncio.wait_for(scene(), 20)) < 1.0
    kinds = [line.split(",")[0] for line in observed.read_text().splitlines()]
    assert kinds == ['["header"', '["receipt"', '["change"', '["receipt"', '["end"']
