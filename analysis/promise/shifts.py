"""Changes of a rate in a log, and which nodes explain them.

A change is explained by some nodes if it is not there without them: no chart of the others crosses its limit, and
their rate did not move by as much as what no chart ever shows. Tried in order: nodes that joined, that send at another
interval, that left; the node with the greatest excess; each group.
"""

import enum
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.promise.chart import MORE, Chart, Rate, chart, dispersion_over_time
from heartbench.analysis.promise.counts import Counted, Counts

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

INTERVAL_CHANGE = 1.25
"""Ratio of a node's median intervals from which on they differ."""
FEWEST_BLOCKS = 10
"""Minimum number of blocks of an earlier part to compare with."""


class Kind(enum.StrEnum):
    """What is counted."""

    LONG = "long gaps"
    STALE = "false stales"
    RESTARTS = "restarts"


class Cause(enum.StrEnum):
    """The nodes without which a change is not there."""

    JOINED = "nodes that joined"
    INTERVAL = "nodes that send at another interval"
    LEFT = "nodes that left"
    NODE = "one node"
    GROUP = "one group"


Reference = Mapping[Kind, tuple[float, float, float]]
"""Lower end, best estimate and upper end of stated rates to compare with, per node-day."""


@dataclass(frozen=True, slots=True)
class Shift:
    """A change of a rate.

    Attributes:
        ratio: more (2) or fewer (1/2), as the chart that shows it.
        from_block: block with which it seems to have begun.
        before: the rate that the recent part is compared with.
        per_node_day: the rate since it began.
        cause: the nodes that explain it; None: no few nodes do.
        names: their names, or that of their group.
    """

    kind: Kind
    ratio: float
    from_block: int
    before: Rate
    per_node_day: float
    cause: Cause | None
    names: tuple[str, ...]

    @property
    def of_the_fleet(self) -> bool:
        """Whether a change of the fleet explains it."""
        return self.cause in (Cause.JOINED, Cause.INTERVAL, Cause.LEFT)

    @property
    def direction(self) -> str:
        """More or fewer."""
        return "more" if self.ratio > 1 else "fewer"


def shift_of(counts: Counts, kind: Kind, ratio: float, limit: float, stated: Reference | None) -> Shift | None:
    """Return the change that a chart shows; None if it shows none, or if there is nothing to compare with."""
    before = rates_before(counts, kind, stated)
    shown = None if before is None else chart_of(counts, kind, before, ratio, limit)
    if before is None or shown is None or not shown.crossed:
        return None
    begins = counts.split + shown.begins
    rate = rate_from(counts, kind, begins)
    cause, names = cause_of(counts, kind, shown, stated)
    return Shift(kind, ratio, begins, before, rate, cause, names)


def rates_before(counts: Counts, kind: Kind, stated: Reference | None) -> Rate | None:
    """Return the rate to compare with: the stated one, or that of the earlier part; None if that is too short.

    The dispersion of a stated rate is that of the recent part.
    """
    events, days = events_of(counts, kind), days_of(counts)
    if stated is not None and kind in stated:
        recent = slice(counts.split, None)
        return Rate(*stated[kind], dispersion_over_time(events[recent], days[recent]))
    earlier = slice(0, counts.split)
    if counts.split < FEWEST_BLOCKS or not days[earlier].sum():
        return None
    return Rate.of(events[earlier], days[earlier])


def chart_of(counts: Counts, kind: Kind, before: Rate, ratio: float, limit: float) -> Chart:
    """Return the chart of the recent part."""
    recent = slice(counts.split, None)
    return chart(events_of(counts, kind)[recent], days_of(counts)[recent], before, ratio, limit)


def events_of(counts: Counts, kind: Kind) -> NDArray[np.int64]:
    """Return what all nodes together counted in each block."""
    return np.asarray(by_node(counts, kind).sum(0, dtype=np.int64))


def by_node(counts: Counts, kind: Kind) -> Counted:
    """Return what each node counted in each block; of false stales, the most that the log's step allows."""
    return {Kind.LONG: counts.long, Kind.RESTARTS: counts.restarts, Kind.STALE: counts.stale[..., -1]}[kind]


def days_of(counts: Counts) -> Floats:
    """Return the node-days of all nodes in each block."""
    return np.asarray(counts.up_days.sum(0))


def rate_from(counts: Counts, kind: Kind, block: int) -> float:
    """Return the rate from a block on, per node-day; 0 if no node was up."""
    days = float(days_of(counts)[block:].sum())
    return float(events_of(counts, kind)[block:].sum()) / days if days else 0.0


def cause_of(
    counts: Counts, kind: Kind, shown: Chart, stated: Reference | None
) -> tuple[Cause | None, tuple[str, ...]]:
    """Return which nodes explain a change, and their names; see the module."""
    for cause, chosen, names in candidates(counts, kind, counts.split + shown.begins):
        if chosen.any() and explained(counts, kind, shown, stated, chosen):
            return cause, names
    return None, ()


def candidates(counts: Counts, kind: Kind, begins: int) -> Iterator[tuple[Cause, Mask, tuple[str, ...]]]:
    """Yield the nodes that could explain a change, and their names."""
    names = np.array(counts.names, dtype=object)
    changes = {Cause.JOINED: joined, Cause.INTERVAL: changed_intervals, Cause.LEFT: left}
    for cause, found in changes.items():
        chosen = found(counts)
        yield cause, chosen, tuple(names[chosen])
    if len(counts) > 1:
        worst = worst_node(counts, kind, begins)
        yield Cause.NODE, np.arange(len(counts)) == worst, (counts.names[worst],)
    groups = dict.fromkeys(counts.group)
    for name in groups if len(groups) > 1 else ():
        yield Cause.GROUP, np.array([each == name for each in counts.group]), (name,)


def worst_node(counts: Counts, kind: Kind, begins: int) -> int:
    """Return the row of the node whose count since a change differs most from what its own earlier rate would give."""
    own, days = by_node(counts, kind), counts.up_days
    earlier_days = np.maximum(days[:, : counts.split].sum(1), 1e-9)
    expected = own[:, : counts.split].sum(1) / earlier_days * days[:, begins:].sum(1)
    return int(np.argmax(np.abs(own[:, begins:].sum(1) - expected)))


def explained(counts: Counts, kind: Kind, shown: Chart, stated: Reference | None, chosen: Mask) -> bool:
    """Return whether a change is not there without the chosen nodes; true if there are no others."""
    if chosen.all():
        return True
    rest = counts.of(np.flatnonzero(~chosen))
    before = rates_before(rest, kind, stated)
    if before is None:
        return False
    if chart_of(rest, kind, before, shown.ratio, shown.limit).crossed:
        return False
    moved = rate_from(rest, kind, counts.split + shown.begins) / before.best if before.best else math.inf
    unseen = (MORE - 1) / math.log(MORE)
    return moved < unseen if shown.ratio > 1 else moved > 1 / unseen


def joined(counts: Counts) -> Mask:
    """Return which nodes were first up in the recent part; none if there is no earlier one."""
    up = counts.up_days > 0
    if not counts.split:
        return np.zeros(len(counts), bool)
    return np.asarray(up[:, counts.split :].any(1) & ~up[:, : counts.split].any(1))


def left(counts: Counts) -> Mask:
    """Return which nodes were up when the recent part began, or in the block before it, but not at its end."""
    up = counts.up_days > 0
    return up[:, max(counts.split - 1, 0) :].any(1) & ~counts.is_up & up[:, : counts.split].any(1)


def changed_intervals(counts: Counts) -> Mask:
    """Return which nodes send at another interval than before."""
    ratio = counts.interval_s[:, 1] / counts.interval_s[:, 0]
    return np.asarray((ratio > INTERVAL_CHANGE) | (ratio < 1 / INTERVAL_CHANGE))
