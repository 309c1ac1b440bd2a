"""Garbage in a SQLite file: the hub starts and works, or ends with one line that names the setting."""

import asyncio
import json
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.hub.garbage import INTEGERS, TEXTS

from heartbench.hub.clock import ManualClock
from heartbench.hub.composition import open_hub
from heartbench.hub.config import HubSettings
from heartbench.hub.core import Hub
from heartbench.hub.errors import HubError
from heartbench.hub.liveness.node import Hello
from heartbench.hub.store.history import StoredChunk
from heartbench.hub.store.order import check_name
from heartbench.hub.store.url import open_store

NODES = ("a", "b")
CHUNKS = 5
COLUMNS = {
    "hub": ["epoch"],
    "node": ["node_id", "record"],
    "chunk": ["node_id", "boot_id", "seq", "sent_unix_s", "data"],
}
FIELDS = ("node_id", "status", "reason", "changed_unix_s", "heard_unix_s", "boot_id", "connection", "flaps_unix_s",
          "flap_rule", "heartbeats", "labels", "heartbeat_interval_s", "detector", "detector_state")  # fmt: skip

cells = st.one_of(
    st.none(),
    st.sampled_from([value for value in INTEGERS if value < 2**63]),
    st.sampled_from([-1, -1.5, 1e300, float("inf")]),
    st.sampled_from(TEXTS),
    st.sampled_from([b"", b"\xff\xfe"]),
    st.text(max_size=20),
    st.binary(max_size=20),
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=5,
    ).map(json.dumps),
)
json_values = st.sampled_from(["null", "-1", "1e308", "1e999", "18446744073709551616", '""', '"x"', "[]", "[1e999]",
                               "{}", '{"a": 1}', "true", '["x", null]'])  # fmt: skip
changed_cells = st.tuples(
    st.sampled_from([(table, column) for table, columns in COLUMNS.items() for column in columns]), cells
)
changed_fields = st.tuples(st.sampled_from(FIELDS), json_values)
emptied = st.sampled_from(["DELETE FROM hub", "DELETE FROM node", "DROP TABLE chunk", "DROP TABLE hub",
                           "PRAGMA user_version = 7", "PRAGMA application_id = 1", "INSERT INTO hub VALUES (9)",
                           "DELETE FROM chunk"])  # fmt: skip
damaged_bytes = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8)), min_size=1, max_size=5
)
cut = st.floats(0, 1)


def at(store: Path) -> HubSettings:
    return HubSettings.of(store_url=f"sqlite:///{store}", store_linger_s=0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two nodes and their chunks, in one file."""
    path = tmp_path_factory.mktemp("store") / "hub.db"
    assert asyncio.run(life(path)) == dict.fromkeys(NODES, CHUNKS)
    with closing(sqlite3.connect(path)) as somebody:
        somebody.execute("VACUUM INTO ?", (str(path.with_name("whole.db")),))
    return path.with_name("whole.db")


async def life(path: Path) -> dict[str, int]:
    """Run a hub on a store: each node sends some chunks. Return the newest that is acknowledged of each."""
    clock = ManualClock(1000.0)
    store = open_store(f"sqlite:///{path}")
    try:
        hub = open_hub(at(path), clock, store)
    except HubError:
        store.close()
        raise
    failed = asyncio.Event()
    writing = asyncio.create_task(hub.writer.run(hub.all_nodes, lambda _: failed.set()))  # it closes the store
    try:
        return {name: await speak(hub, name, clock.now_s, failed) for name in NODES}
    finally:
        writing.cancel()
        await asyncio.wait([writing])


async def speak(hub: Hub, name: str, now: float, failed: asyncio.Event) -> int:
    """Send chunks in a new boot; HubError if they are not acknowledged, since the store cannot be written."""
    known = hub.registry.nodes.get(name)
    boot_id = 1 if known is None else known.boot_id + 1
    hub.hello(Hello(name, boot_id, 0), now)
    for seq in range(1, CHUNKS + 1):
        chunk = StoredChunk(boot_id, seq, 0.0, b"text")
        check_name(chunk)
        saved = await hub.writer.append(name, hub.history(name), chunk)
        waiting = asyncio.create_task(failed.wait())
        either: list[asyncio.Future[Any]] = [saved, waiting]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not saved.done():
            raise HubError(hub.writer.stats().health.error)
        saved.result()
    return CHUNKS


def start(path: Path) -> None:
    """Run a hub: what it acknowledged is there the next time; or it refuses in one line."""
    try:
        acknowledged = asyncio.run(life(path))
    except HubError as error:
        said = str(error)
    else:
        with closing(open_store(f"sqlite:///{path}")) as store:
            held = {node.node_id: node.newest[1] for node in store.load()}
        assert {name: held[name] for name in NODES} == acknowledged
        return
    assert said
    assert "\n" not in said
    assert len(said) < 1000


def run(fuzz: int, whole: Path, tmp_path: Path, strategy: st.SearchStrategy[Any], damage: Any) -> None:
    @settings(max_examples=fuzz, suppress_health_check=list(HealthCheck), database=None)
    @given(strategy)
    def example(drawn: Any) -> None:
        path = Path(mkdtemp(dir=tmp_path)) / "hub.db"  # a hub before this one may still close its store
        shutil.copy(whole, path)
        damage(path, drawn)
        start(path)

    example()


def test_any_bytes_in_the_file(fuzz: int, whole: Path, tmp_path: Path) -> None:
    def damage(path: Path, drawn: list[tuple[float, bytes]] | float) -> None:
        content = bytearray(path.read_bytes())
        if isinstance(drawn, float):
            del content[int(drawn * len(content)) :]
        else:
            for place, data in drawn:
                begin = int(place * len(content))
                content[begin : begin + len(data)] = data
        path.write_bytes(content)

    run(fuzz, whole, tmp_path, st.one_of(damaged_bytes, cut), damage)


def test_any_values_in_the_tables(fuzz: int, whole: Path, tmp_path: Path) -> None:
    def damage(path: Path, drawn: Any) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as somebody, suppress(sqlite3.Error):
            match drawn:
                case str(statement):
                    somebody.execute(statement)
                case ((table, column), value):
                    somebody.execute(f"UPDATE OR IGNORE {table} SET {column} = ?", (value,))
                case (field, value):
                    somebody.execute(f"UPDATE node SET record = json_set(record, '$.{field}', json(?))", (value,))

    run(fuzz, whole, tmp_path, st.one_of(changed_cells, changed_fields, emptied), damage)
