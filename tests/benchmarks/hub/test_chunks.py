"""Chunks into a committed store, in small: nothing is lost, and a loss would be detected."""

import asyncio
from pathlib import Path

import pytest

from heartbench.benchmarks.hub.chunks import Load, missing, one
from heartbench.hub.store.history import StoredChunk
from heartbench.hub.store.protocol import NodeWrite
from heartbench.hub.store.url import open_store


@pytest.mark.slow
def test_what_a_hub_acknowledged_is_in_the_store_after_it_was_killed(tmp_path: Path) -> None:
    with asyncio.Runner() as loop:
        figures = one(Load(nodes=50, per_s=4, chunk_bytes=200, seconds=2), f"sqlite:///{tmp_path}/hub.db", loop)
    assert (figures.chunks, figures.lost) == (400, 0)
    assert figures.ack_p50_s > 0
    assert figures.heartbeat_p50_s > 0


def test_a_chunk_that_was_acknowledged_and_is_not_stored_is_missing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hub.db"
    store = open_store(url)
    chunks = [StoredChunk(1, seq, 0.0, b"x") for seq in (1, 2)]
    store.write([NodeWrite("n", chunks=chunks, newest=(1, 2), oldest=(1, 1))])
    store.close()
    assert missing(url, {"n": 2}) == 0
    assert missing(url, {"n": 3, "other": 1}) == 2
