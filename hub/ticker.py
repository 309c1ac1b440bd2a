"""What the hub does by itself: ten times a second it looks for passed deadlines, and now and then for other things.

The pulse is also how the hub knows itself: where a beat comes late, the hub could not hear.
"""

import asyncio
from collections.abc import Callable

from heartbench.hub.core import Hub
from heartbench.hub.liveness.self_health import BEAT_S


class Periodic:
    """Calls something when so many seconds have passed since it last did."""

    def __init__(self, interval_s: float, call: Callable[[], object], now: float) -> None:
        self._interval_s = interval_s
        self._call = call
        self._next_s = now + interval_s

    def look(self, now: float) -> None:
        """Call it if it is time to; a time that was missed is not made up for."""
        if now >= self._next_s:
            self._next_s = now + self._interval_s
            self._call()


class Pulse:
    """Beats until it is cancelled."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._duties: list[Periodic] = []

    def every(self, interval_s: float, call: Callable[[], object]) -> None:
        """Call something every so often from now on."""
        self._duties.append(Periodic(interval_s, call, self._hub.clock.monotonic()))

    def once(self) -> None:
        """One beat."""
        self._hub.beat()
        now = self._hub.clock.monotonic()
        for duty in self._duties:
            duty.look(now)

    async def beat(self) -> None:
        """Beat for ever."""
        while True:
            await asyncio.sleep(BEAT_S)
            self.once()
