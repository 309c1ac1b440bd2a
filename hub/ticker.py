"""Ticks ten times a second: the hub looks for passed deadlines, and now and then for other things.

A tick is also how the hub knows its own health: if one is late, the hub did not run meanwhile.
"""

import asyncio
from collections.abc import Callable

from heartbench.hub.clock import Clock
from heartbench.hub.core import Hub
from heartbench.hub.liveness.self_health import TICK_S


class Periodic:
    """Calls something each time `interval_s` have passed since it last did."""

    def __init__(self, interval_s: float, call: Callable[[], object], now: float) -> None:
        self._interval_s = interval_s
        self._call = call
        self._next_s = now + interval_s

    def call_if_due(self, now: float) -> None:
        """Call it if it is due; a time that was missed is skipped."""
        if now >= self._next_s:
            self._next_s = now + self._interval_s
            self._call()


class Ticker:
    """Reads the clock and ticks until it is cancelled."""

    def __init__(self, hub: Hub, clock: Clock) -> None:
        self._hub = hub
        self._clock = clock
        self._periodic: list[Periodic] = []

    def every(self, interval_s: float, call: Callable[[], object]) -> None:
        """Call something every `interval_s` from now on."""
        self._periodic.append(Periodic(interval_s, call, self._clock.monotonic()))

    def tick(self) -> None:
        """Tick once."""
        self._hub.tick(self._clock.monotonic())
        now = self._clock.monotonic()
        for each in self._periodic:
            each.call_if_due(now)

    async def run(self) -> None:
        """Tick for ever."""
        while True:
            await asyncio.sleep(TICK_S)
            self.tick()
