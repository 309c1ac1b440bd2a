"""A thousand more chunks into a history that is full: 150 chunks of 200 bytes."""

from collections.abc import Callable
from itertools import count

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from heartbench.benchmarks.history.baseline import SplicedHistory
from heartbench.hub.history import History, StoredChunk

HELD = 150
APPENDS = 1000
DATA = b"x" * 200


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: History(HELD, 1 << 20), id="deque"),
        pytest.param(lambda: SplicedHistory(HELD), id="spliced list"),
    ],
)
@pytest.mark.benchmark(group=f"history: {APPENDS} appends when full")
def test_append_to_full_history(benchmark: BenchmarkFixture, make: Callable[[], History | SplicedHistory]) -> None:
    history, seqs = make(), count(1)

    def fresh_chunks() -> tuple[tuple[list[StoredChunk]], dict[str, object]]:
        return ([StoredChunk(1, next(seqs), 0.0, DATA) for _ in range(APPENDS)],), {}

    def append_all(chunks: list[StoredChunk]) -> None:
        for chunk in chunks:
            history.append(chunk)

    append_all(fresh_chunks()[0][0])
    benchmark.pedantic(append_all, setup=fresh_chunks, rounds=200, warmup_rounds=5)
