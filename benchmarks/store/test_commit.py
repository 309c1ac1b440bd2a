"""One group commit to SQLite, `committed`: one chunk of 200 bytes per node, whose histories are full."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from heartbench.hub.store.history import START, StoredChunk
from heartbench.hub.store.protocol import NodeWrite
from heartbench.hub.store.sqlite import SqliteStore

HELD = 150
DATA = b"x" * 200


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "hub.db")
    yield store
    store.close()


def batch(nodes: int, first: int, last: int) -> list[NodeWrite]:
    chunks = [StoredChunk(1, seq, 0.0, DATA) for seq in range(first, last + 1)]
    oldest = (1, max(1, last - HELD + 1))
    return [NodeWrite(f"node-{n}", False, START, chunks, (1, last), oldest) for n in range(nodes)]


@pytest.mark.parametrize("nodes", [1, 100, 1000])
@pytest.mark.benchmark(group="store: one commit")
def test_commit(benchmark: BenchmarkFixture, store: SqliteStore, nodes: int) -> None:
    store.write(batch(nodes, 1, HELD))
    seqs = count(HELD + 1)

    def next_batch() -> tuple[tuple[list[NodeWrite]], dict[str, object]]:
        seq = next(seqs)
        return (batch(nodes, seq, seq),), {}

    benchmark.pedantic(store.write, setup=next_batch, rounds=50, warmup_rounds=5)
