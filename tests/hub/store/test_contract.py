"""What every store that outlives its hub must do, tried on each of them."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heartbench.hub.liveness.rules import Reason, Status
from heartbench.hub.store.history import START, History, Position, StoredChunk
from heartbench.hub.store.protocol import FencedError, NodeWrite, Store
from heartbench.hub.store.record import NodeRecord

RECORD = NodeRecord(
    "edge-1", Status.STALE, Reason.SILENCE, 17.5, 12.25, 3, 1, (1.5, 9.0), True, 10.0, 77, {"site": "Köln"}
)  # fmt: skip


def chunk(seq: int, data: bytes = b"x", boot_id: int = 1) -> StoredChunk:
    return StoredChunk(boot_id, seq, 1_700_000_000.123456, data)


def append(
    *chunks: StoredChunk, node_id: str = "edge-1", after: Position = START, oldest: Position = START
) -> NodeWrite:
    return NodeWrite(node_id, after=after, chunks=chunks, newest=chunks[-1].position, oldest=oldest)


def held(store: Store, node_id: str = "edge-1") -> Sequence[StoredChunk]:
    return next((node.chunks for node in store.load() if node.node_id == node_id), [])


def test_an_empty_store_holds_nothing(open_again: Callable[[], Store]) -> None:
    assert list(open_again().load()) == []


def test_chunks_and_records_outlive_the_hub(open_again: Callable[[], Store]) -> None:
    chunks = [chunk(1, b""), chunk(2, b"\x00\xff 1 2\n"), chunk(1, b"rebooted", boot_id=2)]
    store = open_again()
    store.write([append(*chunks), append(chunk(5), node_id="edge 2 *")])
    store.write([NodeWrite("edge-1", after=(2, 1), newest=(2, 1), record=RECORD)])
    store.close()
    nodes = {node.node_id: node for node in open_again().load()}
    assert nodes.keys() == {"edge-1", "edge 2 *"}
    assert list(nodes["edge-1"].chunks) == chunks
    assert nodes["edge-1"].newest == (2, 1)
    assert nodes["edge-1"].record == RECORD
    assert nodes["edge 2 *"].record is None


def test_a_write_that_is_repeated_changes_nothing(open_again: Callable[[], Store]) -> None:
    store = open_again()
    batch = [append(chunk(1), chunk(2))]
    store.write(batch)
    store.write(batch)
    store.write([append(chunk(1), chunk(2), chunk(3))])
    assert list(held(store)) == [chunk(1), chunk(2), chunk(3)]


def test_a_repetition_is_recognised_after_a_restart(open_again: Callable[[], Store]) -> None:
    store = open_again()
    store.write([append(chunk(1), chunk(2))])
    store.close()
    again = open_again()
    again.write([append(chunk(2), chunk(3))])
    assert list(held(again)) == [chunk(1), chunk(2), chunk(3)]


def test_chunks_of_older_boots_are_dropped(open_again: Callable[[], Store]) -> None:
    store = open_again()
    store.write([append(chunk(1, boot_id=2))])
    store.write([append(chunk(9, boot_id=1))])
    assert list(held(store)) == [chunk(1, boot_id=2)]


def test_what_the_history_dropped_is_dropped_soon(open_again: Callable[[], Store]) -> None:
    store = open_again()
    for seq in range(1, 200):
        store.write([append(chunk(seq), after=(1, seq - 1) if seq > 1 else START, oldest=(1, max(1, seq - 2)))])
    seqs = [one.seq for one in held(store)]
    assert seqs[-3:] == [197, 198, 199]
    assert len(seqs) < 40


def test_nothing_is_left_from_before_a_gap(open_again: Callable[[], Store]) -> None:
    store = open_again()
    store.write([append(chunk(1), chunk(2))])
    store.write([append(chunk(3), after=(1, 2))])
    store.write([append(chunk(8), chunk(9), after=(1, 3), oldest=(1, 8))])
    assert list(held(store)) == [chunk(8), chunk(9)]


def test_a_position_outlives_its_chunk(open_again: Callable[[], Store]) -> None:
    store = open_again()
    store.write([append(chunk(1)), NodeWrite("edge-2", newest=(1, 7), oldest=(1, 8))])
    nodes = {node.node_id: node for node in store.load()}
    assert (list(nodes["edge-2"].chunks), nodes["edge-2"].newest) == ([], (1, 7))
    store.write([NodeWrite("edge-1", after=(1, 1), newest=(1, 2), oldest=(1, 3))])
    store.write([append(chunk(2), chunk(3), after=(1, 2), oldest=(1, 3))])
    assert list(held(store)) == [chunk(3)]


def test_a_forgotten_node_leaves_nothing_and_may_begin_anew(open_again: Callable[[], Store]) -> None:
    store = open_again()
    store.write([append(chunk(7)), NodeWrite("edge-2", record=RECORD)])
    store.write([NodeWrite("edge-1", anew=True), NodeWrite("edge-2", anew=True)])
    assert list(store.load()) == []
    store.write([append(chunk(3))])
    assert list(held(store)) == [chunk(3)]


def test_a_node_that_returns_before_it_is_forgotten_may_begin_anew(open_again: Callable[[], Store]) -> None:
    store = open_again()
    store.write([append(chunk(7, boot_id=2))])
    store.write([NodeWrite("edge-1", anew=True, record=RECORD)])
    store.check()
    store.write([append(chunk(3))])
    assert list(held(store)) == [chunk(3)]


def test_writing_anew_replaces_what_was_there(open_again: Callable[[], Store]) -> None:
    store = open_again()
    store.write([append(chunk(1), chunk(2))])
    store.write([NodeWrite("edge-1", True, START, [chunk(1, b"y"), chunk(2)], (1, 2), (1, 1))])
    assert list(held(store)) == [chunk(1, b"y"), chunk(2)]


def test_each_opening_begins_a_greater_epoch(open_again: Callable[[], Store]) -> None:
    epochs = [open_again().epoch for _ in range(3)]
    assert epochs == sorted(set(epochs))


def test_a_hub_that_was_replaced_is_fenced_and_writes_nothing(open_again: Callable[[], Store]) -> None:
    stopped = open_again()
    stopped.write([append(chunk(1))])
    newer = open_again()
    for write in (append(chunk(2)), NodeWrite("edge-1", anew=True), NodeWrite("edge-1", record=RECORD)):
        with pytest.raises(FencedError, match="has taken the store"):
            stopped.write([write])
    newer.write([append(chunk(2))])
    assert list(held(newer)) == [chunk(1), chunk(2)]


def test_a_hub_with_nothing_to_write_finds_out_that_it_was_replaced(open_again: Callable[[], Store]) -> None:
    stopped = open_again()
    stopped.check()
    newer = open_again()
    with pytest.raises(FencedError, match="has taken the store"):
        stopped.check()
    newer.check()


def test_positions_are_told_apart_where_doubles_are_not(open_again: Callable[[], Store]) -> None:
    boot_id = 2**63 - 2
    chunks = [chunk(2**63 - 2, boot_id=boot_id), chunk(2**63 - 1, boot_id=boot_id), chunk(9, boot_id=boot_id + 1)]
    chunks.append(chunk(10, boot_id=boot_id + 1))
    store = open_again()
    for one in chunks:
        store.write([append(one)])
        store.write([append(one)])
    assert list(held(store)) == chunks


def test_a_batch_may_be_larger_than_a_statement(open_again: Callable[[], Store]) -> None:
    store = open_again()
    store.write([append(*map(chunk, range(1, 4)), node_id=f"edge-{number}") for number in range(450)])
    assert sum(len(node.chunks) for node in store.load()) == 1350


steps = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3), st.integers(1, 9), st.binary(max_size=9)), max_size=25)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps, st.integers(1, 4), st.data())
def test_a_store_holds_what_the_histories_hold(
    open_again: Callable[[], Store],
    steps: list[tuple[int, int, int, bytes]],
    max_chunks: int,
    data: st.DataObject,
) -> None:
    store = open_again()
    store.write([NodeWrite(node.node_id, anew=True) for node in store.load()])
    histories = {f"edge-{number}": History(max_chunks, 20) for number in range(3)}
    saved = dict.fromkeys(histories, START)
    for number, boot_id, seq, text in steps:
        histories[f"edge-{number}"].append(StoredChunk(boot_id, seq, 0.5, text))
        for node_id in data.draw(st.sets(st.sampled_from(list(histories)))):
            history, before = histories[node_id], saved[node_id]
            write = NodeWrite(node_id, False, before, history.after(before), history.newest, history.oldest)
            store.write([write])
            saved[node_id] = data.draw(st.sampled_from([before, history.newest]))  # the reply may be lost
    for node_id, history in histories.items():
        write = NodeWrite(node_id, False, START, history.after(START), history.newest, history.oldest)
        store.write([write])
    stored = {node.node_id: node for node in open_again().load()}
    for node_id, history in histories.items():
        if history.newest != START:
            restored = History(max_chunks, 20)
            restored.restore(stored[node_id].chunks, stored[node_id].newest)
            assert list(restored) == list(history)
            assert restored.newest == history.newest
