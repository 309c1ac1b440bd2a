"""What `watch` finds: whether the goal is met, whether the network changed, and whether the fleet did.

    promise   kept: the upper end of the interval of false stales is within the goal, for each group or for the fleet;
              broken: the lower end is above it; unsure: neither
    network   changed: a chart of long gaps or of false stales crosses its limit, and the fleet does not explain it;
              unsure: too little was seen to notice a doubling in the recent part
    fleet     changed: nodes restart more often, or send at other intervals, or a chart crosses its limit only because
              of nodes that joined, left, or send at other intervals

Nodes that joined or left are listed; alone they are no change.
"""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import isinf

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.intervals import rate_interval
from heartbench.analysis.promise.chart import FEWER, MORE, Rate, blocks_to_notice, limit_of
from heartbench.analysis.promise.counts import Counts
from heartbench.analysis.promise.shifts import (
    Cause,
    Kind,
    Reference,
    Shift,
    changed_intervals,
    days_of,
    events_of,
    joined,
    left,
    rates_before,
    shift_of,
)
from heartbench.analysis.tune import FLEET, Per

CHARTS = ((Kind.LONG, MORE), (Kind.LONG, FEWER), (Kind.STALE, MORE), (Kind.STALE, FEWER), (Kind.RESTARTS, MORE))


class Verdict(enum.StrEnum):
    """What a part of the judgement says."""

    KEPT = "kept"
    BROKEN = "broken"
    UNCHANGED = "unchanged"
    CHANGED = "changed"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class Promise:
    """The false stales of a group in the recent part, per node-day, and whether they meet the goal."""

    group: str
    false_stale: int
    node_days: float
    per_node_day: float
    interval: tuple[float, float]
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Fleet:
    """What became of the nodes, by their names, and the shift of their restarts, if there is one."""

    joined: tuple[str, ...]
    left: tuple[str, ...]
    intervals: Mapping[str, tuple[float, float]]
    """Nodes that send at another interval: before and now, s."""
    restarts: Shift | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a look at a log found.

    Attributes:
        promises: that of each group, or of the fleet.
        shifts: changes of the rates of long gaps and of false stales.
        before: the rate of long gaps that the recent part is compared with; None: there is none.
        notice_s: how long after a doubling of that rate it would be noticed, s; infinite: not within the recent part.
        disputed: whether another change is there only if the hub was up, or only if it was down, while all nodes were
            silent at once (`looks`).
    """

    counts: Counts
    promises: tuple[Promise, ...]
    shifts: tuple[Shift, ...]
    fleet: Fleet
    before: Rate | None
    notice_s: float
    disputed: bool = False

    @property
    def promise(self) -> Verdict:
        """The verdict of the worst group; unsure if no node was up."""
        order = (Verdict.BROKEN, Verdict.UNSURE, Verdict.KEPT)
        return min((each.verdict for each in self.promises), key=order.index, default=Verdict.UNSURE)

    @property
    def network(self) -> Verdict:
        """Whether the network changed."""
        if any(not each.of_the_fleet for each in self.shifts):
            return Verdict.CHANGED
        is_blind = isinf(self.notice_s) or len(self.fleet.intervals) == len(self.counts)
        return Verdict.UNSURE if self.disputed or is_blind else Verdict.UNCHANGED

    @property
    def fleet_changed(self) -> Verdict:
        """Whether the fleet changed."""
        found = self.fleet.restarts or self.fleet.intervals or any(each.of_the_fleet for each in self.shifts)
        return Verdict.CHANGED if found else Verdict.UNCHANGED

    @property
    def is_good(self) -> bool:
        """Whether nothing is broken or changed."""
        return self.promise is not Verdict.BROKEN and Verdict.CHANGED not in (self.network, self.fleet_changed)


def judged(counts: Counts, goal: float, per: Per = Per.GROUP, stated: Reference | None = None) -> Judgement:
    """Judge a log.

    Args:
        counts: of the log.
        goal: greatest rate of false stales, per node-day.
        per: whether each group must meet the goal, or the fleet.
        stated: the rates of long gaps and false stales to compare with; None: those of the earlier part.
    """
    groups = groups_of(counts)
    limit = limit_of(len(CHARTS) * (1 + len(groups)), counts.block_s)
    shifts = [each for chart in CHARTS for each in shifts_of(counts, groups, *chart, limit, stated)]
    before = rates_before(counts, Kind.LONG, stated)
    days = float(days_of(counts)[counts.split :].mean()) if len(counts) else 0.0
    notice = np.inf if before is None else blocks_to_notice(before, days, limit)
    names = np.array(counts.names, dtype=object)
    intervals = np.flatnonzero(changed_intervals(counts))
    return Judgement(
        counts=counts,
        promises=promises_of(counts, goal, per),
        shifts=tuple(each for each in shifts if each.kind is not Kind.RESTARTS),
        fleet=Fleet(
            joined=tuple(names[joined(counts)]),
            left=tuple(names[left(counts)]),
            intervals={counts.names[row]: tuple(counts.interval_s[row].tolist()) for row in intervals},
            restarts=next((each for each in shifts if each.kind is Kind.RESTARTS), None),
        ),
        before=before,
        notice_s=float(notice * counts.block_s),
    )


def groups_of(counts: Counts) -> dict[str, NDArray[np.intp]]:
    """Return the rows of the nodes of each group; nothing if all nodes are of one."""
    group = np.array(counts.group, dtype=object)
    names = dict.fromkeys(counts.group)
    return {name: np.flatnonzero(group == name) for name in names} if len(names) > 1 else {}


def shifts_of(
    counts: Counts,
    groups: Mapping[str, NDArray[np.intp]],
    kind: Kind,
    ratio: float,
    limit: float,
    stated: Reference | None,
) -> Iterator[Shift]:
    """Yield the change of a rate of the fleet; if there is none, those of the groups, which the fleet hides."""
    whole = shift_of(counts, kind, ratio, limit, stated)
    if whole is not None:
        yield whole
        return
    for name, rows in groups.items():
        own = shift_of(counts.of(rows), kind, ratio, limit, stated)
        if own is not None:
            yield own if own.cause else replace(own, cause=Cause.GROUP, names=(name,))


def promises_of(counts: Counts, goal: float, per: Per) -> tuple[Promise, ...]:
    """Return whether each group that was up in the recent part meets the goal, or the fleet."""
    groups = groups_of(counts)
    whole = {FLEET if groups else counts.group[0]: np.arange(len(counts))}
    parts = groups if groups and per is Per.GROUP else whole
    found = (promise_of(name, counts.of(rows), goal) for name, rows in parts.items())
    return tuple(each for each in found if each.node_days)


def promise_of(name: str, counts: Counts, goal: float) -> Promise:
    """Return whether some nodes meet the goal in the recent part."""
    days, stale = counts.up_days[:, counts.split :], counts.stale[:, counts.split :]
    (low, _), (_, high) = rate_interval(stale, days)
    total, watched = int(events_of(counts, Kind.STALE)[counts.split :].sum()), float(days.sum())
    rate = total / watched if watched else np.nan
    return Promise(name, total, watched, rate, (float(low), float(high)), verdict_of(low, high, goal))


def verdict_of(low: float, high: float, goal: float) -> Verdict:
    """Return whether a rate with this interval meets a goal."""
    return Verdict.KEPT if high <= goal else Verdict.BROKEN if low > goal else Verdict.UNSURE
