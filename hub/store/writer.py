"""The store, kept away from the event loop: one thread, group commit, a bounded queue, and patience.

What has changed while one batch was written is the next batch: the slower the store, the larger the group. A write that
fails is tried again until it succeeds, taken afresh from the histories each time. The queue is bounded in chunks and
bytes, over all nodes: when it is full, `append` waits, its stream is not read, and gRPC's flow control slows the node.
"""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from time import perf_counter

from heartbench.hub.errors import HubError
from heartbench.hub.store.history import History, Position, StoredChunk
from heartbench.hub.store.protocol import (
    Durability,
    FencedError,
    NodeWrite,
    Store,
    StoreLostError,
    StoreUnavailableError,
)
from heartbench.hub.store.record import NodeRecord
from heartbench.hub.store.unsaved import Pending, Unsaved
from heartbench.hub.work.budget import Budget
from heartbench.hub.work.rolling_quantiles import RollingQuantiles

BATCH = 1000
"""Chunks and nodes of one batch at most: what a writer waits for a full one is a fraction of a second."""

LARGEST = 2**63 - 1
"""Of a boot_id or seq: what SQLite's integers hold."""

FIRST_RETRY_S, LAST_RETRY_S = 0.1, 5.0


class StoreState(StrEnum):
    """How it stands with the store."""

    OK = "ok"
    UNAVAILABLE = "unavailable"
    FENCED = "fenced"


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """The store's state, and what it said where that is not OK."""

    state: StoreState
    error: str = ""


@dataclass(frozen=True, slots=True)
class WriterStats:
    """The queue in front of the store, and how long commits take (s, the last 512)."""

    health: StoreHealth
    queued_chunks: int
    queued_bytes: int
    unsaved_nodes: int
    waiting: int
    commits: int
    failures: int
    chunks: int
    commit_p50_s: float
    commit_p99_s: float


KnownNode = tuple[str, History | None, NodeRecord | None]
AllNodes = Callable[[], Iterable[KnownNode]]
OnHealth = Callable[[StoreHealth], None]


def ignore(health: StoreHealth) -> None:
    """Do nothing with the store's health."""


class Writer:
    """Writes what changes behind the streams. `run` is its task; everything else is called from the same event loop."""

    def __init__(
        self,
        store: Store,
        *,
        durability: Durability = Durability.COMMITTED,
        max_chunks: int = 20_000,
        max_bytes: int = 64 << 20,
        linger_s: float = 0.01,
    ) -> None:
        """`linger_s`: how long a batch waits to grow."""
        self._store = store
        self._buffered = durability is Durability.BUFFERED
        self._budget = Budget(max_chunks, max_bytes)
        self._linger_s = linger_s
        self._all_nodes: AllNodes = tuple
        self._on_health: OnHealth = ignore
        self._unsaved: dict[str, Unsaved] = {}
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._health = StoreHealth(StoreState.OK)
        self._end: Exception | None = None
        self._retry_s = 0.0
        self._commits = self._failures = self._chunks = 0
        self._commit_s = RollingQuantiles()

    async def append(self, node_id: str, history: History, chunk: StoredChunk) -> "asyncio.Future[None]":
        """Take a chunk into the node's history and have it saved; waits while the queue is full.

        Returns when the chunk is queued. The future resolves when it is as safe as the durability says; for a
        repetition, when everything before it is. It fails with what ended the writer. Others may share it: whoever
        awaits it shields it.

        Raises:
            ValueError: boot_id, seq or sent_unix_s is nothing that can be stored.
            FencedError: Another hub has taken the store.
        """
        check(chunk)
        if self._end is not None:
            raise self._end.with_traceback(None)
        if chunk.position <= history.newest:
            return self._under_way(node_id)
        size_bytes = len(chunk.data)
        await self._budget.acquire(size_bytes)
        unsaved = self._of(node_id)
        unsaved.follow(history)
        if not history.append(chunk):  # another stream of the node brought it while this one waited
            self._budget.release(1, size_bytes)
            return self._under_way(node_id)
        pending = Pending(chunk.position, size_bytes, asyncio.get_running_loop().create_future())
        unsaved.pending.append(pending)
        if self._buffered:
            pending.saved.set_result(None)
        return pending.saved

    def saved(self, node_id: str, history: History) -> Position:
        """Up to where the chunks of a node are as safe as the durability says."""
        unsaved = self._unsaved.get(node_id)
        if self._buffered or unsaved is None or unsaved.history is None:
            return history.newest
        return unsaved.saved

    def save(self, record: NodeRecord) -> None:
        """Have a node's record saved; of several that wait, the last one. Never waits."""
        if self._end is None:
            self._of(record.node_id).record = record

    def forget(self, node_id: str) -> None:
        """Have everything that is stored of a node removed. Its streams have ended before."""
        if self._end is None:
            unsaved = self._of(node_id)
            self._release(unsaved.pending)
            unsaved.pending.clear()  # it may be in the batch that is being written, and be confirmed later
            self._unsaved[node_id] = Unsaved(node_id, anew=True)

    async def flush(self) -> None:
        """Return when nothing is left to be saved; raises what ended the writer."""
        await self._idle.wait()
        if self._end is not None:
            raise self._end

    def stats(self) -> WriterStats:
        """How it stands."""
        return WriterStats(
            health=self._health,
            queued_chunks=self._budget.items,
            queued_bytes=self._budget.size_bytes,
            unsaved_nodes=len(self._unsaved),
            waiting=self._budget.waiting,
            commits=self._commits,
            failures=self._failures,
            chunks=self._chunks,
            commit_p50_s=self._commit_s.quantile(0.5),
            commit_p99_s=self._commit_s.quantile(0.99),
        )

    async def run(self, all_nodes: AllNodes = tuple, on_health: OnHealth = ignore) -> None:
        """Write until cancelled, then close the store.

        Args:
            all_nodes: Returns every known node; called if the store lost what it had confirmed.
            on_health: Called each time the state of the store changes.

        Raises:
            FencedError: Another hub has taken the store. This one acknowledges nothing more and should end.
        """
        self._all_nodes, self._on_health = all_nodes, on_health
        thread = ThreadPoolExecutor(1, "store-writer")
        try:
            while True:
                await self._work.wait()
                await asyncio.sleep(self._retry_s or self._linger_s)
                await self._commit(thread)
        except BaseException as error:
            self._stop(error if isinstance(error, Exception) else HubError("the store's writer has stopped"))
            raise
        finally:
            thread.submit(self._store.close)  # after the write that is under way, which cannot be called back
            thread.shutdown(wait=False)

    async def _commit(self, thread: ThreadPoolExecutor) -> None:
        batch = self._take()
        began_s = perf_counter()
        try:
            await asyncio.get_running_loop().run_in_executor(thread, self._store.write, [write for _, write in batch])
        except StoreUnavailableError as error:
            if isinstance(error, StoreLostError):
                self._rewrite_everything()
            self._failures += 1
            self._retry_s = min(LAST_RETRY_S, 2 * self._retry_s or FIRST_RETRY_S)
            self._say(StoreHealth(StoreState.UNAVAILABLE, str(error)))
            return
        self._commit_s.add(perf_counter() - began_s)
        self._commits += 1
        self._retry_s = 0.0
        self._settle(batch)
        self._say(StoreHealth(StoreState.OK))

    def _take(self) -> list[tuple[Unsaved, NodeWrite]]:
        """The next batch: whole nodes, the longest unsaved first."""
        batch, room = [], BATCH
        for unsaved in self._unsaved.values():
            write = unsaved.to_write()
            batch.append((unsaved, write))
            room -= 1 + len(write.chunks)
            if room <= 0:
                break
        return batch

    def _settle(self, batch: list[tuple[Unsaved, NodeWrite]]) -> None:
        for unsaved, write in batch:
            self._chunks += len(write.chunks)
            self._release(unsaved.confirm(write))
            if self._unsaved.get(write.node_id) is unsaved:  # else the node was forgotten meanwhile
                del self._unsaved[write.node_id]
                if not unsaved.is_saved:
                    self._unsaved[write.node_id] = unsaved
        if not self._unsaved:
            self._work.clear()
            self._idle.set()

    def _release(self, pending: Iterable[Pending]) -> None:
        for one in pending:
            self._budget.release(1, one.size_bytes)
            if not one.saved.done():
                one.saved.set_result(None)

    def _rewrite_everything(self) -> None:
        for node_id, history, record in self._all_nodes():
            self._of(node_id).rewrite(history, record)

    def _of(self, node_id: str) -> Unsaved:
        unsaved = self._unsaved.get(node_id)
        if unsaved is None:
            unsaved = self._unsaved[node_id] = Unsaved(node_id)
            self._idle.clear()
            self._work.set()
        return unsaved

    def _under_way(self, node_id: str) -> "asyncio.Future[None]":
        unsaved = self._unsaved.get(node_id)
        if unsaved is not None and unsaved.pending:
            return unsaved.pending[-1].saved
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def _say(self, health: StoreHealth) -> None:
        changed = health.state is not self._health.state
        self._health = health
        if changed:
            self._on_health(health)

    def _stop(self, reason: Exception) -> None:
        self._end = reason
        self._budget.close(reason)
        for unsaved in self._unsaved.values():
            for one in unsaved.pending:
                if not one.saved.done():
                    one.saved.set_exception(reason)
                    one.saved.exception()  # nobody may be waiting for it
        self._idle.set()
        if isinstance(reason, FencedError):
            self._say(StoreHealth(StoreState.FENCED, str(reason)))


def check(chunk: StoredChunk) -> None:
    """Refuse a chunk that no store can hold: it would be tried for ever."""
    if not (0 <= chunk.boot_id <= LARGEST and 0 <= chunk.seq <= LARGEST and isfinite(chunk.sent_unix_s)):
        raise ValueError(
            f"chunk {chunk.boot_id}/{chunk.seq}, sent_unix_s={chunk.sent_unix_s}: allowed are numbers up to {LARGEST}"
            " and a finite time"
        )
