"""Finding: terminal history is a list of the last 150 chunks that is spliced at each append."""

import struct
import tracemalloc

import pytest
from tests.review.conftest import Measured

from heartbench.hub.clock import ManualClock
from heartbench.hub.composition import open_hub
from heartbench.hub.config import HubSettings
from heartbench.hub.store.history import History, StoredChunk

APPENDS = 1000
POINTER_BYTES = struct.calcsize("P")


def history_as_set() -> History:
    """A node's history in a hub that is set as the environment says."""
    return open_hub(HubSettings.load(), ManualClock()).history("n")


def fill(history: History, chunks: int, size_bytes: int = 200) -> None:
    for seq in range(1, chunks + 1):
        history.append(StoredChunk(1, seq, 0.0, bytes(size_bytes)))


def allocated_by_append(history: History, chunk: StoredChunk) -> int:
    """Most bytes that an append held beyond what was held before it."""
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    history.append(chunk)
    return tracemalloc.get_traced_memory()[1] - before


def test_an_append_to_a_full_history_copies_nothing(measured: Measured) -> None:
    history = history_as_set()
    fill(history, 150)
    chunks = [StoredChunk(1, seq, 0.0, b"x") for seq in range(151, 151 + APPENDS)]
    tracemalloc.start()
    allocated = [allocated_by_append(history, chunk) for chunk in chunks]
    tracemalloc.stop()
    measured(
        "bytes allocated by an append to 150 chunks", f"median {sorted(allocated)[APPENDS // 2]}, most {max(allocated)}"
    )
    assert max(allocated) < POINTER_BYTES * len(history)


def test_a_history_holds_as_many_chunks_as_is_set(monkeypatch: pytest.MonkeyPatch, measured: Measured) -> None:
    monkeypatch.setenv("HUB_HISTORY_CHUNKS", "1000")
    history = history_as_set()
    fill(history, 1200)
    measured("chunks held of 1,000 that were asked for", str(len(history)))
    assert len(history) == 1000


def test_a_history_holds_no_more_bytes_than_is_set(monkeypatch: pytest.MonkeyPatch, measured: Measured) -> None:
    monkeypatch.setenv("HUB_HISTORY_BYTES", "1000000")
    history = history_as_set()
    fill(history, 200, size_bytes=100_000)
    held_bytes = sum(len(chunk.data) for chunk in history)
    measured("bytes held of 1,000,000 that were allowed", f"{held_bytes:,}")
    assert held_bytes == 1_000_000
