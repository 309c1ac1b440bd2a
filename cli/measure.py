"""Run a scenario in one of the engines, and measure what it did; the trace is written meanwhile, or not at all."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from heartbench.cli.output import progress

if TYPE_CHECKING:
    from heartbench.analysis.agreement import Agreement
    from heartbench.analysis.run_figures import RunFigures
    from heartbench.simulator.engines.contract import Engine, RunSummary
    from heartbench.simulator.engines.live.hub import ExternalHub
    from heartbench.simulator.run_directory import RunDirectory
    from heartbench.simulator.scenario import Scenario


class EngineName(StrEnum):
    """Where the nodes run."""

    VIRTUAL = "virtual"
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class Options:
    """How a scenario is run; without `keeps_trace`, no trace, nodes, truth and transitions are written."""

    engine: EngineName
    workers: int | None = None
    hub: "ExternalHub | None" = None
    keeps_trace: bool = True


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run did, its figures, and how a managed hub's changes agree with the messages that it received."""

    summary: "RunSummary"
    figures: "RunFigures"
    agreement: "Agreement | None"


def measure(
    scenario: "Scenario", options: Options, directory: "RunDirectory", interrupted: Callable[[], bool]
) -> Measured:
    """Run it; once interrupted, with what was done until then."""
    from heartbench.simulator.interrupts import raised

    with raised():  # nothing is measured yet
        from heartbench.analysis.run_figures import FiguresSink
        from heartbench.analysis.sites import sites_of
        from heartbench.simulator.engines.contract import Control, not_run
        from heartbench.simulator.engines.sinks import ParquetSink, Sinks
    # Live nodes share a machine, whose effects cross sites.
    figures = FiguresSink(scenario, sites_of(scenario) if options.engine is EngineName.VIRTUAL else None)
    with ExitStack() as stack:
        trace = [stack.enter_context(ParquetSink(directory))] if options.keeps_trace else []
        try:
            with raised():
                engine = engine_for(options, directory)
            with progress(DOES[options.engine], scenario.nodes) as advance:
                summary = engine.run(scenario, Sinks(*trace, figures), Control(interrupted, advance))
        except KeyboardInterrupt:  # while the engine loaded
            summary = not_run(scenario)
    return Measured(summary, figures.figures(), agreement_of(summary, scenario))


DOES = {EngineName.VIRTUAL: "Simulating", EngineName.LIVE: "Running"}


def engine_for(options: Options, directory: "RunDirectory") -> "Engine":
    """Load the engine."""
    if options.engine is EngineName.LIVE:
        from heartbench.simulator.engines.live.engine import LiveEngine

        return LiveEngine(directory, options.workers, options.hub)
    from heartbench.simulator.engines.virtual import VirtualEngine

    return VirtualEngine(options.workers)


def agreement_of(summary: "RunSummary", scenario: "Scenario") -> "Agreement | None":
    """Check a managed hub's status changes, until it first went down, against the messages that it received."""
    if summary.live is None or summary.live.observed is None:
        return None
    from heartbench.analysis.agreement import agreement, announced_intervals

    until_s = summary.live.origin_s + min(summary.duration_s, summary.live.hub_down_s)
    return agreement(summary.live.observed, until_s, announced_intervals(scenario))
