"""Appends to a full history, and reading all of it: the cost of terminal output for the hub.

A spliced list is copied at every append, so it is slower the longer it is. The byte budget costs an addition and a
comparison.
"""

from collections.abc import Callable
from itertools import count

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from heartbench.benchmarks.history.baseline import SplicedHistory
from heartbench.hub.store.history import History, StoredChunk

HELD = 150
APPENDS = 100
DATA = b"x" * 200


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: History(HELD, 1 << 20), id="deque"),
        pytest.param(lambda: History(HELD, 100 * len(DATA)), id="deque, bytes bound"),
        pytest.param(lambda: SplicedHistory(HELD), id="spliced list"),
    ],
)
@pytest.mark.benchmark(group=f"history: {APPENDS} appends when full")
def test_append_to_full_history(benchmark: BenchmarkFixture, make: Callable[[], History | SplicedHistory]) -> None:
    """What does a chunk cost when the history is full, as for every chunk of a busy terminal?"""
    history, seqs = make(), count(1)

    def append_all() -> None:
        for _ in range(APPENDS):
            history.append(StoredChunk(1, next(seqs), 0.0, DATA))

    append_all()
    append_all()
    benchmark(append_all)


@pytest.mark.benchmark(group="history: reading all of it")
def test_read_a_full_history(benchmark: BenchmarkFixture) -> None:
    """What does reading a whole history cost, as when a user opens the terminal?"""
    history = History(HELD, 1 << 20)
    for seq in range(1, HELD + 1):
        history.append(StoredChunk(1, seq, 0.0, DATA))
    assert len(benchmark(lambda: b"".join(chunk.data for chunk in history))) == HELD * len(DATA)


@pytest.mark.benchmark(group="history: a node that comes back")
def test_what_a_node_missed(benchmark: BenchmarkFixture) -> None:
    """The chunks after a position, as the writer and a reader that follows ask for them."""
    history = History(HELD, 1 << 20)
    for seq in range(1, HELD + 1):
        history.append(StoredChunk(1, seq, 0.0, DATA))
    assert len(benchmark(history.after, (1, HELD - 50))) == 50
