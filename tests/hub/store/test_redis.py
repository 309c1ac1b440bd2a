import asyncio
import signal
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import redis

from heartbench.hub.liveness.rules import Reason, Status
from heartbench.hub.store.history import History, StoredChunk
from heartbench.hub.store.protocol import NodeWrite, StoreLostError, StoreUnavailableError
from heartbench.hub.store.record import NodeRecord
from heartbench.hub.store.redis import RedisStore
from heartbench.hub.store.writer import KnownNode, Writer


def write(*seqs: int, after: int = 0) -> NodeWrite:
    chunks = [StoredChunk(1, seq, 0.0, b"x") for seq in seqs]
    return NodeWrite("edge", after=(1, after) if after else (0, 0), chunks=chunks, newest=(1, seqs[-1]))


def held(store: RedisStore) -> list[int]:
    return [chunk.seq for node in store.load() for chunk in node.chunks]


@pytest.fixture
def client(redis_server: Any) -> Iterator["redis.Redis"]:
    with redis.Redis(port=redis_server.port, decode_responses=True) as client:
        yield client


@pytest.fixture
def store(redis_server: Any) -> Iterator[RedisStore]:
    with closing(RedisStore(redis_server.url, ttl_s=60, timeout_s=0.3)) as store:
        yield store


def test_what_is_stored_can_be_read_by_people(store: RedisStore, client: "redis.Redis") -> None:
    store.write([NodeWrite("edge", chunks=[StoredChunk(17, 4, 2.5, b"hello\n")], newest=(17, 4))])
    assert client.lrange("heartbench:chunks:edge", 0, -1) == ["17 4 2.5\nhello\n"]
    assert client.hgetall("heartbench:node:edge") == {"boot_id": "17", "seq": "4"}
    assert client.smembers("heartbench:nodes") == {"edge"}


def test_what_is_not_written_to_is_let_go_after_its_time_to_live(store: RedisStore, client: "redis.Redis") -> None:
    store.write([write(1)])
    for key in ("heartbench:chunks:edge", "heartbench:node:edge"):
        assert 50_000 < client.pttl(key) <= 60_000
        client.pexpire(key, 1)
    while client.exists("heartbench:chunks:edge", "heartbench:node:edge"):
        pass
    assert list(store.load()) == []
    assert client.smembers("heartbench:nodes") == set()


def test_without_a_time_to_live_it_is_kept(redis_server: Any, client: "redis.Redis") -> None:
    with closing(RedisStore(redis_server.url)) as store:
        store.write([write(1)])
        assert client.pttl("heartbench:node:edge") == -1


def test_a_server_that_forgot_the_script_is_told_again(store: RedisStore, client: "redis.Redis") -> None:
    client.script_flush()
    store.write([write(1)])
    assert held(store) == [1]


def test_a_server_without_memory_is_an_outage(store: RedisStore, client: "redis.Redis") -> None:
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(StoreUnavailableError, match="maxmemory"):
            store.write([write(1)])
    finally:
        client.config_set("maxmemory", 0)
    store.write([write(1)])
    assert held(store) == [1]


def test_a_server_that_hangs_is_an_outage_and_the_repeated_write_is_there_once(
    store: RedisStore, redis_server: Any
) -> None:
    redis_server.process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnavailableError):
            store.write([write(1, 2)])
    finally:
        redis_server.process.send_signal(signal.SIGCONT)
    store.write([write(1, 2)])  # the first one arrived too, and only its reply was lost
    assert held(store) == [1, 2]


def test_a_server_that_is_gone_is_an_outage_and_its_loss_is_noticed(store: RedisStore, redis_server: Any) -> None:
    store.write([write(1, 2)])
    redis_server.kill()
    with pytest.raises(StoreUnavailableError):
        store.write([write(3, after=2)])
    redis_server.start()
    with pytest.raises(StoreLostError, match="the epoch is 0"):
        store.write([write(3, after=2)])


def test_a_node_that_is_behind_what_was_confirmed_is_noticed(store: RedisStore, client: "redis.Redis") -> None:
    store.write([write(1, 2)])
    client.delete("heartbench:node:edge", "heartbench:chunks:edge")
    with pytest.raises(StoreLostError, match="edge is at 0/0"):
        store.write([write(3, after=2)])


def test_a_loss_is_noticed_once_by_a_hub_that_knows_no_nodes(store: RedisStore, client: "redis.Redis") -> None:
    client.flushall()
    with pytest.raises(StoreLostError, match="the epoch is 0"):
        store.check()
    store.check()
    assert client.keys() == ["heartbench:epoch"]


def test_a_writer_makes_a_server_whole_that_came_back_empty(redis_server: Any) -> None:
    histories = {name: History(3, 99) for name in ("edge", "quiet")}
    epochs: list[int] = []
    record = NodeRecord("quiet", Status.ONLINE, Reason.HEARD)
    known: list[KnownNode] = [("edge", histories["edge"], None), ("quiet", histories["quiet"], record)]

    async def scenario() -> None:
        store = RedisStore(redis_server.url, timeout_s=1.0)
        epochs.append(store.epoch)
        writer = Writer(store, linger_s=0)
        task = asyncio.create_task(writer.run(lambda: known))
        for name, history in histories.items():
            await (await writer.append(name, history, StoredChunk(1, 1, 0.0, b"x")))
        redis_server.kill()
        saved = [await writer.append("edge", histories["edge"], StoredChunk(1, seq, 0.0, b"x")) for seq in range(2, 8)]
        redis_server.start()
        await asyncio.gather(*saved)
        await writer.flush()
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(scenario())
    with closing(RedisStore(redis_server.url)) as store:
        nodes = {node.node_id: node for node in store.load()}
        assert {name: list(node.chunks) for name, node in nodes.items()} == {
            name: list(history) for name, history in histories.items()
        }
        assert nodes["quiet"].record == record
        assert store.epoch == epochs[0] + 1
