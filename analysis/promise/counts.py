"""Counts of a log by node and block of time: what `watch` judges.

The last BLOCKS blocks are the *recent* part, which is judged; the blocks before it are the *earlier* part, with which
that is compared. A gap counts in the block in which it begins.

    long gaps   longer than LONG times the usual gap of their node (`coincidence`): what outages do to heartbeats
    stale       marked stale while up, by the setting of the hub
    restarts    gaps of which a newer boot, or a power loss, took a part
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.absences import AbsenceRules
from heartbench.analysis.coincidence import LONG, usual_gaps_s
from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.evidence import Evidence
from heartbench.analysis.gaps import Gaps
from heartbench.analysis.imports.silence import quantile_gap
from heartbench.analysis.qos import DAY_S, judge
from heartbench.analysis.readings import Reading
from heartbench.analysis.sites import SHORTEST_BLOCK_S, Cells
from heartbench.hub import FixedTimeout, PolicySpec
from heartbench.simulator.trace import read_nodes

Floats = NDArray[np.float64]
Counted = NDArray[np.int32]

BLOCKS = 24
"""Blocks of the recent part: an hour each, if that is a day."""
FEWEST_HEARTBEATS = 10
"""Minimum number of heartbeats in a part for the interval between them."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What was counted of n nodes in B blocks of equal length.

    Attributes:
        names: name of each node.
        group: name of each node's group.
        block_s: length of a block, s; block 0 begins with the log.
        split: first block of the recent part.
        up_days: time for which each node was up and watched, node-days; shape (n, B).
        long, restarts: long gaps and restarts; shape (n, B).
        stale: false stales, if gaps are the shortest that the step of the log's times allows, and the longest; shape
            (n, B, 2). Both are equal if its times are exact.
        interval_s: median time between the signs of life of each node in the earlier part and in the recent one, s;
            NaN with fewer than FEWEST_HEARTBEATS; shape (n, 2).
        is_up: whether each node was up and expected to send at the end of the log.
    """

    names: tuple[str, ...]
    group: tuple[str, ...]
    block_s: float
    split: int
    up_days: Floats
    long: Counted
    restarts: Counted
    stale: Counted
    interval_s: Floats
    is_up: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.names)

    def of(self, rows: NDArray[np.intp]) -> "Counts":
        """Return the counts of the nodes in these rows."""
        columns: dict[str, Any] = {name: getattr(self, name)[rows] for name in ARRAYS}
        names, group = (tuple(each[row] for row in rows) for each in (self.names, self.group))
        return replace(self, names=names, group=group, **columns)

    def followed_by(self, later: "Counts") -> "Counts":
        """Return the counts of the same nodes over both times, of which `later` is the recent part."""
        columns: dict[str, Any] = {
            name: np.concatenate([getattr(self, name), getattr(later, name)], axis=1) for name in BY_BLOCK
        }
        interval_s = np.column_stack([self.interval_s[:, 1], later.interval_s[:, 1]])
        split = self.up_days.shape[1] + later.split
        return replace(self, split=split, interval_s=interval_s, is_up=later.is_up, **columns)


BY_BLOCK = ("up_days", "long", "restarts", "stale")
ARRAYS = (*BY_BLOCK, "interval_s", "is_up")


def joined_rows(parts: Sequence[Counts]) -> Counts:
    """Return the counts of several nodes of one log as one, without names."""
    columns: dict[str, Any] = {name: np.concatenate([getattr(each, name) for each in parts]) for name in ARRAYS}
    return replace(parts[0], **columns)


def counts_of(evidence: Evidence, path: Path, recent_s: float, reading: Reading) -> Counts:
    """Count a log or a run whose last `recent_s` s are the recent part.

    Args:
        evidence: that of the log or the run.
        path: where it was read, with the names of its nodes.
        recent_s: length of the recent part; it is made to fit a whole number of blocks.
        reading: whether nodes that are silent at the end count as dead.

    Raises:
        AnalysisError: the recent part is so short that its blocks are, or that a block would rarely hold a heartbeat.
    """
    shortest_s = BLOCKS * max(SHORTEST_BLOCK_S, evidence.usual_gap_s)
    if recent_s < shortest_s:
        raise AnalysisError(f"--since: {recent_s:g}s: must be at least {shortest_s / 60:g}m before the end")
    blocks = max(round(evidence.duration_s / recent_s * BLOCKS), 1)
    grid = Grid(blocks, evidence.duration_s / blocks, max(blocks - BLOCKS, 0))
    policies, rules = policies_of(evidence), AbsenceRules.of(evidence.hub)
    parts = [count_block(gaps, policies, rules, grid) for gaps in evidence.blocks(reading)]
    node = np.concatenate([each.node for each in parts])
    names, group = labels_of(evidence, path, node)
    found = replace(joined_rows([each.counts for each in parts]), names=names, group=group)
    return found.of(np.argsort(node, kind="stable"))


@dataclass(frozen=True, slots=True)
class Grid:
    """Blocks of a log: their number, length in s, and the first of the recent part."""

    blocks: int
    block_s: float
    split: int


@dataclass(frozen=True, slots=True)
class Part:
    """The counts of some nodes, without their names."""

    node: NDArray[np.int64]
    counts: Counts


def count_block(gaps: Gaps, policies: Iterable[PolicySpec], rules: AbsenceRules, grid: Grid) -> Part:
    """Count the gaps of some nodes, each of which is whole."""
    rows = np.arange(len(gaps.node))
    cells = Cells(gaps.node, rows, len(rows), grid.blocks, grid.block_s, independent=False)
    # Blocks of a log list their nodes in any order, and a grid in ascending order.
    sorter = np.argsort(gaps.node)
    cells = replace(cells, node=gaps.node[sorter], row=rows[sorter])
    qos = judge(gaps, list(policies), grid.blocks * grid.block_s, cells, rules)
    row = np.repeat(rows, np.diff(gaps.first))
    is_long = (gaps.up_s > LONG * usual_gaps_s(gaps, row)[row]) & (gaps.watched_s() == gaps.up_s)
    restarted = gaps.heard & ~gaps.away & (gaps.up_s < gaps.length_s)
    counts = Counts(
        names=(),
        group=(),
        block_s=grid.block_s,
        split=grid.split,
        up_days=qos.up_s / DAY_S,
        long=tabled(gaps, row, is_long, grid),
        restarts=tabled(gaps, row, restarted, grid),
        stale=qos.mistakes,
        interval_s=intervals_of(gaps, row, grid),
        is_up=(gaps.up_s == gaps.length_s)[gaps.first[1:] - 1],  # of each node's last gap
    )
    return Part(gaps.node, counts)


def tabled(gaps: Gaps, row: NDArray[np.int64], counted: NDArray[np.bool_], grid: Grid) -> Counted:
    """Return how many of the counted gaps of each node began in each block."""
    table = np.zeros((len(gaps.node), grid.blocks), np.int32)
    block = np.minimum(gaps.start_s[counted] / grid.block_s, grid.blocks - 1).astype(np.int64)
    np.add.at(table, (row[counted], block), 1)
    return table


def intervals_of(gaps: Gaps, row: NDArray[np.int64], grid: Grid) -> Floats:
    """Return the median time between signs of life in the earlier part and in the recent one, s; shape (n, 2)."""
    recent = gaps.start_s >= grid.split * grid.block_s
    found = np.full((len(gaps.node), 2), np.nan)
    nodes = np.arange(len(gaps.node), dtype=np.int32)
    for part, chosen in enumerate((~recent, recent)):
        own = row[chosen].astype(np.int32)
        median_s = quantile_gap(own, gaps.start_s[chosen], 0.5, nodes)
        found[:, part] = np.where(np.bincount(own, minlength=len(nodes)) >= FEWEST_HEARTBEATS, median_s, np.nan)
    return found


def policies_of(evidence: Evidence) -> list[PolicySpec]:
    """Return the hub's policy by which gaps are judged if they are the shortest possible, and if the longest."""
    policy, step_s = evidence.hub.policy, (evidence.record.step_s if evidence.record else None) or 0.0
    timeout = policy.parameters
    if not step_s or not isinstance(timeout, FixedTimeout):
        return [policy, policy]
    least_s, most_s = (max(timeout.stale_after_s + each, 0.0) for each in (step_s, -step_s))
    return [replace(policy, parameters=FixedTimeout(each)) for each in (least_s, most_s)]


def labels_of(evidence: Evidence, path: Path, node: NDArray[np.int64]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of some nodes and those of their groups."""
    listed = read_nodes(path)
    names = {} if listed is None else dict(zip(listed.node.tolist(), listed.name.tolist(), strict=True))
    group = {number: name for name, own in evidence.groups.items() for number in own.tolist()}
    numbers = node.tolist()
    return tuple(str(names.get(each, each)) for each in numbers), tuple(group[each] for each in numbers)
