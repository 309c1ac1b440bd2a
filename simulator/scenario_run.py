"""A scenario run in simulated time and recorded in a run directory: what a program needs of `heartbench run`.

The record holds seed and settings, so that `heartbench tune` and `heartbench report` accept the run. Figures of the run
are computed in `heartbench.analysis`.
"""

from pathlib import Path

from heartbench.simulator.engines.sinks import ParquetSink
from heartbench.simulator.engines.virtual import VirtualEngine
from heartbench.simulator.run_directory import RunDirectory
from heartbench.simulator.scenario import Scenario


def run_scenario(scenario: Scenario, path: Path | None = None, workers: int | None = None) -> RunDirectory:
    """Run a scenario in the virtual engine and return its run directory.

    Args:
        scenario: what to run.
        path: a new or empty directory; None: the next free `results/runs/<scenario>-virtual-<n>`.
        workers: number of threads; None: one per core.

    Raises:
        SimulatorError: `path` is not empty, or the scenario is too large for this engine.
    """
    run = RunDirectory.create(path, scenario.name, "virtual")
    with ParquetSink(run) as sink:
        result = VirtualEngine(workers).run(scenario, sink)
    hub = scenario.hub_settings().model_dump(mode="json")
    run.write_record(
        {
            "engine": "virtual",
            "seed": scenario.seed,
            "settings": {"scenario": scenario.to_data(), "hub": hub},
            "nodes": result.nodes,
            "duration_s": scenario.duration_s,
            "heartbeats": result.heartbeats,
            "messages": result.messages,
            "interrupted": result.interrupted,
        }
    )
    return run
