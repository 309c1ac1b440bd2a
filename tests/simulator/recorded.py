"""Run an engine into a run directory, as most tests of engines do."""

from pathlib import Path

from heartbench.simulator.engines.contract import UNCONTROLLED, Control, Engine, RunSummary
from heartbench.simulator.engines.sinks import ParquetSink
from heartbench.simulator.engines.virtual import VirtualEngine
from heartbench.simulator.run_directory import RunDirectory
from heartbench.simulator.scenario import Scenario


def record(engine: Engine, scenario: Scenario, directory: RunDirectory, control: Control = UNCONTROLLED) -> RunSummary:
    with ParquetSink(directory) as sink:
        return engine.run(scenario, sink, control)


def virtual_run(scenario: Scenario, path: Path, workers: int = 1) -> RunDirectory:
    """Return the directory of a virtual run in `path`."""
    directory = RunDirectory.create(path, "test", "virtual")
    record(VirtualEngine(workers), scenario, directory)
    return directory
