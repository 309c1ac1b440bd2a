"""A store that is out of reach or has no room: nodes are heard all the same, it is said, and nothing is lost."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from structlog.testing import capture_logs

from heartbench.hub.config import HubSettings
from heartbench.hub.rpc.server import HubServer
from heartbench.hub.store.history import History
from heartbench.hub.store.url import open_store
from heartbench.mesh.channel import open_aio_channel
from heartbench.mesh.encoding import chunk, heartbeat, hello, upload_metadata
from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1.mesh_pb2_grpc import HubAdminStub, NodeMeshStub

CHUNKS, BEFORE = 600, 20
QUEUE = 50
HELD, HELD_BYTES = 150, 1 << 20
DATA = b"x" * 1000

Trouble = Callable[[HubServer], Any]


@contextmanager
def a_lock(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as somebody:
        somebody.execute("BEGIN IMMEDIATE")
        yield
        somebody.execute("ROLLBACK")


@contextmanager
def a_full_disk(server: HubServer) -> Iterator[None]:
    db = server.hub.writer._store._db  # type: ignore[attr-defined]
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages}")
    yield
    db.execute("PRAGMA max_page_count = 1000000")


@contextmanager
def a_dead_server(redis_server: Any) -> Iterator[None]:
    """It comes back empty."""
    redis_server.kill()
    yield
    redis_server.start()


@pytest.fixture(params=["sqlite, locked", "sqlite, disk full", "redis, dead"])
def store_and_trouble(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Trouble]:
    if request.param == "redis, dead":
        redis_server = request.getfixturevalue("redis_server")
        return redis_server.url, lambda _: a_dead_server(redis_server)
    url = f"sqlite:///{tmp_path}/hub.db"
    return url, a_full_disk if request.param.endswith("full") else lambda _: a_lock(tmp_path / "hub.db")


class Node:
    """One that is connected and writes."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.connect = NodeMeshStub(channel).Connect()
        self.upload = NodeMeshStub(channel).Upload(metadata=upload_metadata("edge"))
        self.heartbeats = 0

    async def introduce(self) -> None:
        await self.connect.write(hello("edge"))
        await self.connect.read()

    async def beat(self) -> None:
        """A heartbeat, and its answer."""
        self.heartbeats += 1
        await self.connect.write(heartbeat(self.heartbeats, ack=True))
        assert (await self.connect.read()).heartbeat_ack.seq == self.heartbeats

    async def write(self, first: int, last: int) -> None:
        for seq in range(first, last + 1):
            await self.upload.write(chunk(seq, DATA))

    async def acknowledged(self, seq: int) -> None:
        while (await self.upload.read()).seq < seq:
            pass


async def told(events: Any, state: str) -> None:
    async for event in events:
        if event.WhichOneof("body") == "store":
            assert event.store.state == state
            return


def test_a_file_that_is_deleted_under_the_hub_is_told_and_made_whole(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    settings = HubSettings.of(listen="127.0.0.1:0", store_url=f"sqlite:///{path}")

    async def scene() -> None:
        async with HubServer(settings) as server, open_aio_channel(server.address) as channel:
            node = Node(channel)
            events = HubAdminStub(channel).WatchEvents(pb.WatchEventsRequest())
            await events.initial_metadata()
            await node.introduce()
            await node.write(1, BEFORE)
            await node.acknowledged(BEFORE)
            path.unlink()
            await told(events, "unavailable")
            await told(events, "ok")
            await node.write(BEFORE + 1, BEFORE + 5)
            await node.acknowledged(BEFORE + 5)

    with capture_logs() as logs:
        asyncio.run(asyncio.wait_for(scene(), 60))
    assert [entry["error"].partition(" was ")[2][:8] for entry in logs if entry["event"] == "StoreChanged"] == [
        "deleted,",
        "",
    ]
    with closing(open_store(f"sqlite:///{path}")) as store:
        (stored,) = store.load()
    assert [chunk.seq for chunk in stored.chunks] == list(range(1, BEFORE + 6))


def test_an_outage_of_the_store_slows_who_writes_and_loses_nothing(store_and_trouble: tuple[str, Trouble]) -> None:
    store_url, trouble = store_and_trouble
    settings = HubSettings.of(
        listen="127.0.0.1:0",
        store_url=store_url,
        store_queue_chunks=QUEUE,
        history_chunks=HELD,
        history_bytes=HELD_BYTES,
    )

    async def scene() -> None:
        async with HubServer(settings) as server, open_aio_channel(server.address) as channel:
            admin, node = HubAdminStub(channel), Node(channel)
            events = admin.WatchEvents(pb.WatchEventsRequest())
            await events.initial_metadata()
            await node.introduce()
            await node.write(1, BEFORE)
            await node.acknowledged(BEFORE)
            with trouble(server):
                writing = asyncio.create_task(node.write(BEFORE + 1, CHUNKS))
                await told(events, "unavailable")
                for _ in range(20):
                    async with asyncio.timeout(2):
                        await node.beat()
                store = (await admin.GetStats(pb.GetStatsRequest())).store
                assert (store.state, bool(store.error)) == ("unavailable", True)
                assert store.queued_chunks <= QUEUE
                assert not writing.done()
            await writing
            await node.acknowledged(CHUNKS)
            await told(events, "ok")
            assert (await admin.GetNode(pb.GetNodeRequest(node_id="edge"))).status == pb.STATUS_ONLINE

    with capture_logs() as logs:
        asyncio.run(asyncio.wait_for(scene(), 60))
    assert [entry["state"] for entry in logs if entry["event"] == "StoreChanged"] == ["unavailable", "ok"]
    with closing(open_store(store_url)) as store:
        (node,) = store.load()
    history = History(HELD, HELD_BYTES)
    history.restore(node.chunks, node.newest)
    assert [stored.seq for stored in history] == list(range(CHUNKS - HELD + 1, CHUNKS + 1))
    assert node.record is not None
