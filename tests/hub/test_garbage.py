"""Garbage into every call of a real hub: it is refused, nobody else is affected, nothing grows, nothing is lost."""

import asyncio
import logging
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.hub.garbage import TEXTS, bytes_of

from heartbench.hub.config import HubSettings
from heartbench.hub.rpc.server import HubServer
from heartbench.hub.store.history import Position
from heartbench.mesh import encoding
from heartbench.mesh.channel import open_aio_channel
from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1.mesh_pb2_grpc import HubAdminStub, NodeMeshStub

SERVICES = pb.DESCRIPTOR.services_by_name.values()
METHODS = [method for service in SERVICES for method in service.methods]
AT_MOST_S = 0.05
"""Time that a call gets which waits, for a node or an event."""

MAX_NODES = 50
HISTORY_CHUNKS = 3

calls: Any = st.sampled_from(METHODS).flatmap(
    lambda method: st.tuples(
        st.just(method),
        st.lists(bytes_of(method.input_type), min_size=1, max_size=4 if method.client_streaming else 1),
        st.sampled_from(TEXTS),
    )
)
chunks = st.lists(
    st.tuples(st.sampled_from([1, 1, 1, 2]), st.integers(0, 6), st.sampled_from([b"a", b"b", bytes(200)])), max_size=10
)


async def ask(channel: grpc.aio.Channel, method: Any, sent: Sequence[bytes], name: str) -> grpc.StatusCode:
    """Make one call; return how it ended, CANCELLED if it did not end."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    data: Any = sent[0]  # (the stubs know no call without a serializer)
    metadata = encoding.upload_metadata(name) if method.name == "Upload" else ()
    try:
        async with asyncio.timeout(AT_MOST_S if method.name in ("WatchEvents", "SendCommand") else 10.0):
            if method.client_streaming:
                stream: Any = channel.stream_stream(path)(metadata=metadata)
                for one in sent:
                    await stream.write(one)
                await stream.done_writing()
                while await stream.read() is not grpc.aio.EOF:
                    pass
            elif method.server_streaming:
                events: Any = channel.unary_stream(path)(data)
                try:
                    while await events.read() is not grpc.aio.EOF:
                        pass
                finally:
                    events.cancel()
            else:
                await channel.unary_unary(path)(data)
    except grpc.aio.AioRpcError as error:
        return error.code()
    except asyncio.InvalidStateError:
        return grpc.StatusCode.ABORTED  # it ended between two of our steps
    except TimeoutError:
        return grpc.StatusCode.CANCELLED
    return grpc.StatusCode.OK


async def upload(channel: grpc.aio.Channel, name: str, sent: Sequence[tuple[int, int, bytes]]) -> None:
    """Send chunks as they come, and check that what is acknowledged is held."""
    node, admin = NodeMeshStub(channel), HubAdminStub(channel)
    refused: list[grpc.StatusCode] = []
    for boot_id in sorted({boot_id for boot_id, _, _ in sent}):
        connect = node.Connect()
        await connect.write(encoding.hello(name, boot_id))
        assert (await connect.read()).HasField("welcome")
        stream = node.Upload(metadata=encoding.upload_metadata(name))
        expected: dict[Position, bytes] = {}
        try:
            for _, seq, data in (one for one in sent if one[0] == boot_id):
                await stream.write(encoding.chunk(seq, data, boot_id))
                ack = await stream.read()
                assert (ack.boot_id, ack.seq) == (boot_id, seq)
                assert expected.setdefault((boot_id, seq), data) == data
        except grpc.aio.AioRpcError as error:
            refused.append(error.code())
        assert {*refused} <= {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION}
        stream.cancel()
        connect.cancel()
        if expected:
            held = (await admin.GetHistory(pb.GetHistoryRequest(node_id=name))).chunks
            newest = sorted(expected)[-HISTORY_CHUNKS:]
            assert {(one.boot_id, one.seq): one.data for one in held}.items() >= {
                position: expected[position] for position in newest
            }.items()
    if sent:
        await admin.ForgetNode(pb.ForgetNodeRequest(node_id=name))


def test_garbage_is_refused_and_harms_nobody(fuzz: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    hub_settings = HubSettings.of(
        listen="127.0.0.1:0",
        store_url=f"sqlite:///{tmp_path}/hub.db",
        store_linger_s=0,
        files_dir=tmp_path / "files",
        max_nodes=MAX_NODES,
        message_bytes=8192,
        history_chunks=HISTORY_CHUNKS,
        admit_per_s=0,
        drain_s=0,
        log_level="error",
    )
    with asyncio.Runner() as runner:
        server = HubServer(hub_settings)
        runner.run(server.__aenter__())
        channel = runner.run(opened(server.address))
        number = 0

        @settings(max_examples=fuzz, suppress_health_check=list(HealthCheck), database=None)
        @given(st.lists(calls, max_size=5), chunks)
        def example(asked: Any, sent: list[tuple[int, int, bytes]]) -> None:
            nonlocal number
            number += 1
            codes = runner.run(together(channel, asked))
            assert grpc.StatusCode.UNKNOWN not in codes  # gRPC's answer for a handler that raised something
            runner.run(upload(channel, f"honest-{number}", sent))

        example()
        runner.run(idle(server))
        stats, hub = server.stats(), server.hub
        assert (stats.uploads, stats.subscribers, stats.commands_waiting, stats.connected) == (0, 0, 0, 0)
        assert (stats.store.queued_chunks, stats.store.health.state) == (0, "ok")
        assert len(hub.registry.nodes) <= MAX_NODES
        assert hub.histories.keys() <= hub.registry.nodes.keys()
        runner.run(channel.close())
        runner.run(server.__aexit__(None, None, None))
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
    print(f"{number} examples, {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB")


async def idle(server: HubServer) -> None:
    """Wait until the hub has noticed that all calls have ended."""
    for _ in range(100):
        stats = server.stats()
        if (stats.uploads, stats.subscribers, stats.commands_waiting, stats.connected) == (0, 0, 0, 0):
            return
        await asyncio.sleep(0.05)


async def opened(address: str) -> grpc.aio.Channel:
    return open_aio_channel(address)


async def together(channel: grpc.aio.Channel, asked: Any) -> list[grpc.StatusCode]:
    return list(await asyncio.gather(*(ask(channel, *one) for one in asked)))
