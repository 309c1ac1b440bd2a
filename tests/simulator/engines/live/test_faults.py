"""What goes wrong with a real hub, for real: and nobody is called stale for it."""

from pathlib import Path

import pytest
from tests.simulator.recorded import record

from heartbench.simulator.engines.contract import Control
from heartbench.simulator.engines.live.engine import LiveEngine
from heartbench.simulator.engines.live.hub import ExternalHub, HubProcess
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.run_directory import RunDirectory
from heartbench.simulator.scenario import Scenario, load_scenario
from heartbench.simulator.trace import read_trace, read_transitions, read_truth

FAULTS = """
duration = "17s"
[hub]
stale_after_s = 3.0
restart_grace_s = 6.0
flap_window_s = 60.0
[[group]]
name = "desk"
nodes = 12
profile = "lan"
heartbeat_interval = "0.5s"
output_rate = 400
chunk_bytes = 200
reconnect = { initial = "0.3s", max = "2s" }
[[hub_fault]]
kind = "pause"
at = "2s"
for = "4s"
[[hub_fault]]
kind = "kill"
at = "8s"
for = "0.5s"
[[hub_fault]]
kind = "slow_store"
at = "13s"
for = "2s"
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    (tmp_path / "faults.toml").write_text(FAULTS, encoding="utf-8")
    return load_scenario(str(tmp_path / "faults.toml"))


@pytest.mark.slow
def test_a_hub_that_is_paused_killed_and_cannot_store_calls_nobody_stale(scenario: Scenario, tmp_path: Path) -> None:
    directory = RunDirectory.create(tmp_path / "run", "faults", "live")
    live = record(LiveEngine(directory, workers=1), scenario, directory).live
    happened = read_truth(directory.truth).query("node == -1")
    said = read_transitions(directory.transitions)
    log = (directory.path / "hub.log").read_text()
    heard = read_trace(directory.path).query("kind == 1").arrived_s

    assert list(happened.event) == ["hub_pause", "hub_kill", "hub_slow_store"]
    paused_s, down_s, slow_s = happened.end_s - happened.start_s
    assert [paused_s, slow_s] == pytest.approx([4.0, 2.0], abs=1.0)
    assert down_s > 0.5  # until the new hub judges
    assert live is not None
    assert live.hub_down_s == pytest.approx(8.0, abs=1.0)
    assert set(said.status) == {"online"}
    assert (said.reason == "connected").sum() == scenario.nodes  # all came back after the kill
    assert (heard > 15.0).sum() > scenario.nodes
    assert log.count("hub is ready") == 2
    assert "event=Paused" in log
    assert "state=unavailable" in log
    assert "state=ok" in log


def test_faults_that_overlap_are_refused(scenario: Scenario, tmp_path: Path) -> None:
    with pytest.raises(SimulatorError, match="hub_fault: kill at 8 s begins before pause at 2 s has ended"):
        load_scenario(str(tmp_path / "faults.toml"), ["hub_fault.0.for=7s"])


def test_a_hub_that_dies_by_itself_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hubs: list[HubProcess] = []
    start = HubProcess.start

    def noted(hub: HubProcess) -> None:
        start(hub)
        hubs.append(hub)

    monkeypatch.setattr(HubProcess, "start", noted)
    scenario = load_scenario("lan", ["duration=20s"]).with_nodes(3)
    directory = RunDirectory.create(tmp_path / "run", "lan", "live")
    with pytest.raises(SimulatorError, match="the hub ended by itself"):
        record(LiveEngine(directory, workers=1), scenario, directory, Control(advance=lambda _: hubs[0].kill()))


def test_a_hub_that_is_not_ours_is_not_harmed(scenario: Scenario, tmp_path: Path) -> None:
    hub = HubProcess(scenario.hub_settings(), RunDirectory.create(tmp_path / "hub", "faults", "hub"))
    try:
        hub.wait_until_ready()
        directory = RunDirectory.create(tmp_path / "run", "faults", "live")
        with pytest.raises(SimulatorError, match="hub_fault: an external hub is left as it is"):
            record(LiveEngine(directory, hub=ExternalHub(hub.address)), scenario, directory)
    finally:
        hub.stop()
