"""The evidence on which a threshold is chosen: the gaps of a run, of an imported trace, or of a simulated scenario."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.absences import hub_absences
from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.gaps import Gaps, find_gaps, intervals_for, join_gaps, power_losses
from heartbench.analysis.imported import ImportedTrace
from heartbench.analysis.imports.record import ImportRecord
from heartbench.analysis.readings import PLAIN, Reading, SilentAtEnd, readings_of
from heartbench.analysis.sites import sites_of
from heartbench.hub import HubSettings, PolicySpec
from heartbench.hub.config import ABSENCE_FIELDS, ADDED_FIELDS, POLICY_FIELDS
from heartbench.simulator.run_directory import RunDirectory
from heartbench.simulator.scenario import Scenario, scenario_of
from heartbench.simulator.trace import read_blocks, read_truth

SHORTEST_S, LONGEST_S = 0.1, 86_400.0
"""Range of thresholds that the hub accepts."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """How a run was made, from `run.json`; empty texts are not known."""

    seed: int
    command: str = ""
    revision: str = ""
    engine: str = ""
    machine: str = ""
    versions: str = ""

    @classmethod
    def of(cls, record: Mapping[str, object]) -> "Provenance":
        """Return that of a record."""

        def text(key: str) -> str:
            value = record.get(key)
            if isinstance(value, Mapping):
                return ", ".join(f"{name} {part}" for name, part in value.items())
            return "" if value is None else str(value)

        texts = (text(key) for key in ("command", "revision", "engine", "machine", "versions"))
        return cls(int(text("seed") or 1), *texts)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The gaps of a trace, and what is known about the run that made it.

    An imported trace has no scenario and no provenance, and the hub's default settings.

    Attributes:
        source: the run directory or trace.
        trace: gaps of all nodes that sent something: of a run in memory, of an imported trace on disk.
        current_s: current stale threshold, s; None if it is not known.
        groups: numbers of the nodes of each group; an imported trace without `nodes.parquet` has one, ALL_NODES.
        readings: the ways to read what the trace leaves open; at least one.
    """

    source: Path
    trace: Gaps | ImportedTrace
    duration_s: float
    hub: HubSettings
    current_s: float | None
    groups: Mapping[str, NDArray[np.int64]]
    scenario: Scenario | None
    provenance: Provenance | None
    readings: tuple[Reading, ...] = (PLAIN,)

    @property
    def imported(self) -> ImportedTrace | None:
        """The trace, if it was imported."""
        return self.trace if isinstance(self.trace, ImportedTrace) else None

    @property
    def record(self) -> ImportRecord | None:
        """What the import of a log wrote; None for a run, and for a trace alone."""
        return self.imported.known.record if self.imported else None

    @property
    def node(self) -> NDArray[np.int64]:
        """Number of each node that sent something, ascending."""
        return self.trace.node

    def blocks(self, reading: Reading = PLAIN) -> Iterator[Gaps]:
        """Yield all gaps block by block, each node whole."""
        return iter((self.trace,)) if isinstance(self.trace, Gaps) else self.trace.blocks(reading)

    @property
    def gaps(self) -> Gaps:
        """All gaps, in memory, as the first reading has them."""
        return self.trace if isinstance(self.trace, Gaps) else join_gaps(self.trace.blocks(self.readings[0]))

    @property
    def seed(self) -> int:
        """Seed of the run, and of everything that is resampled from it."""
        return self.provenance.seed if self.provenance else 1

    @property
    def origin(self) -> str:
        """Source and seed in a few words."""
        if self.provenance:
            return f"{self.source}, seed {self.seed}"
        return f"{self.source}, " + (f"an imported log ({self.record.format})" if self.record else "an imported trace")

    @property
    def usual_gap_s(self) -> float:
        """The shortest heartbeat interval, s; for an imported trace the median of the gaps that ended.

        A log of status changes shows no gap under the timeout of its hub, so none is more usual than that.
        """
        if self.scenario is not None:
            return min(group.heartbeat_interval_s for group in self.scenario.group)
        if self.record is not None:
            return max(self.record.interval_s, self.record.statuses_s or 0.0)
        if self.imported is not None:
            return self.imported.seen.usual_gap_s
        return float(np.median(self.gaps.length_s[self.gaps.heard & ~self.gaps.away]))

    @property
    def longest_interval_s(self) -> float | None:
        """The longest heartbeat interval of a group, s; of an imported trace the usual one; None if it does not show.

        A log of status changes does not show heartbeats.
        """
        if self.scenario is not None:
            return max(group.heartbeat_interval_s for group in self.scenario.group)
        return None if self.record is not None and self.record.statuses_s is not None else self.usual_gap_s

    @property
    def sites(self) -> NDArray[np.int64] | None:
        """Site of each node by its number; None if what nodes share is not known, as in a live run, on one machine."""
        return sites_of(self.scenario) if self.scenario and not self.is_live else None

    @property
    def is_live(self) -> bool:
        """Whether real nodes were connected to a real hub."""
        return self.provenance is not None and self.provenance.engine == "live"


def evidence_of(
    path: Path,
    now_s: float | None = None,
    policies: Sequence[PolicySpec] = (),
    silent_at_end: SilentAtEnd | None = None,
    source: Path | None = None,
    *,
    skip_pauses: bool = False,
) -> Evidence:
    """Read a run directory, an imported log or a trace.

    Args:
        path: path of either.
        now_s: current stale threshold of an imported trace, s; `run.json` records that of a run.
        policies: policies to judge besides fixed timeouts; the gaps of a run keep what they need.
        silent_at_end: what became of the nodes of an imported log that fell silent before its end; None: not known.
        source: what to call an imported log, such as the log itself; None: its path.
        skip_pauses: whether an imported log has the senders' times and lists all that they sent, so that a gap in which
            the node itself paused counts for nobody.

    Raises:
        SimulatorError: it is none of them.
        AnalysisError: it contains no gap, what its import wrote is damaged, or `now_s` or `silent_at_end` does not fit.
    """
    if not (path / "run.json").exists():
        if (path / "truth.parquet").exists():
            raise AnalysisError(f"{path}: no run.json, so the run did not end; import its trace: {path / 'trace'}")
        return imported(ImportedTrace(path, skip_pauses), source or path, now_s, silent_at_end)
    if silent_at_end is not None or skip_pauses:
        option = "--silent-at-end" if silent_at_end else "--skip-sender-pauses"
        raise AnalysisError(f"{option}: {path} records what its nodes did; expected only with a log")
    if now_s is not None:
        raise AnalysisError(
            f"--now {now_s:g}s: {path} records the settings of its hub; expected only with an imported trace"
        )
    return of_a_run(path, policies)


def of_a_run(path: Path, policies: Sequence[PolicySpec]) -> Evidence:
    """Return the evidence of a run directory; arguments as of `evidence_of`."""
    run = RunDirectory.open(path)
    record = run.read_record()
    if record.get("trace") is False:
        raise AnalysisError(f"{path}: it was run with --no-trace, so there are no gaps; run it without")
    try:
        origin = Provenance.of(record)
        scenario, duration_s = scenario_of(record["settings"]["scenario"]), float(record["duration_s"])
        stated = dict.fromkeys(ADDED_FIELDS, None) | record["settings"]["hub"]
        judging = {key: stated[key] for key in (*POLICY_FIELDS, *ABSENCE_FIELDS)}
        hub = HubSettings.of(**{key: value for key, value in judging.items() if value is not None})
        damaged = not 0 <= duration_s < np.inf or origin.seed < 0
    except KeyError as error:
        raise AnalysisError(f"{run.record_file}: key {error} is missing; `heartbench run` writes it") from error
    except (TypeError, ValueError):
        damaged = True
    if damaged:
        raise AnalysisError(f"{run.record_file}: damaged; `heartbench run` writes seed, duration_s and settings")
    gaps = read_gaps(run, duration_s, intervals_for((hub.policy, *policies), scenario))
    return enough(path, Evidence(path, gaps, duration_s, hub, timeout_of(hub), groups_of(scenario), scenario, origin))


def enough(path: Path, evidence: Evidence) -> Evidence:
    """Return the evidence; raise AnalysisError if no node sent two messages."""
    gaps = evidence.gaps
    if np.any(gaps.heard & ~gaps.away & (gaps.up_s > 0)):
        return evidence
    raise too_little(path)


def too_little(path: Path) -> AnalysisError:
    """Return the error of a trace without a gap."""
    return AnalysisError(f"{path}: no node sent two messages, so there is no gap; run for longer")


def read_gaps(run: RunDirectory, duration_s: float, interval_s: NDArray[np.float64] | None = None) -> Gaps:
    """Return the gaps of a run's trace, without power losses; `interval_s` as in `find_gaps`."""
    truth = read_truth(run.truth)
    losses, absences = power_losses(truth), hub_absences(truth)
    return join_gaps(find_gaps(block, losses, duration_s, absences, interval_s) for block in read_blocks(run.path))


def imported(trace: ImportedTrace, source: Path, now_s: float | None, silent: SilentAtEnd | None) -> Evidence:
    """Return the evidence of an imported trace, from its first arrival to its last; arguments as of `evidence_of`."""
    if not trace.seen.silent:
        raise too_little(source)
    if now_s is not None and not SHORTEST_S <= now_s <= LONGEST_S:
        raise AnalysisError(f"--now {now_s:g}s: expected {SHORTEST_S:g}s to {LONGEST_S:g}s")
    hub = HubSettings.of() if now_s is None else HubSettings.for_stale_after(now_s)
    record = trace.known.record
    if silent is not None and record is None:
        raise AnalysisError(f"--silent-at-end: {source} does not say which nodes fell silent; expected an imported log")
    if trace.skip_pauses and record is not None and not record.transit:
        raise AnalysisError(f"--skip-sender-pauses: {source} has no times of the senders; expected a log with --sent")
    all_silent = bool(record and record.all_silent)
    readings = readings_of(len(trace.known.suspects.node) > 0, silent, bool(record and record.step_s), all_silent)
    return Evidence(source, trace, trace.end_s - trace.begin_s, hub, now_s, trace.groups(), None, None, readings)


def groups_of(scenario: Scenario) -> dict[str, NDArray[np.int64]]:
    """Return the numbers of the nodes of each group."""
    ends = np.cumsum([group.nodes for group in scenario.group])
    return {group.name: np.arange(end - group.nodes, end) for group, end in zip(scenario.group, ends, strict=True)}


def simulated(
    scenario: Scenario, advance: Callable[[int], None] | None = None, policies: Sequence[PolicySpec] = ()
) -> Evidence:
    """Simulate a scenario and keep only its gaps; arguments as in `simulate_gaps`."""
    from heartbench.analysis.simulated import simulate_gaps

    gaps, _ = simulate_gaps(scenario, advance=advance, policies=(scenario.hub_settings().policy, *policies))
    return enough(Path(scenario.name), of_simulation(scenario, gaps))


def of_simulation(scenario: Scenario, gaps: Gaps) -> Evidence:
    """Return the evidence of a scenario that was simulated for these gaps alone."""
    hub, source, origin = scenario.hub_settings(), Path(scenario.name), Provenance(scenario.seed)
    return Evidence(source, gaps, scenario.duration_s, hub, timeout_of(hub), groups_of(scenario), scenario, origin)


def settings_at(stale_after_s: float, hub: HubSettings) -> HubSettings:
    """Return the hub's settings with a fixed timeout: unchanged if they have it."""
    is_own = hub.has_one_timeout and stale_after_s == hub.stale_after_s
    return hub if is_own else HubSettings.for_stale_after(stale_after_s, hub)


def timeout_of(hub: HubSettings) -> float | None:
    """Return the fixed timeout by which a hub judges, s; None if it judges otherwise."""
    return hub.stale_after_s if hub.has_one_timeout else None


def policies_at(thresholds: Iterable[float], hub: HubSettings) -> list[PolicySpec]:
    """Return the hub's policy at each threshold, s."""
    return [settings_at(each, hub).policy for each in thresholds]
