"""The hub's parts as the review found them, each with the face of the part that it is put in the place of.

What the review praised, the bounded executor itself, is left as it is: only what happened before it was ready is old.
"""

import asyncio
import time
from collections.abc import Callable
from threading import Thread
from typing import Any, TypeVar

import structlog

from heartbench.hub.core import Hub
from heartbench.hub.liveness.fixed_timeout import FixedTimeout
from heartbench.hub.liveness.flap_rules import FlapWindow
from heartbench.hub.liveness.node import Session
from heartbench.hub.liveness.policy import PolicySpec
from heartbench.hub.liveness.registry import Registry
from heartbench.hub.store.history import HeldBytes, History, StoredChunk
from heartbench.hub.store.memory import MemoryStore
from heartbench.hub.store.protocol import Durability
from heartbench.hub.work.executor import BoundedExecutor

T = TypeVar("T")
LAST_CHUNKS = 150
STALE_AFTER_S = 30.0
FLAP_WINDOW_S = 60.0

log = structlog.get_logger()
heartbeat_came = Hub.heartbeat


class SplicedHistory(History):
    """The last 150 chunks, whatever is set and however long they are: a list that is cut anew at each append."""

    _chunks: list[StoredChunk]  # type: ignore[assignment]

    def __init__(self, max_chunks: int, max_bytes: int, held: HeldBytes | None = None) -> None:
        super().__init__(max_chunks, max_bytes, held)
        self._chunks = []

    def append(self, chunk: StoredChunk) -> bool:
        self.newest = chunk.position
        self._chunks.append(chunk)
        self._chunks = self._chunks[-LAST_CHUNKS:]
        return True


class FixedRegistry(Registry):
    """Stale after 30 s, flaps remembered for 60 s, whatever is set."""

    def __init__(self, policy: PolicySpec) -> None:
        assert isinstance(policy.flap_rule, FlapWindow)
        rule = FlapWindow(FLAP_WINDOW_S, policy.flap_rule.threshold, policy.flap_rule.exit_below)
        super().__init__(PolicySpec(FixedTimeout(STALE_AFTER_S), rule))


class ThreadFallback(BoundedExecutor):
    """Until it is ready, each call gets a thread of its own."""

    async def submit(self, fn: Callable[..., T], *args: Any) -> T:
        if self._threads:
            return await super().submit(fn, *args)
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[T] = loop.create_future()
        Thread(target=lambda: loop.call_soon_threadsafe(outcome.set_result, fn(*args))).start()
        return await outcome


def memory_alone(url: str, durability: Durability, ttl_s: float) -> MemoryStore:
    """A store that forgets, whatever is set."""
    return MemoryStore(time.time())


def heartbeat_with_a_line(hub: Hub, session: Session, now: float, seq: int, sent_unix_s: float) -> None:
    """A heartbeat, and a line that says so."""
    log.debug("heartbeat received", node_id=session.node.node_id, seq=seq, sent_unix_s=sent_unix_s)
    heartbeat_came(hub, session, now, seq, sent_unix_s)


PARTS = {
    "heartbench.hub.core.History": SplicedHistory,
    "heartbench.hub.core.Registry": FixedRegistry,
    "heartbench.hub.core.Hub.heartbeat": heartbeat_with_a_line,
    "heartbench.hub.rpc.server.BoundedExecutor": ThreadFallback,
    "heartbench.hub.rpc.server.open_store": memory_alone,
}
"""Where the hub takes each part from, and what stands there in the old way."""
