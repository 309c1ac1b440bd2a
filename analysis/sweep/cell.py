"""The figures of a cell, and what decides their digits.

A cell is simulated by one thread, from its scenario alone. Its figures are those of `Qos.frame()` with the simulation's
interval, by the same names as in `heartbench tune` and `heartbench run`. The network's interval, for which `tune`
simulates networks of its own, is not among them.
"""

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

import heartbench
from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.evidence import Evidence, of_simulation, policies_at
from heartbench.analysis.gaps import intervals_for
from heartbench.analysis.simulated import GapsSink
from heartbench.analysis.study import judge_nodes
from heartbench.analysis.tune import FLEET, frontier
from heartbench.hub import PolicySpec
from heartbench.mesh.kinds import Kind
from heartbench.simulator.engines.contract import Block, Sink
from heartbench.simulator.engines.sinks import Sinks
from heartbench.simulator.engines.virtual import VirtualEngine
from heartbench.simulator.scenario import Scenario

DECIDING_ROOMS = ("mesh", "hub", "simulator", "analysis")
DECIDING_PACKAGES = ("numba", "numpy", "scipy")

_COLUMNS: list[tuple[str, pa.DataType]] = [
    ("group", pa.string()),
    ("nodes", pa.int64()),
    ("heartbeats", pa.int64()),
    ("gaps", pa.int64()),
    ("node_days", pa.float64()),
    ("stale_after_s", pa.float64()),
    ("false_stale", pa.int64()),
    ("false_stale_per_node_day", pa.float64()),
    ("false_stale_low", pa.float64()),
    ("false_stale_high", pa.float64()),
    ("false_stale_dispersion", pa.float64()),
    ("mistake_duration_s", pa.float64()),
    ("mistake_recurrence_s", pa.float64()),
    ("query_accuracy", pa.float64()),
    ("detection_p50_s", pa.float64()),
    ("detection_p90_s", pa.float64()),
    ("detection_p99_s", pa.float64()),
    ("flaps_per_node_hour", pa.float64()),
    ("flaps_per_hour", pa.float64()),
    ("flashes_per_hour", pa.float64()),
    ("flapping_entries", pa.int64()),
    ("flapping_nodes", pa.int64()),
]
FIGURES = pa.schema(_COLUMNS)
"""Columns of a cell: a row per threshold, and in it per group and, of several groups, for the fleet. Nulls: undefined.

nodes, heartbeats, gaps: nodes of the group, heartbeats that they sent, gaps that the hub saw. node_days: time for which
they were up and watched. false_stale_low, _high: 95% interval of the simulation, per node-day. The others: `Qos.frame`.
"""


@dataclass(frozen=True, slots=True)
class Finished:
    """The figures of a cell, FIGURES, and what decided their digits (`made_by`)."""

    figures: pa.Table
    made_by: str


class _HeartbeatsSink(Sink[tuple[str, int]]):
    """Counts the heartbeats that each group sends."""

    def __init__(self) -> None:
        self.sent: dict[str, int] = {}

    @staticmethod
    def extract(block: Block) -> tuple[str, int]:
        """Return those of a block."""
        return block.group, int((block.messages.kind == Kind.HEARTBEAT).sum())

    def add(self, kept: tuple[str, int]) -> None:
        """Add those of a block."""
        group, sent = kept
        self.sent[group] = self.sent.get(group, 0) + sent


def run_cell(scenario: Scenario, stale_after_s: tuple[float, ...] = ()) -> Finished:
    """Simulate a scenario and judge it at these fixed timeouts, s, or by its hub's own policy; called on any worker."""
    hub = scenario.hub_settings()
    policies = policies_at(stale_after_s, hub) if stale_after_s else [hub.policy]
    gaps, heartbeats = GapsSink(intervals_for(policies, scenario)), _HeartbeatsSink()
    VirtualEngine(workers=1).run(scenario, Sinks(gaps, heartbeats))
    evidence = of_simulation(scenario, gaps.joined()[0])
    groups, sent = dict(evidence.groups), heartbeats.sent
    if len(groups) > 1:
        groups[FLEET] = np.concatenate(list(groups.values()))
        sent = {**sent, FLEET: sum(sent.values())}
    frames = [_judged(evidence, name, nodes, policies, sent) for name, nodes in groups.items()]
    rows = pd.concat(frames).sort_index(kind="stable")  # by threshold, the groups of each in their order
    return Finished(pa.Table.from_pandas(rows, FIGURES, preserve_index=False), made_by())


def _judged(
    evidence: Evidence, name: str, nodes: NDArray[np.int64], policies: list[PolicySpec], sent: Mapping[str, int]
) -> pd.DataFrame:
    """Return the rows of some nodes: one per policy."""
    qos, all_gaps = judge_nodes(evidence, nodes, policies), evidence.gaps
    gaps = int(np.diff(all_gaps.first)[np.isin(all_gaps.node, nodes)].sum())
    counts = {"nodes": len(nodes), "heartbeats": sent[name], "gaps": gaps, "node_days": qos.node_days}
    return frontier(qos).assign(group=name, **counts)


@cache
def made_by() -> str:
    """Return a digest of what decides the digits of a cell, besides it: sources, packages and kind of machine."""
    digest = hashlib.sha256()
    for room in DECIDING_ROOMS:
        folder = Path(heartbench.__path__[0], room).resolve()
        for source in sorted(folder.rglob("*.py")):
            digest.update(f"{room}/{source.relative_to(folder)}\n".encode() + source.read_bytes())
    versions = [f"{name} {version(name)}" for name in DECIDING_PACKAGES]
    digest.update("\n".join([*versions, platform.machine()]).encode())
    return digest.hexdigest()


def check_made_by(found: str) -> None:
    """Raise AnalysisError if a worker's digest differs from that of this process."""
    if found != made_by():
        raise AnalysisError(
            "a worker has other sources or packages than this process, or another kind of processor, so its digits may "
            "differ; expected the same on all machines, and unchanged while it runs"
        )
