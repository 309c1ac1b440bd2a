"""Where the gaps come from that a threshold is judged by: a run, a bare trace, a run simulated under another tail."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.thresholds.absences import hub_absences
from heartbench.benchmarks.thresholds.gaps import NO_LOSSES, Gaps, find_gaps, join_gaps, power_losses
from heartbench.hub.config import DOUBT, JUDGEMENT, HubSettings
from heartbench.simulator.profile import Tail
from heartbench.simulator.run_directory import RunDirectory
from heartbench.simulator.scenario import Scenario, scenario_of
from heartbench.simulator.trace import read_blocks, read_truth


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a trace shows, and what is known of how it came about.

    Attributes:
        source: the run directory or trace.
        gaps: of all nodes that were heard of.
        duration_s: of the run, s.
        hub: how the hub judged, or would by default.
        scenario: what was run; None of a bare trace.
        record: `run.json`; empty of a bare trace.
    """

    source: Path
    gaps: Gaps
    duration_s: float
    hub: HubSettings
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
    def own_tail(self) -> str:
        """What the trace was made with, or what it is."""
        if self.scenario is None:
            return "as recorded"
        tails = outage_tails(self.scenario)
        return str(tails[0]) if len(tails) == 1 else "mixed" if tails else "no outages"

    @property
    def other_tails(self) -> list[Tail]:
        """Assumptions about the longest outages that this trace was not made with."""
        tails = outage_tails(self.scenario) if self.scenario else []
        return [tail for tail in Tail if tails and tails != [tail]]

    @property
    def nodes_to_simulate(self) -> int:
        """How many nodes it takes to see the other tails."""
        return self.scenario.nodes * len(self.other_tails) if self.scenario else 0

    def scenario_under(self, tail: Tail) -> Scenario:
        """What was run, for as long as it ran, under another tail."""
        if self.scenario is None:
            raise BenchmarkError(f"{self.source}: a bare trace does not say what was run; allowed: a run directory")
        changes = {"duration_s": self.duration_s, "hub_fault": ()}  # what befell the hub befell no link
        return self.scenario.with_tail(tail).model_copy(update=changes)


def outage_tails(scenario: Scenario) -> list[Tail]:
    """Return the tails that the links with outages assume, each once."""
    return sorted({group.link.outage.tail for group in scenario.group if group.link.outage.per_hour})


def evidence_of(path: Path) -> Evidence:
    """Read a run directory or a trace.

    Raises:
        SimulatorError: it is neither.
        BenchmarkError: it holds too little to judge by.
    """
    if not (path / "run.json").is_file():
        return enough(path, bare_trace(path))
    run = RunDirectory.open(path)
    record = run.read_record()
    try:
        scenario, duration_s = scenario_of(record["settings"]["scenario"]), float(record["duration_s"])
        hub = HubSettings.of(**{key: record["settings"]["hub"][key] for key in (*JUDGEMENT, *DOUBT)})
    except (KeyError, TypeError, ValueError) as error:
        raise BenchmarkError(f"{run.record_file}: {error}: missing or damaged; `heartbench run` writes it") from error
    return enough(path, Evidence(path, read_gaps(run, duration_s), duration_s, hub, scenario, record))


def enough(path: Path, evidence: Evidence) -> Evidence:
    """Refuse evidence in which no node was heard of twice."""
    gaps = evidence.gaps
    if np.any(gaps.heard & ~gaps.away & (gaps.up_s > 0)):
        return evidence
    raise BenchmarkError(f"{path}: no node was heard of twice, so there is no gap to judge by; run for longer")


def read_gaps(run: RunDirectory, duration_s: float) -> Gaps:
    """Return the gaps of a run's trace, power losses taken out."""
    truth = read_truth(run.truth)
    losses, absences = power_losses(truth), hub_absences(truth)
    return join_gaps(find_gaps(block, losses, duration_s, absences) for block in read_blocks(run.path))


def bare_trace(path: Path) -> Evidence:
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
    return Evidence(path, replace(gaps, start_s=gaps.start_s - begin_s), end_s - begin_s, HubSettings.of(), None, {})


def simulate_gaps(scenario: Scenario, advance: Callable[[int], None] | None = None) -> Gaps:
    """Run a scenario in the virtual engine and return the gaps; `advance` is told of nodes that are done."""
    from heartbench.simulator.engines.virtual import simulate

    with TemporaryDirectory(prefix="heartbench-") as folder:
        run = RunDirectory.create(Path(folder), scenario.name, "virtual")
        if simulate(scenario, run, progress=advance).interrupted:
            raise KeyboardInterrupt  # half of a fleet is no evidence
        return read_gaps(run, scenario.duration_s)


def simulated(scenario: Scenario, advance: Callable[[int], None] | None = None) -> Evidence:
    """Simulate a scenario and keep its gaps alone; `advance` is told of nodes that are done."""
    gaps = simulate_gaps(scenario, advance)
    source, record = Path(scenario.name), {"seed": scenario.seed}
    return enough(source, Evidence(source, gaps, scenario.duration_s, scenario.hub_settings(), scenario, record))


def settings_of(thresholds: Sequence[float], hub: HubSettings) -> list[HubSettings]:
    """The hub as it is, and as it would be set at each of the other thresholds."""
    return [hub if each == hub.stale_after_s else HubSettings.for_stale_after(each, hub) for each in thresholds]
