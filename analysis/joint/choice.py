"""Which of all judged settings to recommend, and the front of those that nothing beats.

met       the upper end of the false stales' interval, the detection time (p99) and the traffic are within the limits
chosen    of those that meet them: a detection time at most NEAR longer than the least, of these the fewest bytes, of
          these the least detection time, then the fewest false stales. So no traffic is spent on a second or two.
          What differs by less than SAME counts as equal, because thresholds are at least that far apart, and the
          detection times of one threshold differ by milliseconds
thrifty   of those that meet them: the fewest bytes, then the least detection time
closest   if none does: of those that detect failures in time, the one with the fewest false stales; else the
          one that detects them soonest
front     no other setting is as good in false stales (upper end), detection time and bytes, and better in one
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heartbench.analysis.joint.hub_candidates import exceeds
from heartbench.analysis.joint.judged import HALVES, Judged
from heartbench.analysis.joint.knobs import NodeSetting
from heartbench.analysis.traffic import Traffic
from heartbench.analysis.tune import Goal, ThresholdFigures, figures_of, misses, upper_end
from heartbench.hub import HubSettings

Floats = NDArray[np.float64]

SAME, NEAR = 0.01, 0.05
TRAFFIC_FACTOR = 2.0
"""Unless it is limited otherwise, the traffic may be this many times the current."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a setting must meet: a goal, and a limit of the traffic in bytes per node-day (inf: none)."""

    goal: Goal
    max_bytes_per_node_day: float = math.inf


@dataclass(frozen=True, slots=True)
class Option:
    """One setting of hub and nodes with its figures.

    Attributes:
        node: setting of the nodes.
        group: what the figures are of: the group, or the fleet, that decides.
        halves: the columns HALVES of that group.
        met: whether it is within the limits.
    """

    node: NodeSetting
    hub: HubSettings
    group: str
    figures: ThresholdFigures
    halves: Mapping[str, float]
    traffic: Traffic
    met: bool


@dataclass(frozen=True, slots=True)
class Space:
    """All settings that were judged, one row each.

    Attributes:
        rows: columns node and hub (positions), upper (false stales per node-day, upper end), missed (as a multiple of
            the goal), half_missed (in half of the nodes and time), detection_s, bytes and valid.
    """

    nodes: tuple[NodeSetting, ...]
    judged: tuple[Judged, ...]
    limits: Limits
    rows: pd.DataFrame

    @classmethod
    def of(cls, found: Mapping[NodeSetting, Judged], limits: Limits) -> "Space":
        """Return all rows of judged settings, the current one first."""
        frames = [_rows(n, node, each, limits) for n, (node, each) in enumerate(found.items())]
        return cls(tuple(found), tuple(found.values()), limits, pd.concat(frames, ignore_index=True))

    def option(self, row: int) -> Option:
        """Return the setting of a row, with the figures of the group that misses the goal most or meets it by least."""
        n, k = int(self.rows.node.iloc[row]), int(self.rows.hub.iloc[row])
        judged, goal = self.judged[n], self.limits.goal

        def badness(name: str) -> tuple[float, float]:
            frame = judged.frames[name].iloc[[k]]
            return float(misses(frame, goal).max()), float(upper_end(frame)[0])

        name = max(judged.frames, key=badness)
        frame = judged.frames[name].iloc[[k]]
        halves = {column: float(frame[column].iloc[0]) for column in HALVES}
        met = bool(self.within().iloc[row])
        return Option(self.nodes[n], judged.hubs[k], name, figures_of(frame)[0], halves, judged.traffic, met)

    def within(self, missed: str = "missed") -> pd.Series:
        """Return which rows are within the limits; `missed` is the column of false stales as a multiple of the goal."""
        return (
            self._affordable() & (self.rows[missed] <= 1) & (self.rows.detection_s <= self.limits.goal.max_detection_s)
        )

    def _affordable(self) -> pd.Series:
        return self.rows.valid & ~(self.rows.bytes > self.limits.max_bytes_per_node_day)

    def chosen(self, missed: str = "missed", among: pd.Series | None = None) -> int | None:
        """Return the row to recommend of those in `among` (None: of all); None if no setting is affordable."""
        allowed = self.rows.valid if among is None else among
        met = self.within(missed) & allowed
        if met.any():
            rows = self.rows[met]
            quick = rows[rows.detection_s <= rows.detection_s.min() * (1 + NEAR)]
            return _narrowed(quick, ("bytes", "detection_s", missed))
        affordable = self.rows[self._affordable() & allowed]
        timely = affordable[affordable.detection_s <= self.limits.goal.max_detection_s]
        if len(timely):
            return _narrowed(timely, (missed, "bytes", "detection_s"))
        return _narrowed(affordable, ("detection_s", missed, "bytes")) if len(affordable) else None

    def thrifty(self) -> int | None:
        """Return the row within the limits with the fewest bytes; None if no row is."""
        met = self.rows[self.within()]
        return _narrowed(met, ("bytes", "detection_s", "missed")) if len(met) else None

    def front(self) -> list[tuple[int, NodeSetting, HubSettings]]:
        """Return row, nodes and hub of each setting on the front, by detection time; equal ones once."""
        some = self.rows[self.rows.valid]
        values = np.nan_to_num(some[["detection_s", "upper", "bytes"]].to_numpy(float))
        places = [int(some.index[place]) for place in front_of(_coarse(values))]
        numbers = self.rows.loc[places, ["node", "hub"]].to_numpy()
        return [(row, self.nodes[n], self.judged[n].hubs[k]) for row, (n, k) in zip(places, numbers, strict=True)]


def _rows(n: int, node: NodeSetting, judged: Judged, limits: Limits) -> pd.DataFrame:
    frames = list(judged.frames.values())
    allowed = max(limits.goal.max_false_stale_per_node_day, 1e-12)
    interval_s = node.interval_s or 0.0
    return pd.DataFrame(
        {
            "node": n,
            "hub": np.arange(len(judged.hubs)),
            "upper": np.max([upper_end(each) for each in frames], axis=0),
            "missed": np.max([misses(each, limits.goal)[0] for each in frames], axis=0),
            "half_missed": np.max([each.half_high / allowed for each in frames], axis=0),
            "detection_s": np.max([each.detection_p99_s for each in frames], axis=0),
            "bytes": judged.traffic.bytes_per_node_day,
            "valid": [n == k == 0 or exceeds(hub, interval_s) for k, hub in enumerate(judged.hubs)],
        }
    )


def _narrowed(rows: pd.DataFrame, columns: Sequence[str]) -> int:
    """Return the first of the rows that are best in the first column, of these in the second, and so on."""
    for column in columns:
        value = rows[column].fillna(0.0)
        rows = rows[value <= value.min() * (1 + SAME)]
    return int(rows.index[0])


def _coarse(values: Floats) -> Floats:
    """Return positive values in steps of about SAME, so that what is equal compares so."""
    logs = np.round(np.log(np.maximum(values, 1e-9)) / SAME)
    return np.asarray(logs, float)


def front_of(values: Floats) -> list[int]:
    """Return which points no other dominates, ascending in their columns; of equal points the first. Less is better."""
    order = np.lexsort([np.arange(len(values)), *values.T[::-1]])
    kept: list[int] = []
    for place in order:
        if not kept or not np.any(np.all(values[kept] <= values[place], axis=1)):
            kept.append(int(place))
    return kept
