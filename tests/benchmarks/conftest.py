"""A run to judge."""

import shutil
from pathlib import Path

import pytest

from heartbench.benchmarks.thresholds import networks
from heartbench.simulator.engines.virtual import simulate
from heartbench.simulator.run_directory import RunDirectory
from heartbench.simulator.scenario import load_scenario


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 40 nodes for 10 minutes on a network with many outages."""
    scenario = load_scenario("wireguard-5g-fast").with_nodes(40).model_copy(update={"duration_s": 600.0})
    run = RunDirectory.create(tmp_path_factory.mktemp("runs") / "fast", scenario.name, "virtual")
    simulate(scenario, run)
    settings = {"scenario": scenario.to_data(), "hub": scenario.hub_settings().model_dump(mode="json")}
    run.write_record(
        {"command": "heartbench run fast", "seed": 1, "settings": settings, "duration_s": 600.0, "nodes": 40}
    )
    return run.path


@pytest.fixture
def run_path(finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That run as the newest under the current directory; a test may write into it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(networks, "SIMULATED_NODE_DAYS", 1.0)  # a test needs no exact interval
    return Path(shutil.copytree(finished_run, Path("results/runs/fast-virtual-1")))
