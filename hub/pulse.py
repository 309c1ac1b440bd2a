"""What the hub does by itself: ten times a second it looks for passed deadlines, and now and then it sums up."""

import asyncio
from typing import Any

import structlog

from heartbench.hub.core import Hub
from heartbench.hub.liveness import Status

BEAT_S = 0.1
FLUSH_INTERVAL_S = 1.0

log = structlog.get_logger()


class Pulse:
    """Beats until it is cancelled."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._summed_up_s = hub.clock.monotonic()
        self._flushed_s = self._summed_up_s
        self._heartbeats = 0

    async def beat(self) -> None:
        """Sweep, flush and sum up, for ever."""
        while True:
            await asyncio.sleep(BEAT_S)
            self.once()

    def once(self) -> None:
        """One beat."""
        now = self._hub.clock.monotonic()
        self._hub.sweep()
        if now - self._flushed_s >= FLUSH_INTERVAL_S:
            self._hub.flush()
            self._flushed_s = now
        if now - self._summed_up_s >= self._hub.settings.summary_interval_s:
            log.info("summary", **self.summary())

    def summary(self) -> dict[str, Any]:
        """The figures of the interval since the last summary, and how things stand."""
        now = self._hub.clock.monotonic()
        counters, registry = self._hub.counters, self._hub.registry
        interval_s = max(now - self._summed_up_s, 1e-9)
        figures = {
            **{str(status): 0 for status in Status},
            "heartbeats_per_s": round((counters.heartbeats - self._heartbeats) / interval_s, 1),
            "heartbeats": counters.heartbeats,
            "chunks": counters.chunks,
            "flaps": registry.flaps,
            "flashes": counters.flashes,
            "heap": registry.heap_size,
            "events_lost": self._hub.bus.lost,
        }
        for node in registry.nodes.values():
            figures[str(node.status)] += 1
        self._summed_up_s, self._heartbeats = now, counters.heartbeats
        return figures
