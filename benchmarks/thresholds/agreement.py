"""Did the hub say what follows from what it heard? Its recorded changes against the rules written over arrays."""

from dataclasses import dataclass
from math import isnan

import pandas as pd

from heartbench.benchmarks.thresholds.replay import REASONS, replay
from heartbench.hub.liveness import Reason
from heartbench.simulator.observer import Observed

WITHIN_S = 0.001


@dataclass(frozen=True, slots=True)
class Agreement:
    """The outcome of the comparison.

    Attributes:
        changes: of status and flapping that the hub recorded.
        stale: of these, for silence.
        differing: changes that only one side has, or that differ in status, reason or by more than a millisecond.
        first: the first of them, in words; empty where there is none.
    """

    changes: int
    stale: int
    differing: int
    first: str


def agreement(observed: Observed, until_s: float) -> Agreement:
    """Compare, node by node, what the hub said before `until_s` (s on its clock) with what follows from its record.

    Where the record ends before that, as that of a killed hub does, it is compared until there.
    """
    until_s = min(until_s, observed.until_s)
    said = observed.changes[["node_id", "at_s", "status", "reason"]].astype({"node_id": str})
    said = said[said.reason.isin([str(reason) for reason in REASONS])]
    computed = replay(observed, until_s)[["node_id", "at_s", "status", "reason"]]
    pairs = _numbered(said, until_s).merge(_numbered(computed, until_s), how="outer", on=["node_id", "number"])
    same = (
        (pairs.status_x.astype(str) == pairs.status_y.astype(str))
        & (pairs.reason_x.astype(str) == pairs.reason_y.astype(str))
        & ((pairs.at_s_x - pairs.at_s_y).abs() <= WITHIN_S)
    )
    return Agreement(
        changes=int(pairs.at_s_x.notna().sum()),
        stale=int((pairs.reason_x.astype(str) == Reason.SILENCE).sum()),
        differing=int((~same).sum()),
        first=_in_words(pairs[~same].iloc[0]) if not same.all() else "",
    )


def _numbered(changes: pd.DataFrame, until_s: float) -> pd.DataFrame:
    """Number the changes of each node, in their order."""
    before = changes[changes.at_s < until_s]
    return before.assign(number=before.groupby("node_id").cumcount())


def _in_words(pair: pd.Series) -> str:
    said = _change(pair.status_x, pair.reason_x, pair.at_s_x)
    implied = _change(pair.status_y, pair.reason_y, pair.at_s_y)
    return f"{pair.node_id}: the hub said {said}, its record implies {implied}"


def _change(status: object, reason: object, at_s: float) -> str:
    return "nothing" if isnan(at_s) else f"{status} ({reason}) at {at_s} s"
