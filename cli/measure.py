"""What `heartbench run` does with a scenario: one of two engines runs it, and tells what it did in figures."""

import shutil
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from heartbench.cli.output import progress

if TYPE_CHECKING:
    from heartbench.hub.config import HubSettings
    from heartbench.simulator.engines.live.hub import ExternalHub
    from heartbench.simulator.run_directory import RunDirectory
    from heartbench.simulator.scenario import Scenario

LAG = ("p50", "p99", "max")


class Engine(StrEnum):
    """Where the nodes live."""

    VIRTUAL = "virtual"
    LIVE = "live"


def measure(
    scenario: "Scenario",
    engine: Engine,
    directory: "RunDirectory",
    workers: int | None,
    hub: "ExternalHub | None",
    interrupted: Callable[[], bool],
) -> "tuple[dict[str, Any], HubSettings]":
    """Run it; return what was done and the settings by which the hub judged."""
    settings = scenario.hub_settings()
    try:
        if engine is Engine.LIVE:
            did, settings = run_live(scenario, directory, workers, hub, interrupted)
        else:
            did = run_virtual(scenario, directory, workers, interrupted)
    except KeyboardInterrupt:  # raised while the engine loads, and noted from then on
        did = nothing(directory)
    per_s = did["heartbeats"] / did["simulate_s"] if did["simulate_s"] else None
    return {**did, "heartbeats_per_s": per_s}, settings


def run_virtual(
    scenario: "Scenario", directory: "RunDirectory", workers: int | None, interrupted: Callable[[], bool]
) -> dict[str, Any]:
    """Run it in virtual time."""
    from heartbench.simulator.interrupts import raised

    with raised():
        from heartbench.simulator.engines.virtual import simulate
    with progress("Simulating", scenario.nodes) as advance:

        def advance_or_end(nodes: int) -> None:
            advance(nodes)
            if interrupted():
                raise KeyboardInterrupt  # the engine ends after the blocks under way

        did = simulate(scenario, directory, workers, advance_or_end)
    return {
        "nodes": did.nodes,
        "duration_s": scenario.duration_s,
        "heartbeats": did.heartbeats,
        "messages": did.messages,
        "compile_s": did.compile_s,
        "simulate_s": did.simulate_s,
        "write_s": did.write_s,
        "sim_lag_s": dict.fromkeys(LAG),
        "interrupted": did.interrupted,
    }


def run_live(
    scenario: "Scenario",
    directory: "RunDirectory",
    workers: int | None,
    hub: "ExternalHub | None",
    interrupted: Callable[[], bool],
) -> "tuple[dict[str, Any], HubSettings]":
    """Run it for real. A hub that is not ours says by itself after how long it calls a node stale."""
    from heartbench.analysis.run_figures import said_by_hub
    from heartbench.analysis.tally import quantiles
    from heartbench.simulator.interrupts import raised

    with raised():
        from heartbench.simulator.engines.live.engine import simulate
    with progress("Running", scenario.duration_s) as advance:
        did = simulate(scenario, directory, workers, hub, advance, interrupted)
    settings = scenario.hub_settings()
    if hub is not None and did.stale_after_s:
        settings = settings.for_stale_after(did.stale_after_s, settings)
    said = said_by_hub(directory, did.duration_s)
    said |= {"deadline_moves": did.deadline_moves, "events_lost": did.events_lost, "events_heard_s": did.events_heard_s}
    if hub is None:
        said |= followed(directory, did.origin_s + min(did.duration_s, did.hub_down_s))
    figures = {
        "nodes": did.nodes,
        "duration_s": did.duration_s,
        "heartbeats": did.heartbeats,
        "messages": did.messages,
        "compile_s": did.compile_s,
        "simulate_s": did.duration_s,
        "write_s": did.write_s,
        "sim_lag_s": quantiles(did.lag_s, LAG),
        "interrupted": did.interrupted,
        "arrived_by": did.arrived_by,
        "files": did.files if any(group.file_bytes for group in scenario.group) else None,
        "hub_said": said,
    }
    return figures, settings


def followed(directory: "RunDirectory", until_s: float) -> dict[str, Any]:
    """Return whether all that our hub said until its first end follows from what it heard, by rules written again."""
    from heartbench.analysis.agreement import agreement
    from heartbench.simulator.observer_frames import read_observer

    found = agreement(read_observer(directory.observer), until_s)
    return {
        "changes": found.changes,
        "changes_that_do_not_follow": found.not_following,
        "changes_missing": found.missing,
        "first_of_them": found.first,
    }


def nothing(directory: "RunDirectory") -> dict[str, Any]:
    """Write down that nothing was measured."""
    import numpy as np

    from heartbench.simulator.trace import Messages, NodesWriter, TraceWriter, TruthWriter

    shutil.rmtree(directory.trace, ignore_errors=True)
    none: Any = np.zeros(0)
    TraceWriter(directory.trace).write_part(0, Messages(none, none, none, none, none, none, none))
    with NodesWriter(directory.nodes), TruthWriter(directory.truth):
        pass
    figures = dict.fromkeys(("nodes", "duration_s", "heartbeats", "messages", "compile_s", "simulate_s", "write_s"), 0)
    return {**figures, "sim_lag_s": dict.fromkeys(LAG), "interrupted": True}
