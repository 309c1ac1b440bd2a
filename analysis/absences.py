"""Times in which the hub could not hear: it was paused, or it was down and started again.

Such time is no node's silence. The rules are the hub's own (`hub/core.py`, `hub/store/record_mapping.py`); with `d`
the deadline of
a node that is online when the hub goes away at `a` (a node with d < a is stale, and stays so until it is heard):

    pause     from a to b, longer than `pause_over_s`: d becomes max(d + b − a, b + min(CATCH_UP_S, stale_after_s))
    restart   down from a to b: d becomes b + `restart_grace_s`, whatever it was

Mass silence is not modelled: a hub that suspects its own network marks fewer nodes than is computed here.
"""

from math import inf
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heartbench.hub.liveness.self_health import CATCH_UP_S
from heartbench.simulator.kernel import kernel

Floats = NDArray[np.float64]

PAUSES, RESTARTS = ("hub_pause",), ("hub_kill", "hub_stop")


class Absences(NamedTuple):
    """When the hub was away, ascending and apart from each other; `to_s` is infinite if it did not come back."""

    from_s: Floats
    to_s: Floats
    is_restart: NDArray[np.bool_]

    def before(self, at_s: Floats) -> Floats:
        """Return for how long in all the hub had been away by each time, s."""
        total = np.zeros(len(at_s))
        for from_s, to_s in zip(self.from_s, self.to_s, strict=True):
            total += np.maximum(np.minimum(at_s, to_s) - from_s, 0.0)
        return total


ALWAYS_THERE = Absences(np.zeros(0), np.zeros(0), np.zeros(0, bool))


def hub_absences(truth: pd.DataFrame) -> Absences:
    """Read from a run's truth when the hub was away (columns event, start_s, end_s)."""
    away = truth[truth.event.isin([*PAUSES, *RESTARTS])].sort_values("start_s")
    return Absences(
        away.start_s.to_numpy(float), away.end_s.fillna(inf).to_numpy(float), away.event.isin(RESTARTS).to_numpy(bool)
    )


@kernel
def allowed_s(hub: Any, start: float, end: float, absences: Absences, first: int) -> float:
    """Return how long a node is silent before `hub` marks it stale, s.

    Its last sign of life came at `start` and its next one at `end`; `first` is the first absence that ends after
    `start`.
    """
    deadline = start + hub.stale_after_s
    for i in range(first, len(absences.from_s)):
        away, back = absences.from_s[i], absences.to_s[i]
        if away >= end or away > deadline:
            break
        if absences.is_restart[i]:
            deadline = back + hub.restart_grace_s
        elif back - away > hub.pause_over_s:
            deadline = max(deadline + back - max(away, start), back + min(CATCH_UP_S, hub.stale_after_s))
    allowed: float = deadline - start
    return allowed


@kernel
def away_between(absences: Absences, first: int, start: float, end: float) -> float:
    """Return for how long the hub was away between two times, s; absences before `first` are over by `start`."""
    away = 0.0
    for i in range(first, len(absences.from_s)):
        away += max(min(absences.to_s[i], end) - max(absences.from_s[i], start), 0.0)
    return away
