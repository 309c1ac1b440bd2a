import math

import pytest

from heartbench.benchmarks.history import compare
from heartbench.benchmarks.history.measure import BUDGET_BYTES, BUDGETED, WAYS, Subject, chunks_of, held
from heartbench.benchmarks.history.memory import collector_pauses


@pytest.mark.parametrize("way", WAYS)
def test_every_way_keeps_the_newest_chunks(way: str) -> None:
    subject = Subject([WAYS[way](5)], 10)

    subject.fill(5, 10)
    subject.pour(3, 10)

    assert [chunk.seq for chunk in chunks_of(subject.keepers[0])] == [4, 5, 6, 7, 8]


def test_nodes_are_given_chunks_in_turn() -> None:
    subject = Subject([WAYS["deque"](5) for _ in range(3)], 10)

    subject.pour(6, 10)

    assert [[chunk.seq for chunk in chunks_of(keeper)] for keeper in subject.keepers] == [[1, 4], [2, 5], [3, 6]]


def test_a_byte_budget_bounds_what_is_held_and_what_is_needed() -> None:
    assert held(BUDGETED, 10_000, BUDGET_BYTES // 4) == 4
    assert held("deque", 10_000, BUDGET_BYTES // 4) == 10_000
    assert compare.needed_bytes(BUDGETED, 10_000, BUDGET_BYTES, 10) < compare.needed_bytes("deque", 150, 80, 1000)


def test_a_combination_is_either_measured_or_left_out() -> None:
    everything = list(compare.combinations(tuple(WAYS), compare.CHUNKS, compare.CHUNK_BYTES, compare.NODES))
    left_out = compare.left_out()

    assert len(everything) == 54
    assert 0 < len(left_out) < len(everything)
    assert (left_out.needed_bytes > compare.MEMORY_BYTES).all()


def test_one_combination_is_measured_in_a_process_of_its_own() -> None:
    frame = compare.compare(["list splice", BUDGETED], [20], [80], [1])

    assert list(frame.way) == ["list splice", BUDGETED]
    assert (frame.data_bytes == 20 * 80).all()
    assert (frame.append_s > 0).all()
    assert (frame.peak_bytes >= frame.retained_bytes).all()
    assert compare.plot_append(frame).get_title(loc="left").startswith("A spliced list")


def test_the_collectors_pauses_are_noted() -> None:
    import gc

    with collector_pauses() as pauses:
        gc.collect()

    assert len(pauses.seconds) == 1
    assert not math.isnan(pauses.longest_s)
