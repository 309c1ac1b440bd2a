"""Writes to the store away from the event loop: one thread, group commit, a bounded queue, and retries.

The changes that come while one batch is written are the next batch: the slower the store, the larger the group. A
failed write is retried until it succeeds, and is taken from the histories each time. The queue is bounded in chunks and
bytes, over all nodes: when it is full, `append` waits, its stream is not read, and gRPC's flow control slows the node.

While there is nothing to write, the store is checked every CHECK_INTERVAL_S: a hub whose store another one has taken
ends within that time, also if its nodes only send heartbeats.
"""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from time import perf_counter

from heartbench.hub.errors import HubError, OutdatedStreamError
from heartbench.hub.printable import shown
from heartbench.hub.store.history import History, Position, StoredChunk
from heartbench.hub.store.order import check_new, check_repeated
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
"""Maximum number of chunks and nodes in a batch: a full one takes a fraction of a second."""

FIRST_RETRY_S, LAST_RETRY_S = 0.1, 5.0

CHECK_INTERVAL_S = 1.0
"""Seconds without a write after which the store is checked. A check takes some 0.1 ms."""


class StoreState(StrEnum):
    """State of the store."""

    OK = "ok"
    UNAVAILABLE = "unavailable"
    FENCED = "fenced"


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """The store's state, and its error message unless the state is OK."""

    state: StoreState
    error: str = ""


@dataclass(frozen=True, slots=True)
class WriterStats:
    """The queue in front of the store, and the duration of the last 512 commits, s."""

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


class Writer:
    """Writes chunks and records. `run` is its task; everything else is called from the same event loop."""

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
        self._on_health: OnHealth = lambda _: None
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
        """Append a chunk to the node's history and queue it for the store; waits while the queue is full.

        Returns when the chunk is queued. The future resolves when it is as safe as the durability requires; for a
        duplicate, when everything before it is. It fails with the error that ended the writer. Others may share it:
        shield it when awaiting it. Raises the errors of `order.py` for a chunk that may not follow the newest.
        """
        if self._end is not None:
            raise self._end.with_traceback(None)
        if chunk.position <= history.newest:
            return self._repeated(node_id, history, chunk)
        check_new(chunk, history.newest)
        size_bytes = len(chunk.data)
        await self._budget.acquire(size_bytes)
        if history.released:  # while this chunk waited
            self._budget.release(1, size_bytes)
            raise OutdatedStreamError(f"node {shown(node_id)}: its stored output was removed, and begins anew")
        unsaved = self._unsaved_of(node_id)
        unsaved.follow(history)
        if not history.append(chunk):  # another stream of the node delivered it meanwhile
            self._budget.release(1, size_bytes)
            return self._repeated(node_id, history, chunk)
        pending = Pending(chunk.position, size_bytes, asyncio.get_running_loop().create_future())
        unsaved.pending.append(pending)
        if self._buffered:
            pending.saved.set_result(None)
        return pending.saved

    def saved(self, node_id: str, history: History) -> Position:
        """Return the position up to which the chunks of a node are as safe as the durability requires."""
        unsaved = self._unsaved.get(node_id)
        if self._buffered or unsaved is None or unsaved.history is None:
            return history.newest
        return unsaved.saved

    def save(self, record: NodeRecord) -> None:
        """Queue a node's record, in place of one that is queued already. Never waits."""
        if self._end is None:
            self._unsaved_of(record.node_id).record = record

    def forget(self, node_id: str) -> None:
        """Queue the deletion of everything stored of a node. Its streams have ended before."""
        if self._end is None:
            unsaved = self._unsaved_of(node_id)
            self._release(unsaved.pending)
            unsaved.pending.clear()  # the batch that is being written may hold it, and confirm it later
            self._unsaved[node_id] = Unsaved(node_id, anew=True)

    async def flush(self) -> None:
        """Wait until everything is saved; raise the error that ended the writer, if any."""
        await self._idle.wait()
        if self._end is not None:
            raise self._end

    def stats(self) -> WriterStats:
        """Return the figures of queue and commits."""
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

    async def run(self, all_nodes: AllNodes = tuple, on_health: OnHealth = lambda _: None) -> None:
        """Write until cancelled, then close the store.

        `all_nodes` returns every known node; it is called if the store lost what it had confirmed. `on_health` is
        called each time the state of the store changes. FencedError: another hub has taken the store; this one
        acknowledges nothing more and should end.
        """
        self._all_nodes, self._on_health = all_nodes, on_health
        thread = ThreadPoolExecutor(1, "store-writer")
        try:
            while True:
                if await self._has_work():
                    await asyncio.sleep(self._retry_s or self._linger_s)
                    await self._commit(thread)
                elif await self._succeeds(thread, self._store.check):
                    self._set_health(StoreHealth(StoreState.OK))
        except BaseException as error:  # also when cancelled: those who wait for it get an error
            self._stop(error if isinstance(error, Exception) else HubError("the store's writer has stopped"))
            raise
        finally:
            thread.submit(self._store.close)  # after the current write, which cannot be cancelled
            thread.shutdown(wait=False)

    async def _commit(self, thread: ThreadPoolExecutor) -> None:
        batch = self._take()
        began_s = perf_counter()
        if await self._succeeds(thread, self._store.write, [write for _, write in batch]):
            self._commit_s.add(perf_counter() - began_s)
            self._commits += 1
            self._settle(batch)
            self._set_health(StoreHealth(StoreState.OK))

    async def _has_work(self) -> bool:
        """Return whether there is something to write, at the latest when the store is to be checked."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CHECK_INTERVAL_S):
                await self._work.wait()
        return self._work.is_set()

    async def _succeeds(self, thread: ThreadPoolExecutor, call: Callable[..., None], *arguments: object) -> bool:
        """Call the store in its thread; return False, and note why, if it is not available."""
        try:
            await asyncio.get_running_loop().run_in_executor(thread, call, *arguments)
        except StoreUnavailableError as error:
            if isinstance(error, StoreLostError):
                self._rewrite_everything()
            self._failures += 1
            self._retry_s = min(LAST_RETRY_S, 2 * self._retry_s or FIRST_RETRY_S)
            self._set_health(StoreHealth(StoreState.UNAVAILABLE, str(error)))
            return False
        self._retry_s = 0.0
        return True

    def _take(self) -> list[tuple[Unsaved, NodeWrite]]:
        """Return the next batch: whole nodes, the longest unsaved first."""
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
            if self._unsaved.get(write.node_id) is unsaved:  # else the node has been forgotten
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
            self._unsaved_of(node_id).rewrite(history, record)

    def _unsaved_of(self, node_id: str) -> Unsaved:
        unsaved = self._unsaved.get(node_id)
        if unsaved is None:
            unsaved = self._unsaved[node_id] = Unsaved(node_id)
            self._idle.clear()
            self._work.set()
        return unsaved

    def _repeated(self, node_id: str, history: History, chunk: StoredChunk) -> "asyncio.Future[None]":
        """Return when a chunk that is sent again is safe: when everything is that was taken until now."""
        check_repeated(chunk, history, self.saved(node_id, history))
        unsaved = self._unsaved.get(node_id)
        if unsaved is not None and unsaved.pending:
            return unsaved.pending[-1].saved
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def _set_health(self, health: StoreHealth) -> None:
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
                    one.saved.exception()  # mark it as retrieved: there may be no waiter
        self._idle.set()
        if isinstance(reason, FencedError):
            self._set_health(StoreHealth(StoreState.FENCED, str(reason)))
