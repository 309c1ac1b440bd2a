import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbench.hub.errors import HubError, OutdatedStreamError
from heartbench.hub.liveness.rules import Reason, Status
from heartbench.hub.store import writer as writer_module
from heartbench.hub.store.history import START, History, StoredChunk
from heartbench.hub.store.protocol import (
    Durability,
    FencedError,
    NodeWrite,
    StoredNode,
    StoreLostError,
    StoreUnavailableError,
)
from heartbench.hub.store.record import NodeRecord
from heartbench.hub.store.writer import StoreHealth, StoreState, Writer


class ToldStore:
    """Does in memory what a store does, when it is told that it may, and fails as it is told."""

    epoch = 1

    def __init__(self) -> None:
        self.held: dict[str, list[StoredChunk]] = {}
        self.records: dict[str, NodeRecord] = {}
        self.batches: list[Sequence[NodeWrite]] = []
        self.failures: deque[Exception] = deque()
        self.trouble: Exception | None = None
        self.threads: set[str] = set()
        self.may_write = threading.Event()
        self.may_write.set()
        self.closed = threading.Event()

    def load(self) -> Iterator[StoredNode]:
        return iter(())

    def write(self, batch: Sequence[NodeWrite]) -> None:
        assert self.may_write.wait(10)
        self.threads.add(threading.current_thread().name)
        if self.failures:
            raise self.failures.popleft()
        self.batches.append(batch)
        for write in batch:
            self._apply(write)

    def check(self) -> None:
        if self.trouble is not None:
            raise self.trouble

    def _apply(self, write: NodeWrite) -> None:
        if write.anew:
            self.held.pop(write.node_id, None)
            self.records.pop(write.node_id, None)
        if write.newest != START:
            chunks = self.held.setdefault(write.node_id, [])
            last = chunks[-1].position if chunks else START
            chunks += [chunk for chunk in write.chunks if chunk.position > last]
            chunks[:] = [chunk for chunk in chunks if chunk.position >= write.oldest]
        if write.record is not None:
            self.records[write.node_id] = write.record

    def close(self) -> None:
        self.closed.set()


@asynccontextmanager
async def writing(store: ToldStore, **options: Any) -> AsyncIterator[Writer]:
    run = {name: options.pop(name) for name in ("all_nodes", "on_health") if name in options}
    writer = Writer(store, linger_s=0, **options)
    task = asyncio.create_task(writer.run(**run))
    try:
        yield writer
    finally:
        store.may_write.set()
        task.cancel()
        await asyncio.wait([task])


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await scenario

    asyncio.run(bounded())


def chunk(seq: int, data: bytes = b"x") -> StoredChunk:
    return StoredChunk(1, seq, 0.0, data)


def record(heartbeats: int) -> NodeRecord:
    return NodeRecord("edge", Status.ONLINE, Reason.HEARD, heartbeats=heartbeats)


@pytest.fixture(autouse=True)
def patient_for_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "FIRST_RETRY_S", 0.001)
    monkeypatch.setattr(writer_module, "LAST_RETRY_S", 0.002)
    monkeypatch.setattr(writer_module, "CHECK_INTERVAL_S", 0.001)


def test_a_chunk_is_acknowledged_when_the_store_has_it_and_not_before() -> None:
    async def scenario() -> None:
        store, history = ToldStore(), History(9, 99)
        store.may_write.clear()
        async with writing(store) as writer:
            saved = await writer.append("edge", history, chunk(1))
            await settle()
            assert list(history) == [chunk(1)]  # shown at once
            assert not saved.done()
            assert writer.saved("edge", history) == START
            store.may_write.set()
            await saved
            assert writer.saved("edge", history) == (1, 1)
            assert store.held == {"edge": [chunk(1)]}

    run(scenario())


def test_buffered_acknowledges_what_is_queued() -> None:
    async def scenario() -> None:
        store = ToldStore()
        store.may_write.clear()
        async with writing(store, durability=Durability.BUFFERED, max_chunks=1) as writer:
            assert (await writer.append("edge", History(9, 99), chunk(1))).done()
            assert writer.stats().queued_chunks == 1
            store.may_write.set()
            await writer.flush()
            assert store.held == {"edge": [chunk(1)]}

    run(scenario())


def test_what_comes_while_a_batch_is_written_is_the_next_batch() -> None:
    async def scenario() -> None:
        store, history = ToldStore(), History(99, 999)
        store.may_write.clear()
        async with writing(store) as writer:
            await writer.append("edge", history, chunk(1))
            await settle()
            for seq in range(2, 50):
                await writer.append("edge", history, chunk(seq))
            store.may_write.set()
            await writer.flush()
            assert [len(write.chunks) for (write,) in store.batches] == [1, 48]
            assert store.threads == {"store-writer_0"}

    run(scenario())


def test_a_repetition_is_acknowledged_with_what_is_under_way() -> None:
    async def scenario() -> None:
        store, history = ToldStore(), History(9, 99)
        store.may_write.clear()
        async with writing(store) as writer:
            await writer.append("edge", history, chunk(1))
            again = await writer.append("edge", history, chunk(1))
            await settle()
            assert not again.done()
            store.may_write.set()
            await again
            assert (await writer.append("edge", history, chunk(1))).done()
            assert store.held == {"edge": [chunk(1)]}

    run(scenario())


def test_a_full_queue_makes_chunks_wait_and_nothing_else() -> None:
    async def scenario() -> None:
        store, history = ToldStore(), History(9, 99)
        store.may_write.clear()
        async with writing(store, max_chunks=2) as writer:
            for seq in (1, 2):
                await writer.append("edge", history, chunk(seq))
            third = asyncio.create_task(writer.append("edge", history, chunk(3)))
            writer.save(record(1))
            await settle()
            assert not third.done()
            assert (len(history), writer.stats().waiting) == (2, 1)
            store.may_write.set()
            await (await third)
            assert store.held == {"edge": [chunk(1), chunk(2), chunk(3)]}

    run(scenario())


def test_two_streams_that_bring_the_same_chunk_to_a_full_queue_store_it_once() -> None:
    async def scenario() -> None:
        store, history = ToldStore(), History(9, 99)
        store.may_write.clear()
        async with writing(store, max_chunks=1) as writer:
            await writer.append("edge", history, chunk(1))
            both = [asyncio.create_task(writer.append("edge", history, chunk(2))) for _ in range(2)]
            await settle()
            store.may_write.set()
            for one in both:
                await (await one)
            await writer.flush()
            assert store.held == {"edge": [chunk(1), chunk(2)]}
            assert (writer.stats().queued_chunks, writer.stats().queued_bytes) == (0, 0)

    run(scenario())


def test_a_chunk_that_waits_while_its_node_is_forgotten_is_refused() -> None:
    async def scenario() -> None:
        store, history = ToldStore(), History(9, 99)
        store.may_write.clear()
        async with writing(store, max_chunks=1) as writer:
            await writer.append("edge", history, chunk(1))
            late = asyncio.create_task(writer.append("edge", history, chunk(2)))
            await settle()
            history.release()
            writer.forget("edge")
            with pytest.raises(OutdatedStreamError):
                await late
            store.may_write.set()
            await writer.flush()
            assert (store.held, writer.stats().queued_chunks) == ({}, 0)

    run(scenario())


def test_of_several_records_the_last_is_saved() -> None:
    async def scenario() -> None:
        store = ToldStore()
        async with writing(store) as writer:
            for heartbeats in range(5):
                writer.save(record(heartbeats))
            await writer.flush()
            assert (store.records, len(store.batches)) == ({"edge": record(4)}, 1)

    run(scenario())


def test_a_store_that_fails_is_tried_until_it_returns_and_gets_the_newest_chunks() -> None:
    async def scenario() -> None:
        store, history, said = ToldStore(), History(3, 99), list[StoreHealth]()
        store.failures.extend(StoreUnavailableError("disk full") for _ in range(4))
        store.may_write.clear()
        async with writing(store, on_health=said.append) as writer:
            saved = [await writer.append("edge", history, chunk(seq)) for seq in range(1, 8)]
            store.may_write.set()
            await asyncio.gather(*saved)
            assert store.held == {"edge": [chunk(5), chunk(6), chunk(7)]}
            assert said == [StoreHealth(StoreState.UNAVAILABLE, "disk full"), StoreHealth(StoreState.OK)]
            assert (writer.stats().failures, writer.stats().commits) == (4, 1)

    run(scenario())


def test_a_store_that_lost_everything_is_told_everything() -> None:
    async def scenario() -> None:
        store = ToldStore()
        histories = {"edge": History(9, 99), "quiet": History(9, 99)}
        known = [("edge", histories["edge"], record(7)), ("quiet", histories["quiet"], None)]
        async with writing(store, all_nodes=lambda: known) as writer:
            for node_id, history in histories.items():
                await writer.append(node_id, history, chunk(1))
            await writer.flush()
            store.held.clear()
            store.failures.append(StoreLostError("an old snapshot"))
            await writer.append("edge", histories["edge"], chunk(2))
            await writer.flush()
            assert store.held == {"edge": [chunk(1), chunk(2)], "quiet": [chunk(1)]}
            assert store.records == {"edge": record(7)}
            assert writer.stats().queued_chunks == 0

    run(scenario())


def test_a_fenced_hub_acknowledges_nothing_and_says_so() -> None:
    async def scenario() -> None:
        store, history, said = ToldStore(), History(9, 99), list[StoreHealth]()
        store.failures.append(FencedError("epoch 2 rules"))
        writer = Writer(store, linger_s=0, max_chunks=1)
        saved = await writer.append("edge", history, chunk(1))
        waiting = asyncio.create_task(writer.append("edge", history, chunk(2)))
        await settle()
        with pytest.raises(FencedError, match="epoch 2 rules"):
            await writer.run(on_health=said.append)
        again, more = (writer.append("edge", history, chunk(seq)) for seq in (1, 3))
        for late in (saved, waiting, again, more, writer.flush()):
            with pytest.raises(FencedError):
                await late
        assert said == [StoreHealth(StoreState.FENCED, "epoch 2 rules")]
        assert store.held == {}

    run(scenario())


def test_a_hub_with_nothing_to_write_ends_when_another_takes_its_store() -> None:
    async def scenario() -> None:
        store, said = ToldStore(), list[StoreHealth]()
        store.trouble = FencedError("epoch 2 rules")
        with pytest.raises(FencedError, match="epoch 2 rules"):
            await Writer(store, linger_s=0).run(on_health=said.append)
        assert said == [StoreHealth(StoreState.FENCED, "epoch 2 rules")]
        assert store.batches == []

    run(scenario())


def test_an_outage_is_noticed_and_its_end_too_with_nothing_to_write() -> None:
    async def scenario() -> None:
        store, said = ToldStore(), asyncio.Queue[StoreHealth]()
        store.trouble = StoreUnavailableError("out of reach")
        async with writing(store, on_health=said.put_nowait):
            assert await said.get() == StoreHealth(StoreState.UNAVAILABLE, "out of reach")
            store.trouble = None
            assert await said.get() == StoreHealth(StoreState.OK)

    run(scenario())


def test_a_loss_that_a_check_finds_is_made_good() -> None:
    async def scenario() -> None:
        store, history, said = ToldStore(), History(9, 99), asyncio.Queue[StoreHealth]()
        async with writing(
            store, all_nodes=lambda: [("edge", history, record(7))], on_health=said.put_nowait
        ) as writer:
            await (await writer.append("edge", history, chunk(1)))
            store.held.clear()
            store.trouble = StoreLostError("the file was deleted")
            assert (await said.get()).state is StoreState.UNAVAILABLE
            store.trouble = None
            assert writer.saved("edge", history) == START
            await writer.flush()
            assert (store.held, store.records) == ({"edge": [chunk(1)]}, {"edge": record(7)})
            assert (await said.get()).state is StoreState.OK

    run(scenario())


def test_a_forgotten_node_is_gone_also_if_it_was_being_written() -> None:
    async def scenario() -> None:
        store = ToldStore()
        store.may_write.clear()
        async with writing(store, max_chunks=3) as writer:
            history = History(9, 99)
            await writer.append("edge", history, chunk(1))
            await settle()
            late = await writer.append("edge", history, chunk(2))
            writer.forget("edge")
            await late
            assert writer.stats().queued_chunks == 0
            store.may_write.set()
            await writer.flush()
            assert (store.held, store.records) == ({}, {})
            await (await writer.append("edge", History(9, 99), chunk(1, b"back")))
            assert store.held == {"edge": [chunk(1, b"back")]}

    run(scenario())


def test_a_cancelled_writer_leaves_nobody_waiting_and_closes_the_store() -> None:
    async def scenario() -> None:
        store = ToldStore()
        store.may_write.clear()
        async with writing(store, max_chunks=1) as writer:
            saved = await writer.append("edge", History(9, 99), chunk(1))
            waiting = asyncio.create_task(writer.append("other", History(9, 99), chunk(1)))
            await settle()
        for late in (saved, waiting):
            with pytest.raises(Exception, match="has stopped"):
                await late
        assert await asyncio.to_thread(store.closed.wait, 10)

    run(scenario())


def test_a_mistake_in_a_store_ends_the_writer_and_does_not_hang() -> None:
    async def scenario() -> None:
        store = ToldStore()
        store.failures.append(ZeroDivisionError("a bug"))
        writer = Writer(store, linger_s=0)
        saved = await writer.append("edge", History(9, 99), chunk(1))
        with pytest.raises(ZeroDivisionError):
            await writer.run()
        with pytest.raises(ZeroDivisionError):
            await saved

    run(scenario())


steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["a", "b"]), st.integers(1, 2), st.integers(1, 9)),
        st.sampled_from(["fail", "lose", "wait", "forget a"]),
    ),
    max_size=30,
)


@given(steps)
def test_in_the_end_the_store_holds_what_the_histories_hold(steps: list[tuple[str, int, int] | str]) -> None:
    async def scenario() -> None:
        store = ToldStore()
        histories = {name: History(3, 99) for name in "ab"}
        async with writing(store, all_nodes=lambda: [(*item, None) for item in histories.items()]) as writer:
            saved = []
            for step in steps:
                if step == "fail":
                    store.failures.append(StoreUnavailableError("out of reach"))
                elif step == "lose":
                    store.held.clear()
                    store.failures.append(StoreLostError("lost"))
                elif step == "wait":
                    await asyncio.sleep(0)
                elif step == "forget a":
                    writer.forget("a")
                    histories["a"] = History(3, 99)
                elif not isinstance(step, str):
                    name, boot_id, seq = step
                    with suppress(HubError):  # it may not follow the newest
                        saved.append(await writer.append(name, histories[name], StoredChunk(boot_id, seq, 0.0, b"x")))
            writer.save(record(1))  # so that there is a write that finds out
            await asyncio.gather(*saved)
            await writer.flush()
            assert {name: chunks for name, chunks in store.held.items() if chunks} == {
                name: list(history) for name, history in histories.items() if len(history)
            }
            assert writer.stats().queued_chunks == 0

    run(scenario())
