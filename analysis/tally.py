"""The figures of some nodes, added up block by block; only sums are kept of each block.

Latency is the exception, 4 bytes per received heartbeat, because quantiles cannot be added up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.absences import AbsenceRules, Absences
from heartbench.analysis.gaps import PowerLosses, find_gaps, power_losses
from heartbench.analysis.intervals import rate_interval
from heartbench.analysis.qos import DAY_S, judge
from heartbench.analysis.sites import Cells
from heartbench.hub import HubSettings
from heartbench.mesh.kinds import Kind
from heartbench.simulator.engines.contract import Block
from heartbench.simulator.trace import Messages


@dataclass(frozen=True, slots=True)
class Judged:
    """How one hub would have judged some nodes; all None if no heartbeat was received.

    Attributes:
        node_days: time for which the nodes were up and observed, node-days.
        false_stale: times that a node was marked stale while up, with the rate and its 95% interval (`intervals`).
        flaps: changes between online and stale, true ones included.
        flashes: status changes of nodes that were not flapping at that moment; the rate is that of all nodes together.
    """

    node_days: float | None = None
    false_stale: int | None = None
    false_stale_per_node_day: float | None = None
    false_stale_ci: list[float] | None = None
    flaps: int | None = None
    flaps_per_node_hour: float | None = None
    flashes: int | None = None
    flashes_per_hour: float | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of some nodes under one hub; `latency_s` has p50 and p99 of the time from sent to received, s."""

    nodes: int
    heartbeats: int
    latency_s: dict[str, float | None]
    judged: Judged


@dataclass(frozen=True, slots=True)
class BlockTally:
    """What is kept of a block: sent heartbeats, latency of each received one in s, power losses, and as in `Qos`."""

    group: str
    node: NDArray[np.int64]
    heartbeats: int
    latency_s: NDArray[np.float32]
    losses: PowerLosses
    up_s: NDArray[np.float64]
    mistakes: NDArray[np.int32]
    flaps: int
    flashes: int


def tally_block(
    hub: HubSettings,
    duration_s: float,
    absences: Absences,
    cells: Mapping[str, Cells],
    interval_s: NDArray[np.float64] | None,
    block: Block,
) -> BlockTally:
    """Judge a block of nodes by one hub; `cells` are those of each group, `interval_s` is as in `find_gaps`."""
    messages, losses = block.messages, power_losses(block.truth.frame())
    gaps = find_gaps(messages, losses, duration_s, absences, interval_s)
    qos = judge(gaps, [hub.policy], duration_s, cells[block.group], AbsenceRules.of(hub))
    heartbeats, flaps, flashes = int((messages.kind == Kind.HEARTBEAT).sum()), int(qos.flaps[0]), int(qos.flashes[0])
    counts = qos.up_s, qos.mistakes, flaps, flashes
    return BlockTally(block.group, block.nodes, heartbeats, latency(messages), losses, *counts)


class Tally:
    """Sums over some nodes, judged by one hub."""

    def __init__(self, cells: Cells, duration_s: float) -> None:
        self.cells, self.duration_s = cells, duration_s
        self.latencies_s = [np.zeros(0, np.float32)]
        self.up_s = np.zeros((cells.rows, cells.blocks))
        self.mistakes = np.zeros((*self.up_s.shape, 1), np.int64)
        self.has_run = np.zeros(cells.rows, bool)
        self.nodes = self.heartbeats = self.flaps = self.flashes = 0

    def add(self, block: BlockTally) -> None:
        """Add a block of its nodes."""
        self.nodes += len(block.node)
        self.heartbeats += block.heartbeats
        self.latencies_s.append(block.latency_s)
        self.has_run[self.cells.rows_of(block.node)] = True
        self.up_s += block.up_s
        self.mistakes += block.mistakes
        self.flaps += block.flaps
        self.flashes += block.flashes


def figures_of_all(tallies: Sequence[Tally]) -> Figures:
    """Return the figures of the nodes of all `tallies` together, which are of one run."""
    latencies_s = np.concatenate([np.zeros(0, np.float32), *(part for each in tallies for part in each.latencies_s)])
    return Figures(
        nodes=sum(each.nodes for each in tallies),
        heartbeats=sum(each.heartbeats for each in tallies),
        latency_s=quantiles(latencies_s, ("p50", "p99")),
        judged=judged(tallies) if len(latencies_s) else Judged(),
    )


def judged(tallies: Sequence[Tally]) -> Judged:
    """Return how the hub would have judged the nodes of at least one tally."""
    up_s = np.concatenate([each.up_s[each.has_run] for each in tallies])
    mistakes = np.concatenate([each.mistakes[each.has_run] for each in tallies])
    independent = all(each.cells.independent for each in tallies)
    watched_s, duration_s, false_stale = float(up_s.sum()), tallies[0].duration_s, int(mistakes.sum())
    flaps, flashes = sum(each.flaps for each in tallies), sum(each.flashes for each in tallies)
    return Judged(
        node_days=watched_s / DAY_S,
        false_stale=false_stale,
        false_stale_per_node_day=false_stale / (watched_s / DAY_S) if watched_s else 0.0,
        false_stale_ci=rate_interval(mistakes, up_s / DAY_S, independent=independent)[0].tolist(),
        flaps=flaps,
        flaps_per_node_hour=flaps / (watched_s / 3600) if watched_s else 0.0,
        flashes=flashes,
        flashes_per_hour=flashes / (duration_s / 3600) if duration_s else 0.0,
    )


def latency(block: Messages) -> NDArray[np.float32]:
    """Return the time from sent to received of each heartbeat that was received, s."""
    seen = (block.kind == Kind.HEARTBEAT) & ~np.isnan(block.arrived_s)
    return np.asarray((block.arrived_s[seen] - block.sent_s[seen]).astype(np.float32))


def quantiles(values: NDArray[Any], names: Sequence[str]) -> dict[str, float | None]:
    """Return quantiles by name, such as p99 or max; None if there are no values."""
    shares = [1.0 if name == "max" else float(name[1:]) / 100 for name in names]
    found = np.quantile(values, shares).tolist() if len(values) else [None] * len(names)
    return dict(zip(names, found, strict=True))
