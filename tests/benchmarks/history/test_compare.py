import gc

import pytest

from heartbench.benchmarks.history import compare
from heartbench.benchmarks.history.compare import Combination
from heartbench.benchmarks.history.measure import BUDGET_BYTES, BUDGETED, WAYS, Fleet, chunks_when_full
from heartbench.benchmarks.history.memory import collector_pauses


@pytest.mark.parametrize("way", WAYS)
def test_every_way_keeps_the_newest_chunks(way: str) -> None:
    fleet = Fleet([WAYS[way](5)], 10)

    fleet.fill(5)
    fleet.append_new(3, 10)

    assert [chunk.seq for chunk in fleet.histories[0]] == [4, 5, 6, 7, 8]


def test_nodes_receive_chunks_in_turn() -> None:
    fleet = Fleet([WAYS["deque"](5) for _ in range(3)], 10)

    fleet.append_new(6, 10)

    assert [[chunk.seq for chunk in history] for history in fleet.histories] == [[1, 4], [2, 5], [3, 6]]


def test_a_byte_budget_bounds_the_chunks_and_the_memory() -> None:
    assert chunks_when_full(BUDGETED, 10_000, BUDGET_BYTES // 4) == 4
    assert chunks_when_full("deque", 10_000, BUDGET_BYTES // 4) == 10_000
    assert (
        Combination(BUDGETED, 10_000, BUDGET_BYTES, 10).needed_bytes < Combination("deque", 150, 80, 1000).needed_bytes
    )


def test_a_combination_is_either_measured_or_left_out() -> None:
    everything = compare.combinations(tuple(WAYS), compare.CHUNKS, compare.CHUNK_BYTES, compare.NODES)
    left_out = compare.left_out()

    assert len(everything) == 54
    assert 0 < len(left_out) < len(everything)
    assert (left_out.needed_bytes > compare.MEMORY_BYTES).all()


def test_each_combination_is_measured_in_its_own_process() -> None:
    frame = compare.compare(["list splice", BUDGETED], [20], [80], [1])

    assert list(frame.way) == ["list splice", BUDGETED]
    assert (frame.data_bytes == 20 * 80).all()
    assert (frame.append_s > 0).all()
    assert (frame.peak_bytes >= frame.retained_bytes).all()
    assert "spliced list" in compare.plot_append(frame).get_title(loc="left")


def test_the_collectors_pauses_are_recorded() -> None:
    with collector_pauses() as pauses_s:
        gc.collect()

    assert len(pauses_s) == 1
    assert pauses_s[0] > 0
