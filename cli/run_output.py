"""What `heartbench run` prints and records of a run: one JSON object, tables for people, and warnings."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heartbench.cli.measure import EngineName, Measured, Options
from heartbench.cli.output import print_table

if TYPE_CHECKING:
    from heartbench.analysis.agreement import Agreement
    from heartbench.analysis.tally import Figures, Judged
    from heartbench.simulator.engines.contract import LiveSummary
    from heartbench.simulator.scenario import Scenario

WIDE = 3
"""If an interval of a rate is wider than this factor, it is shown without the rate itself."""
ENDS = {
    EngineName.VIRTUAL: "95%: interval of the simulation; `heartbench tune` adds what is not known of the network",
    EngineName.LIVE: "95%: interval of the rate, from what was counted in this run",
}
LAG = ("p50", "p99", "max")
FAILED = 1
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Report:
    """A run that has ended; `wall_s` is how long the command took, s."""

    scenario: "Scenario"
    options: Options
    measured: Measured
    wall_s: float
    directory: Path

    @property
    def judged_by(self) -> str:
        """Threshold or detector by which the hub judged, in words."""
        hub = self.measured.summary.hub
        detector = f"at {hub.stale_after_s:g} s" if hub.detector == "fixed" else f"by {hub.detector}"
        return f"{detector} ({hub.detector_by_label})" if hub.detector_by_label else detector


def to_json(report: Report) -> dict[str, Any]:
    """Return the run as `run.json` and --json have it; `trace` is there, and false, only if no trace was kept."""
    from heartbench.analysis.tally import quantiles

    summary, figures = report.measured.summary, report.measured.figures
    live = summary.live
    return {
        "engine": report.options.engine,
        "nodes": summary.nodes,
        "duration_s": summary.duration_s,
        "heartbeats": summary.heartbeats,
        "messages": summary.messages,
        "compile_s": summary.compile_s,
        "simulate_s": summary.simulate_s,
        "write_s": summary.write_s,
        "sim_lag_s": quantiles(live.lag_s, LAG) if live else dict.fromkeys(LAG),
        "interrupted": summary.interrupted,
        **(live_to_json(report, live) if live else {}),
        "heartbeats_per_s": summary.heartbeats / summary.simulate_s if summary.simulate_s else None,
        "latency_s": figures.whole.latency_s,
        **asdict(figures.whole.judged),
        "groups": {name: figures_to_json(each) for name, each in figures.groups.items()},
        "wall_s": report.wall_s,
        "run_dir": report.directory,
        **({} if report.options.keeps_trace else {"trace": False}),
    }


def figures_to_json(figures: "Figures") -> dict[str, Any]:
    """Return the figures of a group."""
    counts = {"nodes": figures.nodes, "heartbeats": figures.heartbeats, "latency_s": figures.latency_s}
    return counts | asdict(figures.judged)


def live_to_json(report: Report, live: "LiveSummary") -> dict[str, Any]:
    """Return what only a run with a real hub knows."""
    hub, agreement = report.measured.figures.hub, report.measured.agreement
    reported = {
        **(asdict(hub) if hub else {}),
        "deadline_moves": live.deadline_moves,
        "events_lost": live.events_lost,
        "events_heard_s": live.events_heard_s,
    }
    if agreement is not None:
        reported |= {
            "changes": agreement.changes,
            "changes_that_do_not_follow": agreement.not_following,
            "changes_missing": agreement.missing,
            "first_of_them": agreement.first,
        }
    has_files = any(group.file_bytes for group in report.scenario.group)
    return {"arrived_by": live.arrived_by, "files": live.files if has_files else None, "hub_said": reported}


def show(report: Report) -> None:
    """Print the figures, those of each group if there are several, and the run directory."""
    scenario, engine = report.scenario, report.options.engine
    title = f"{scenario.name}, engine {engine}, seed {scenario.seed}"
    print_table(title, ("", "measured"), list(rows(report)), ENDS[engine])
    show_groups(report.measured.figures.groups, report.judged_by)
    print(report.directory)


def rows(report: Report) -> Iterator[tuple[str, str]]:
    """Yield the figures in words."""
    from heartbench.analysis.tally import quantiles
    from heartbench.simulator.units import format_duration

    summary, whole = report.measured.summary, report.measured.figures.whole
    yield "nodes", f"{summary.nodes:,}"
    yield "time", format_duration(round(summary.duration_s, 3)) + (" (interrupted)" if summary.interrupted else "")
    per_s = f" ({summary.heartbeats / summary.simulate_s:,.0f} per second of simulating)" if summary.simulate_s else ""
    yield "heartbeats", f"{summary.heartbeats:,}{per_s}"
    yield "end-to-end latency, p50 · p99", latency(whole)
    if summary.live:
        yield "the simulator's own lag, p99", f"{text(quantiles(summary.live.lag_s, LAG)['p99'])} s"
        if any(group.file_bytes for group in report.scenario.group):
            yield "complete files", f"{summary.live.files:,}"
    seen, rate = false_stales(whole.judged)
    yield f"{report.judged_by}: false stales", seen
    yield "false stales per node-day", rate
    yield "flaps", count(whole.judged, whole.judged.flaps, whole.judged.flaps_per_node_hour, "per node-hour")
    yield "visible flaps", count(whole.judged, whole.judged.flashes, whole.judged.flashes_per_hour, "per hour")
    yield from hub_rows(report.measured)
    yield "took", f"{report.wall_s:.1f} s"


def hub_rows(measured: Measured) -> Iterator[tuple[str, str]]:
    """Yield what a real hub reported."""
    hub, agreement = measured.figures.hub, measured.agreement
    if hub is not None:
        yield "stale marks of the hub · false ones", f"{hub.stale:,} · {hub.false_stale:,}"
    if agreement is not None:
        verified = agreement.changes - agreement.not_following
        many = f"{verified:,} of {agreement.changes:,} · {agreement.missing:,}"
        yield "verified status changes · missing ones", many


def show_groups(groups: Mapping[str, "Figures"], judged_by: str) -> None:
    """Print a row for each group, if there are several."""
    if len(groups) < 2:
        return
    counts = ("false stales", "per node-day", "flaps", "visible flaps")
    columns = ("group", "nodes", "heartbeats", "latency, p50 · p99", *counts)
    found = [
        (
            name,
            f"{each.nodes:,}",
            f"{each.heartbeats:,}",
            latency(each),
            *false_stales(each.judged),
            text(each.judged.flaps),
            text(each.judged.flashes),
        )
        for name, each in groups.items()
    ]
    print_table(f"each group, {judged_by}", columns, found)


def latency(figures: "Figures") -> str:
    """Return the median and the 99th percentile of the time from sent to received."""
    return f"{text(figures.latency_s['p50'])} s · {text(figures.latency_s['p99'])} s"


def false_stales(judged: "Judged") -> tuple[str, str]:
    """Return the number of false stales and its time, and the interval of their rate; the rate only if it is sure."""
    if judged.false_stale_ci is None:
        return text(None), text(None)
    low, high = (text(end) for end in judged.false_stale_ci)
    rate = f"{text(judged.false_stale_per_node_day)}, " if is_sure(judged) else ""
    return f"{judged.false_stale:,} in {text(judged.node_days)} node-days", f"{rate}95% {low} to {high}"


def is_sure(judged: "Judged") -> bool:
    """Whether the run was long enough to show rates: the interval of false stales is not WIDE."""
    low, high = judged.false_stale_ci or (0.0, 1.0)
    return high <= WIDE * low


def count(judged: "Judged", events: int | None, rate: float | None, unit: str) -> str:
    """Return the number of flaps, and their rate if it is sure."""
    if events is None:
        return text(None)
    return f"{events:,}" + (f" ({text(rate)} {unit})" if is_sure(judged) else "")


def warnings_of(measured: Measured) -> Iterator[str]:
    """Yield a warning for each reason not to trust the hub's figures, or the hub."""
    if measured.summary.live is not None:
        yield from missing(measured.summary.live, measured.summary.duration_s)
    if measured.agreement is not None:
        yield from unexplained(measured.agreement)


def unexplained(agreement: "Agreement") -> Iterator[str]:
    """Yield a warning if the hub's status changes do not match the messages that it received."""
    if agreement.not_following or agreement.missing:
        yield (
            f"unexplained status changes of the hub: {agreement.not_following:,}; expected and missing: "
            f"{agreement.missing:,}; the first: {agreement.first}"
        )


def status_of(measured: Measured) -> int:
    """Return the exit status of the command."""
    if measured.agreement is not None and any(unexplained(measured.agreement)):
        return FAILED
    return INTERRUPTED if measured.summary.interrupted else 0


def missing(live: "LiveSummary", duration_s: float) -> Iterator[str]:
    """Yield a warning if the figures are too low, because events of an external hub were not received."""
    if live.events_lost:
        yield f"{live.events_lost:,} events of the hub were lost; counts of its changes are too low"
    if live.events_heard_s < duration_s:
        yield (
            f"the hub's events ended after the first {live.events_heard_s:.1f} s of {duration_s:g} s; later changes "
            "are not counted"
        )


def text(figure: float | None) -> str:
    """Return a figure as people read it."""
    return "–" if figure is None else f"{figure:,.0f}" if abs(figure) >= 1000 else f"{figure:.3g}"
