import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from heartbench.hub.errors import HubError
from heartbench.hub.store import sqlite_file
from heartbench.hub.store.history import StoredChunk
from heartbench.hub.store.protocol import Durability, NodeWrite, StoreUnavailableError
from heartbench.hub.store.sqlite import SqliteStore

ADD_COLUMN = "ALTER TABLE chunk ADD COLUMN colour TEXT"


def write(seq: int, data: bytes = b"x") -> NodeWrite:
    return NodeWrite("edge", chunks=[StoredChunk(1, seq, 0.0, data)], newest=(1, seq))


def held(store: SqliteStore) -> list[int]:
    return [chunk.seq for node in store.load() for chunk in node.chunks]


def test_a_full_disk_is_an_outage_and_not_the_end(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "hub.db")) as store:
        store.write([write(1)])
        (pages,) = store._db.execute("PRAGMA page_count").fetchone()
        store._db.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(StoreUnavailableError, match="disk is full"):
            store.write([write(2, bytes(100_000))])
        assert held(store) == [1]
        store._db.execute("PRAGMA max_page_count = 1000000")
        store.write([write(2, bytes(100_000))])
        assert held(store) == [1, 2]


def test_a_file_that_somebody_locks_is_an_outage(tmp_path: Path) -> None:
    with (
        closing(SqliteStore(tmp_path / "hub.db", busy_timeout_s=0.01)) as store,
        closing(sqlite3.connect(tmp_path / "hub.db", isolation_level=None)) as somebody,
    ):
        somebody.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError, match="locked"):
            store.write([write(1)])
        somebody.execute("ROLLBACK")
        store.write([write(1)])
        assert held(store) == [1]


def test_a_batch_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "hub.db")) as store:
        store._db.execute("PRAGMA max_page_count = 10")
        with pytest.raises(StoreUnavailableError):
            store.write([write(1), NodeWrite("other", chunks=[StoredChunk(1, 1, 0.0, bytes(100_000))], newest=(1, 1))])
        assert list(store.load()) == []


@pytest.mark.parametrize(("durability", "level"), [(Durability.COMMITTED, 2), (Durability.BUFFERED, 1)])
def test_committed_syncs_every_commit_to_the_disk(tmp_path: Path, durability: Durability, level: int) -> None:
    with closing(SqliteStore(tmp_path / "hub.db", durability)) as store:
        assert store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert store._db.execute("PRAGMA synchronous").fetchone() == (level,)


def test_a_file_of_an_older_schema_is_brought_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(SqliteStore(tmp_path / "hub.db")) as store:
        store.write([write(1)])
    monkeypatch.setattr(sqlite_file, "MIGRATIONS", (*sqlite_file.MIGRATIONS, ADD_COLUMN))
    for _ in range(2):
        with closing(SqliteStore(tmp_path / "hub.db")) as store:
            assert store._db.execute("SELECT node_id, colour FROM chunk").fetchall() == [("edge", None)]
            assert store._db.execute("PRAGMA user_version").fetchone() == (len(sqlite_file.MIGRATIONS),)
            assert held(store) == [1]


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(SqliteStore(tmp_path / "hub.db")) as store:
        store.write([write(1)])
    broken = "DELETE FROM chunk; ALTER TABLE nonsense ADD COLUMN colour TEXT"
    with monkeypatch.context() as patch:
        patch.setattr(sqlite_file, "MIGRATIONS", (*sqlite_file.MIGRATIONS, broken))
        with pytest.raises(HubError, match="no such table"):
            SqliteStore(tmp_path / "hub.db")
    with closing(SqliteStore(tmp_path / "hub.db")) as store:
        assert held(store) == [1]


def test_a_file_of_a_newer_hub_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = (*sqlite_file.MIGRATIONS, ADD_COLUMN)
    with monkeypatch.context() as patch:
        patch.setattr(sqlite_file, "MIGRATIONS", newer)
        SqliteStore(tmp_path / "hub.db").close()
    with pytest.raises(HubError, match=f"has schema {len(newer)}, written by a newer hub"):
        SqliteStore(tmp_path / "hub.db")


def test_names_and_data_may_hold_any_character(tmp_path: Path) -> None:
    names = ["a b", "Köln", "x\0y", "'; DROP TABLE node; --", "日本"]
    with closing(SqliteStore(tmp_path / "hub.db")) as store:
        store.write([NodeWrite(n, chunks=[StoredChunk(1, 1, 0.0, n.encode())], newest=(1, 1)) for n in names])
        assert {node.node_id: node.chunks[0].data for node in store.load()} == {name: name.encode() for name in names}
