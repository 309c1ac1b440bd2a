"""Times when the hub could not receive: it was paused, or it was down and restarted.

Such time does not count as a node's silence. The rules are the hub's (`hub/core.py`, `hub/store/record_mapping.py`).
Let `d` be the deadline of a node that is online when the hub goes away at `a`, and `s` the silence that its policy
allows (a node with d < a is stale, and stays so until its next sign of life):

    pause     from a to b, longer than `pause_over_s`: d becomes max(d + b − a, b + min(catch_up_s, s))
    restart   down from a to b: d becomes b + `restart_grace_s`, whatever it was

Not modelled: mass silence, so that a hub which suspects its own network marks fewer nodes stale than is computed here;
and that a detector forgets in a restart: `s` in a pause that follows it before the node is heard is what was allowed
before.
"""

from math import inf
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heartbench.hub import HubSettings
from heartbench.hub.liveness.self_health import CATCH_UP_S
from heartbench.simulator.kernel import kernel

Floats = NDArray[np.float64]

PAUSES, RESTARTS = ("hub_pause",), ("hub_kill", "hub_stop")


class AbsenceRules(NamedTuple):
    """How a hub moves deadlines after an absence: two of its settings and a constant."""

    pause_over_s: float
    restart_grace_s: float
    catch_up_s: float = CATCH_UP_S

    @classmethod
    def of(cls, hub: HubSettings) -> "AbsenceRules":
        """Return the rules of a hub."""
        return cls(hub.pause_over_s, hub.restart_grace_s)


BY_DEFAULT = AbsenceRules.of(HubSettings.of())


class Absences(NamedTuple):
    """When the hub was away, ascending and disjoint; `to_s` is infinite if it did not come back."""

    from_s: Floats
    to_s: Floats
    is_restart: NDArray[np.bool_]

    def before(self, at_s: Floats) -> Floats:
        """Return how long the hub had been away in total by each time, s."""
        total = np.zeros(len(at_s))
        for from_s, to_s in zip(self.from_s, self.to_s, strict=True):
            total += np.maximum(np.minimum(at_s, to_s) - from_s, 0.0)
        return total


ALWAYS_THERE = Absences(np.zeros(0), np.zeros(0), np.zeros(0, bool))


def hub_absences(truth: pd.DataFrame) -> Absences:
    """Return when the hub was away, from a run's truth (columns event, start_s, end_s)."""
    away = truth[truth.event.isin([*PAUSES, *RESTARTS])].sort_values("start_s")
    return Absences(
        away.start_s.to_numpy(float), away.end_s.fillna(inf).to_numpy(float), away.event.isin(RESTARTS).to_numpy(bool)
    )


@kernel
def allowed_s(silence_s: float, start: float, end: float, absences: Absences, rules: AbsenceRules, first: int) -> float:
    """Return the silence after which the hub marks a node stale, s, if its policy allows `silence_s`.

    The last sign of life came at `start`, the next one at `end`; `first` is the first absence that ends after `start`.
    """
    deadline = start + silence_s
    for i in range(first, len(absences.from_s)):
        away, back = absences.from_s[i], absences.to_s[i]
        if away >= end or away > deadline:
            break
        if absences.is_restart[i]:
            deadline = back + rules.restart_grace_s
        elif back - away > rules.pause_over_s:
            deadline = max(deadline + back - max(away, start), back + min(rules.catch_up_s, silence_s))
    return deadline - start


@kernel
def away_between(absences: Absences, first: int, start: float, end: float) -> float:
    """Return how long the hub was away between two times, s; absences before `first` ended by `start`."""
    away = 0.0
    for i in range(first, len(absences.from_s)):
        away += max(min(absences.to_s[i], end) - max(absences.from_s[i], start), 0.0)
    return away
