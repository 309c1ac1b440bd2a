"""What the record of a run says about one node: when its link was cut, and what happened to its connection and tunnel.

A flap is recorded from its first cut to its end; the single cuts in it follow from the scenario.
"""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import floor, inf, isnan
from typing import Self

import numpy as np
import pandas as pd

from heartbench.simulator.fault import FaultKind
from heartbench.simulator.scenario import Scenario
from heartbench.simulator.trace import TruthEvent

HUB = -1
"""The hub's number in the truth."""


class CutKind(enum.StrEnum):
    """Why a link passes nothing."""

    OUTAGE = "outage"
    HOLD = "hold"
    PARTITION = "partition"


@dataclass(frozen=True, slots=True)
class Cut:
    """A time in which the link passes nothing, up, down or both; s."""

    kind: CutKind
    up: bool
    down: bool
    from_s: float
    to_s: float

    @property
    def way(self) -> str:
        """What it cuts, in words."""
        return "both ways" if self.up and self.down else "the way up" if self.up else "the way down"


@dataclass(frozen=True, slots=True)
class Happening:
    """Anything else in the truth: `what` is a TruthEvent; `end_s` is NaN if it has none."""

    what: TruthEvent
    at_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class NodeTruth:
    """The truth about one node, and about the hub, each by time."""

    cuts: tuple[Cut, ...] = ()
    happened: tuple[Happening, ...] = ()
    hub: tuple[Happening, ...] = ()

    def cut_at(self, at_s: float) -> Cut | None:
        """Return what lets nothing up at a time: a fault of the scenario first, else the cut that ends last."""
        there = [cut for cut in self.cuts if cut.up and cut.from_s <= at_s < cut.to_s]
        return max(there, key=lambda cut: (cut.kind is CutKind.PARTITION, cut.to_s), default=None)

    def last_cut(self, from_s: float, to_s: float) -> Cut | None:
        """Return the cut that ends last of those that overlap a time; one of the way up is preferred."""
        there = [cut for cut in self.cuts if cut.from_s < to_s and cut.to_s > from_s]
        return max(there, key=lambda cut: (cut.up, cut.to_s), default=None)

    def between(self, from_s: float, to_s: float, *what: TruthEvent) -> list[Happening]:
        """Return what happened to the node from one time to another; all of it, or some kinds."""
        return [each for each in self.happened if from_s <= each.at_s <= to_s and (not what or each.what in what)]

    def hub_away(self, from_s: float, to_s: float) -> Happening | None:
        """Return the last absence of the hub that overlaps a time."""
        there = [each for each in self.hub if each.at_s < to_s and not each.end_s <= from_s]
        return max(there, key=lambda each: each.at_s, default=None)


HUB_AWAY = (TruthEvent.HUB_PAUSE, TruthEvent.HUB_KILL, TruthEvent.HUB_STOP)


@dataclass(frozen=True, slots=True)
class Truths:
    """The truth of a run by node."""

    by_node: Mapping[int, pd.DataFrame]
    scenario: Scenario | None

    @classmethod
    def of(cls, truth: pd.DataFrame, scenario: Scenario | None) -> Self:
        """Return a run's truth (columns node, event, start_s, end_s)."""
        return cls({int(str(node)): rows for node, rows in truth.groupby("node")}, scenario)

    def of_node(self, node: int) -> NodeTruth:
        """Return what happened to a node and to the hub."""
        happened = _happenings(self.by_node.get(node))
        hub = tuple(each for each in _happenings(self.by_node.get(HUB)) if each.what in HUB_AWAY)
        cuts = sorted((cut for each in happened for cut in self._cuts(each)), key=lambda cut: cut.from_s)
        others = tuple(each for each in happened if _way(each.what) is None)
        return NodeTruth(tuple(cuts), others, hub)

    def _cuts(self, happening: Happening) -> Iterator[Cut]:
        way = _way(happening.what)
        if way is None:
            return
        kind, (up, down) = way
        to_s = inf if isnan(happening.end_s) else happening.end_s
        spans = self._of_flap(happening.at_s, to_s) if "FLAP" in happening.what.name else [(happening.at_s, to_s)]
        for span in spans:
            yield Cut(kind, up, down, *span)

    def _of_flap(self, from_s: float, to_s: float) -> list[tuple[float, float]]:
        """Return when a flap cuts: in the first `down` of each of its periods; without a scenario all the time."""
        flaps = [f for f in (self.scenario.fault if self.scenario else ()) if f.kind is FaultKind.FLAP]
        fault = next((f for f in flaps if f.at_s == from_s and f.every_s), None)
        if fault is None or fault.every_s is None:
            return [(from_s, to_s)]
        end_s = min(to_s, self.scenario.duration_s if self.scenario else to_s)
        starts = from_s + fault.every_s * np.arange(floor((end_s - from_s) / fault.every_s) + 1)
        down_s = fault.down_s or fault.every_s / 2
        return [(float(start), float(min(start + down_s, end_s))) for start in starts if start < end_s]


def _happenings(rows: pd.DataFrame | None) -> list[Happening]:
    if rows is None:
        return []
    rows = rows.sort_values("start_s", kind="stable")
    columns = zip(rows.event, rows.start_s, rows.end_s, strict=True)
    return [Happening(TruthEvent[str(event).upper()], float(start), float(end)) for event, start, end in columns]


def _way(what: TruthEvent) -> tuple[CutKind, tuple[bool, bool]] | None:
    """Return the kind of a cut and whether it cuts up and down; None if it is something else."""
    name = what.name
    if not name.startswith(("OUTAGE", "HOLD", "PARTITION", "FLAP")):
        return None
    is_fault = name.startswith(("PARTITION", "FLAP"))
    kind = CutKind.PARTITION if is_fault else CutKind.HOLD if name.startswith("HOLD") else CutKind.OUTAGE
    return kind, (not name.endswith("_DOWN"), not name.endswith("_UP"))
