"""Where the gaps come from that a threshold is judged by: a run, a bare trace, or a scenario simulated for it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.absences import hub_absences
from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.gaps import NO_LOSSES, Gaps, find_gaps, join_gaps, power_losses
from heartbench.analysis.sites import sites_of
from heartbench.hub.config import ABSENCE_FIELDS, POLICY_FIELDS, HubSettings
from heartbench.hub.liveness.policy import PolicySpec
from heartbench.simulator.run_directory import RunDirectory
from heartbench.simulator.scenario import Scenario, scenario_of
from heartbench.simulator.trace import read_blocks, read_nodes, read_truth

SHORTEST_S, LONGEST_S = 0.1, 86_400.0
"""The thresholds that the hub accepts."""
ALL_NODES = "all nodes"
"""What the nodes of a trace are called that says nothing of groups."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a trace shows, and what is known of how it came about.

    Attributes:
        source: the run directory or trace.
        gaps: of all nodes that were heard of.
        duration_s: of the run, s.
        hub: how the hub judged, or would by default.
        current_s: the stale threshold as it is, s; None of a bare trace of which nobody said.
        groups: numbers of the nodes of each group; a bare trace without `nodes.parquet` is one, ALL_NODES.
        scenario: what was run; None of a bare trace.
        record: `run.json`; empty of a bare trace.
    """

    source: Path
    gaps: Gaps
    duration_s: float
    hub: HubSettings
    current_s: float | None
    groups: Mapping[str, NDArray[np.int64]]
    scenario: Scenario | None
    record: dict[str, Any]

    @property
    def seed(self) -> int:
        """Of the run, and so of everything that is resampled from it."""
        return int(self.record.get("seed", 1))

    @property
    def origin(self) -> str:
        """Where it comes from, in a few words."""
        return f"{self.source}, seed {self.seed}" if self.record else f"{self.source}, a bare trace"

    @property
    def usual_gap_s(self) -> float:
        """The shortest heartbeat interval, s; of a bare trace the median of the gaps that a sign of life ended."""
        if self.scenario is not None:
            return min(group.heartbeat_interval_s for group in self.scenario.group)
        return float(np.median(self.gaps.length_s[self.gaps.heard & ~self.gaps.away]))

    @property
    def sites(self) -> NDArray[np.int64] | None:
        """Return the site of each node by its number; None if what nodes share is not known.

        Nodes of a live run share a machine and a hub.
        """
        return sites_of(self.scenario) if self.scenario and not self.is_live else None

    @property
    def is_live(self) -> bool:
        """Whether real nodes were connected to a real hub."""
        return bool(self.record.get("engine") == "live")


def evidence_of(path: Path, now_s: float | None = None) -> Evidence:
    """Read a run directory or a trace.

    Args:
        path: of either.
        now_s: the stale threshold as it is, s, of a bare trace; a run says it itself.

    Raises:
        SimulatorError: it is neither.
        AnalysisError: it holds too little to judge by, or `now_s` is given for a run.
    """
    if not (path / "run.json").exists():
        if (path / "truth.parquet").exists():
            raise AnalysisError(f"{path}: no run.json, so the run did not end; allowed: {path / 'trace'}, a bare trace")
        return enough(path, bare_trace(path, now_s))
    if now_s is not None:
        raise AnalysisError(f"--now {now_s:g}s: {path} says itself how its hub was set; allowed for a bare trace")
    run = RunDirectory.open(path)
    record = run.read_record()
    if record.get("trace") is False:
        raise AnalysisError(f"{path}: it was run with --no-trace, so there are no gaps to judge by; run it without")
    try:
        scenario, duration_s = scenario_of(record["settings"]["scenario"]), float(record["duration_s"])
        hub = HubSettings.of(**{key: record["settings"]["hub"][key] for key in (*POLICY_FIELDS, *ABSENCE_FIELDS)})
        damaged = not 0 <= duration_s < np.inf or int(record.get("seed", 1)) < 0
    except KeyError as error:
        raise AnalysisError(f"{run.record_file}: key {error} is missing; `heartbench run` writes it") from error
    except (TypeError, ValueError):
        damaged = True
    if damaged:
        raise AnalysisError(f"{run.record_file}: damaged; `heartbench run` writes seed, duration_s and settings")
    gaps = read_gaps(run, duration_s)
    return enough(path, Evidence(path, gaps, duration_s, hub, hub.stale_after_s, groups_of(scenario), scenario, record))


def enough(path: Path, evidence: Evidence) -> Evidence:
    """Refuse evidence in which no node was heard of twice."""
    gaps = evidence.gaps
    if np.any(gaps.heard & ~gaps.away & (gaps.up_s > 0)):
        return evidence
    raise AnalysisError(f"{path}: no node was heard of twice, so there is no gap to judge by; run for longer")


def read_gaps(run: RunDirectory, duration_s: float) -> Gaps:
    """Return the gaps of a run's trace, power losses taken out."""
    truth = read_truth(run.truth)
    losses, absences = power_losses(truth), hub_absences(truth)
    return join_gaps(find_gaps(block, losses, duration_s, absences) for block in read_blocks(run.path))


def bare_trace(path: Path, now_s: float | None) -> Evidence:
    """A trace alone, from its first arrival to its last; its times may count from any moment, 1970 among them.

    Nobody knows which nodes lost their power, or how the hub was set.
    """
    blocks = list(read_blocks(path))
    begin_s, end_s = np.inf, -np.inf
    for block in blocks:
        arrived = np.isfinite(block.arrived_s)
        begin_s = min(begin_s, float(np.min(block.arrived_s, initial=np.inf, where=arrived)))
        end_s = max(end_s, float(np.max(block.arrived_s, initial=-np.inf, where=arrived)))
    gaps = join_gaps(find_gaps(block, NO_LOSSES, end_s) for block in blocks)
    gaps = replace(gaps, start_s=gaps.start_s - begin_s)
    if now_s is not None and not SHORTEST_S <= now_s <= LONGEST_S:
        raise AnalysisError(f"--now {now_s:g}s: allowed is {SHORTEST_S:g}s to {LONGEST_S:g}s")
    hub = HubSettings.of() if now_s is None else HubSettings.for_stale_after(now_s)
    return Evidence(path, gaps, end_s - begin_s, hub, now_s, listed_groups(path, gaps), None, {})


def listed_groups(path: Path, gaps: Gaps) -> dict[str, NDArray[np.int64]]:
    """Return the groups that `nodes.parquet` beside a trace lists, those alone of which a node was heard."""
    nodes = read_nodes(path)
    if nodes is None:
        return {ALL_NODES: gaps.node}
    unknown = np.setdiff1d(gaps.node, nodes.node)
    if len(unknown):
        raise AnalysisError(f"{path}: node {unknown[0]} is not in the nodes.parquet beside it, which must list all")
    heard = nodes[nodes.node.isin(gaps.node)]
    return {str(name): own.to_numpy(np.int64) for name, own in heard.groupby("group", sort=False).node}


def groups_of(scenario: Scenario) -> dict[str, NDArray[np.int64]]:
    """Return the numbers of the nodes of each group."""
    ends = np.cumsum([group.nodes for group in scenario.group])
    return {group.name: np.arange(end - group.nodes, end) for group, end in zip(scenario.group, ends, strict=True)}


def simulated(scenario: Scenario, advance: Callable[[int], None] | None = None) -> Evidence:
    """Simulate a scenario and keep its gaps alone; `advance` is told of nodes that are done."""
    from heartbench.analysis.simulated import simulate_gaps

    gaps, _ = simulate_gaps(scenario, advance=advance)
    source, record, hub = Path(scenario.name), {"seed": scenario.seed}, scenario.hub_settings()
    return enough(
        source,
        Evidence(source, gaps, scenario.duration_s, hub, hub.stale_after_s, groups_of(scenario), scenario, record),
    )


def settings_at(stale_after_s: float, hub: HubSettings) -> HubSettings:
    """Return the hub's settings at a threshold: unchanged at its own."""
    return hub if stale_after_s == hub.stale_after_s else HubSettings.for_stale_after(stale_after_s, hub)


def policies_at(thresholds: Iterable[float], hub: HubSettings) -> list[PolicySpec]:
    """Return the hub's policy at each threshold, s."""
    return [settings_at(each, hub).policy for each in thresholds]
