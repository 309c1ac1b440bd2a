"""Faults of the hub in a live run: it is paused, killed or stopped, or its store accepts no writes.

They are real: signals to the hub's process, and a write lock on its database, as a backup or a slow disk would hold it.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable
from functools import partial
from math import inf, nan
from pathlib import Path

from heartbench.simulator.engines.live.hub import HubProcess
from heartbench.simulator.fault import HubFault, HubFaultKind
from heartbench.simulator.trace import TruthEvent

LOCKED_WITHIN_S = 5.0


class HubFaults:
    """Carries out the faults of the hub at their times.

    `happened` has (event, from, to) of each fault that has begun, in s since time 0; `to` is NaN while it lasts.
    `down_s` is when a fault first took the hub down, inf if none did.
    """

    def __init__(
        self, faults: Iterable[HubFault] = (), hub: HubProcess | None = None, store: Path | None = None
    ) -> None:
        self.happened: list[tuple[TruthEvent, float, float]] = []
        self.down_s = inf
        self._hub = hub
        self._store = store
        self._is_down = False
        self._lock: sqlite3.Connection | None = None
        self._due: list[tuple[float, Callable[[], None]]] = []
        if hub is None:
            return
        for fault in sorted(faults, key=lambda fault: fault.at_s):  # they do not overlap
            begin, end = self._actions(hub, fault.kind)
            self._due.append((fault.at_s, partial(self._begin, fault.kind, begin)))
            self._due.append((fault.at_s + fault.duration_s, partial(self._end, end)))

    @property
    def next_s(self) -> float:
        """Time of the next action, s since time 0; inf if there is none."""
        return self._due[0][0] if self._due else inf

    def begin(self, origin_s: float) -> None:
        """Set time 0, on the monotonic clock."""
        self._origin_s = origin_s

    def act(self) -> None:
        """Do what is due."""
        while self.next_s <= self._now():
            self._due.pop(0)[1]()

    def check(self) -> None:
        """Raise SimulatorError if the hub is down, and no fault took it down."""
        if self._hub is not None and not self._is_down:
            self._hub.check()

    def close(self) -> None:
        """End the faults under way and drop the others, so that the hub can be stopped."""
        self._due.clear()
        if self._hub is not None:
            self._hub.resume()
        self._release()

    def _now(self) -> float:
        return time.monotonic() - self._origin_s

    def _actions(self, hub: HubProcess, kind: HubFaultKind) -> tuple[Callable[[], None], Callable[[], None]]:
        """Return what begins such a fault, and what ends it."""
        match kind:
            case HubFaultKind.PAUSE:
                return hub.pause, hub.resume
            case HubFaultKind.KILL:
                return hub.kill, hub.start
            case HubFaultKind.STOP:
                return hub.stop, hub.start
            case HubFaultKind.SLOW_STORE:
                return self._hold, self._release

    def _begin(self, kind: HubFaultKind, begin: Callable[[], None]) -> None:
        now = self._now()
        if kind in (HubFaultKind.KILL, HubFaultKind.STOP):
            self.down_s = min(self.down_s, now)
            self._is_down = True
        self.happened.append((TruthEvent[f"HUB_{kind.name}"], now, nan))
        begin()

    def _end(self, end: Callable[[], None]) -> None:
        end()
        self._is_down = False
        event, from_s, _ = self.happened[-1]
        self.happened[-1] = (event, from_s, self._now())

    def _hold(self) -> None:
        self._lock = sqlite3.connect(self._store or "", timeout=LOCKED_WITHIN_S, isolation_level=None)
        self._lock.execute("BEGIN IMMEDIATE")

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.rollback()
            self._lock.close()
            self._lock = None
