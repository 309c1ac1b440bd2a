"""Stores that are damaged when a hub starts, and stores that are changed under a hub that runs."""

import json
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from heartbench.hub.clock import ManualClock
from heartbench.hub.config import HubSettings
from heartbench.hub.errors import HubError
from heartbench.hub.liveness.registry import Registry
from heartbench.hub.liveness.rules import Reason, Status
from heartbench.hub.store.history import StoredChunk
from heartbench.hub.store.loading import record_in
from heartbench.hub.store.protocol import FencedError, NodeWrite, Store, StoreDamagedError, StoreLostError
from heartbench.hub.store.record import NodeRecord
from heartbench.hub.store.record_mapping import node_of, record_of
from heartbench.hub.store.redis import RedisStore
from heartbench.hub.store.sqlite import SqliteStore

RECORD = NodeRecord("edge", Status.STALE, Reason.SILENCE)
ADVICE = "restore it from a backup, or move it away to begin with an empty store"


def write(*seqs: int, anew: bool = False) -> NodeWrite:
    chunks = [StoredChunk(1, seq, 0.0, bytes(50)) for seq in seqs]
    return NodeWrite("edge", anew, chunks=chunks, newest=(1, seqs[-1]), record=RECORD)


def held(store: Store) -> list[int]:
    return [chunk.seq for node in store.load() for chunk in node.chunks]


def execute(path: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as somebody:
        somebody.execute("PRAGMA ignore_check_constraints = 1")
        somebody.execute(sql, values)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hub.db"


@pytest.fixture
def working(path: Path) -> Iterator[SqliteStore]:
    """A store in use, whose file has a few dozen pages."""
    with closing(SqliteStore(path)) as store:
        store.write([write(*range(1, 2001))])
        yield store


def damage_a_page(path: Path) -> None:
    execute(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(12 * 4096)
        file.write(b"\xa5" * 4096)


def damage_the_schema(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"tablenodenode", b"tablen\x80denode"))


def record_with(**values: object) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        for name, value in values.items():
            sql = f"UPDATE node SET record = json_set(record, '$.{name}', json(?))"
            execute(path, sql, value)

    return damage


def sql(statement: str) -> Callable[[Path], None]:
    return lambda path: execute(path, statement)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (damage_a_page, "malformed|quick_check|Tree|page"),
        (damage_the_schema, "0x80"),
        (sql('UPDATE node SET record = \'{"node_id": "ed\''), "node 'edge': its record: "),
        (record_with(status='"asleep"'), "node 'edge': its record: status='asleep': must be 'online', 'stale' or"),
        (record_with(node_id='"other"'), "node 'edge': its record is that of 'other'"),
        (record_with(heard_unix_s='"NaN"'), "node 'edge': its record: heard_unix_s="),
        (record_with(heartbeats="-1"), "node 'edge': its record: heartbeats=-1"),
        (sql("UPDATE node SET record = x'fffe'"), "node 'edge': its record: "),
        (sql("UPDATE node SET record = CAST(x'fffe' AS TEXT)"), "UTF-8"),
        (sql("UPDATE chunk SET sent_unix_s = 'noon' WHERE seq = 7"), "node 'edge': chunk 1/7"),
        (sql("UPDATE chunk SET data = 'text' WHERE seq = 7"), "node 'edge': chunk 1/7"),
        (sql("UPDATE chunk SET seq = -7 WHERE seq = 7"), "node 'edge': chunk 1/-7"),
        (sql("DELETE FROM hub"), "the table hub has 0 rows; expected one"),
        (sql("UPDATE hub SET epoch = 'new'"), "the table hub: epoch='new' is not a number"),
        (sql("DROP TABLE node"), "the table node is missing"),
        (sql("ALTER TABLE chunk DROP COLUMN data"), "no such column: data"),
    ],
)
def test_a_damaged_file_is_said_in_one_line_and_leaves_the_hub_that_works_alone(
    working: SqliteStore, path: Path, tmp_path: Path, damage: Callable[[Path], None], said: str
) -> None:
    copy = tmp_path / "copy.db"
    execute(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(path, copy)
    damage(copy)
    with pytest.raises(HubError, match=rf"^HUB_STORE_URL: {copy} is damaged: [^\n]*({said})[^\n]*; {ADVICE}$"):
        SqliteStore(copy)
    (before,) = sqlite3.connect(path).execute("SELECT epoch FROM hub").fetchone()
    execute(path, "UPDATE node SET record = 'nonsense'")
    with pytest.raises(StoreDamagedError):
        SqliteStore(path)
    assert sqlite3.connect(path).execute("SELECT epoch FROM hub").fetchone() == (before,)
    working.write([write(2001)])


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("HSET", "heartbench:node:edge", "record", "{"), "node 'edge': its record: "),
        (("HSET", "heartbench:node:edge", "seq", "x"), "node 'edge': boot_id and seq"),
        (("HSET", "heartbench:node:edge", "record", b"\xff"), "node 'edge': its record: "),
        (("RPUSH", "heartbench:chunks:edge", "nonsense"), "node 'edge': a chunk that begins with b'nonsense'"),
        (("RPUSH", "heartbench:chunks:edge", "1 -5 0.5\nx"), "node 'edge': chunk 1/-5"),
        (("RPUSH", "heartbench:chunks:edge", "1 5 nan\nx"), "node 'edge': chunk 1/5"),
        (("SET", "heartbench:chunks:edge", "x"), "WRONGTYPE"),
        (("SET", "heartbench:nodes", "x"), "WRONGTYPE"),
        (("SADD", "heartbench:nodes", b"\xff"), "not UTF-8"),
        (("SET", "heartbench:epoch", "new"), "heartbench:epoch=b'new' is not a number"),
    ],
)
def test_a_damaged_redis_is_said_in_one_line_and_leaves_the_hub_that_works_alone(
    redis_server: Any, command: tuple[str | bytes, ...], said: str
) -> None:
    with closing(RedisStore(redis_server.url)) as working, redis.Redis(port=redis_server.port) as client:
        working.write([write(1)])
        if command[0] == "SET":
            client.delete(command[1])
        client.execute_command(*command)
        with pytest.raises(StoreDamagedError, match=rf"^HUB_STORE_URL: redis://127.* is damaged: [^\n]*{said}[^\n]*$"):
            RedisStore(redis_server.url)
        if b"epoch" not in str(command[1]).encode():
            assert int(client.get("heartbench:epoch") or 0) == working.epoch
            working.check()


def test_the_file_is_readable_by_its_owner_alone(working: SqliteStore, tmp_path: Path) -> None:
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes == {"hub.db": 0o600, "hub.db-wal": 0o600, "hub.db-shm": 0o600}


def delete(path: Path) -> None:
    path.unlink()


def delete_all(path: Path) -> None:
    for name in ("hub.db", "hub.db-wal", "hub.db-shm"):
        (path.parent / name).unlink()


def delete_the_log(path: Path) -> None:
    path.with_name("hub.db-wal").unlink()


def move(path: Path) -> None:
    path.rename(path.with_name("elsewhere.db"))


def truncate(path: Path) -> None:
    os.truncate(path, 0)


def put_an_empty_file(path: Path) -> None:
    path.unlink()
    path.touch()


changes = pytest.mark.parametrize(
    "change",
    [
        delete,
        delete_all,
        delete_the_log,
        move,
        truncate,
        put_an_empty_file,
        sql("DELETE FROM hub"),
        sql("DELETE FROM chunk"),
    ],
)


@changes
def test_a_store_that_is_taken_away_is_noticed_and_written_again(
    working: SqliteStore, path: Path, change: Callable[[Path], None]
) -> None:
    change(path)
    with pytest.raises(StoreLostError, match=f"{path}.*(deleted|emptied)"):
        working.check()
    working.check()
    working.write([write(*range(1, 2002), anew=True)])
    with closing(SqliteStore(path)) as newer:
        assert held(newer) == list(range(1, 2002))
        assert newer.epoch > working.epoch


@changes
def test_nothing_is_confirmed_by_a_store_that_was_taken_away(
    working: SqliteStore, path: Path, change: Callable[[Path], None]
) -> None:
    change(path)
    with pytest.raises(StoreLostError):
        working.write([write(2001)])
    working.write([write(*range(1, 2002), anew=True)])
    assert held(working) == list(range(1, 2002))


def test_a_commit_into_a_file_that_is_deleted_meanwhile_is_not_confirmed(working: SqliteStore, path: Path) -> None:
    working._db.set_trace_callback(lambda statement: path.unlink() if statement == "COMMIT" else None)
    with pytest.raises(StoreLostError, match="deleted"):
        working.write([write(2001)])


def test_a_hub_whose_file_was_replaced_by_that_of_another_is_fenced(working: SqliteStore, path: Path) -> None:
    path.unlink()
    with closing(SqliteStore(path)) as newer:
        newer.write([write(1)])
        with pytest.raises(StoreLostError):
            working.write([write(2001)])
        with pytest.raises(FencedError, match="has taken the store"):
            working.write([write(2001)])
        newer.write([write(2)])
        working.close()
        newer.write([write(3)])
    with closing(SqliteStore(path)) as last:
        assert held(last) == [1, 2, 3]


def test_a_new_store_is_never_mistaken_for_one_of_an_older_hub(redis_server: Any) -> None:
    with closing(RedisStore(redis_server.url)) as older, redis.Redis(port=redis_server.port) as client:
        client.flushall()
        with closing(RedisStore(redis_server.url)) as newer:
            with pytest.raises(FencedError):
                older.check()
            newer.check()


fields = {
    "node_id": st.just("edge"),
    "status": st.sampled_from([*map(str, Status), "asleep"]),
    "reason": st.sampled_from([*map(str, Reason), "boredom"]),
    "flapping": st.booleans(),
    "labels": st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.none(), max_size=2),
    "detector": st.sampled_from(["fixed", "chen", "phi", ""]),
    **dict.fromkeys(["changed_unix_s", "heard_unix_s", "heartbeat_interval_s"], st.floats() | st.integers()),
    **dict.fromkeys(["boot_id", "connection", "heartbeats"], st.integers() | st.floats()),
    **dict.fromkeys(["flaps_unix_s", "detector_state"], st.lists(st.floats(), max_size=4)),
}


@settings(max_examples=100)
@given(st.fixed_dictionaries({}, optional=fields))
def test_whatever_a_record_says_a_node_is_made_from_it_or_it_is_damaged(values: dict[str, object]) -> None:
    with suppress(ValueError):
        record = record_in(json.dumps(values), "edge")
        hub = HubSettings.of()
        registry, clock = Registry(hub.policy), ManualClock(100.0)
        registry.restore(node_of(record, registry, clock, hub.restart_grace_s))
        registry.sweep(1000.0)
        assert record_of(registry.nodes["edge"], clock).node_id == "edge"
