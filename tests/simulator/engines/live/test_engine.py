"""The live engine against a real hub: what the hub heard and said, and what becomes of everything at the end."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.connections import accepted_connections
from tests.hub.events.replay import read_records, recorded_changes
from tests.hub.events.replay import replay as replay_by_registry
from tests.simulator.recorded import record

from heartbench.analysis.replay import replay
from heartbench.mesh.channel import open_channel
from heartbench.mesh.kinds import Kind
from heartbench.mesh.v1 import mesh_pb2 as pb
from heartbench.mesh.v1.mesh_pb2_grpc import HubAdminStub
from heartbench.simulator.engines.contract import Control, LiveSummary, RunSummary
from heartbench.simulator.engines.live.engine import LiveEngine
from heartbench.simulator.engines.live.hub import ExternalHub, HubProcess
from heartbench.simulator.engines.virtual import VirtualEngine
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.observer_frames import read_observer
from heartbench.simulator.run_directory import RunDirectory
from heartbench.simulator.scenario import Scenario, load_scenario
from heartbench.simulator.trace import read_nodes, read_trace, read_transitions, read_truth

pytestmark = pytest.mark.slow

HUB = [sys.executable, "-c", "from heartbench.cli.app import main; main()", "hub"]
KEY = ["node", "boot", "connection", "seq", "kind"]
FAULTS = """
duration = "12s"
[hub]
stale_after_s = 2.0
flap_window_s = 20.0
mass_silence_fraction = 0
[[group]]
name = "edge"
nodes = 30
profile = "wireguard-5g"
heartbeat_interval = "1s"
[group.link.outage]
rate_factor = 20.0
[[group]]
name = "desk"
nodes = 10
profile = "lan"
heartbeat_interval = "1s"
heartbeat_ack = true
output_rate = 2000
chunk_bytes = 500
[[fault]]
kind = "crash"
group = "desk"
at = "5s"
nodes = 3
[[fault]]
kind = "restart"
group = "edge"
at = "6s"
nodes = 10
"""


@dataclass(frozen=True)
class Run:
    scenario: Scenario
    directory: RunDirectory
    summary: RunSummary

    @property
    def live(self) -> LiveSummary:
        assert self.summary.live is not None
        return self.summary.live

    @property
    def trace(self) -> pd.DataFrame:
        return read_trace(self.directory.path)

    @property
    def said(self) -> pd.DataFrame:
        return read_transitions(self.directory.transitions)

    def crashed(self) -> dict[int, float]:
        """When each crashed node was last heard."""
        nodes = read_truth(self.directory.truth).query("event == 'crash'").node
        heard = self.trace.groupby("node").arrived_s.max()
        return {int(node): float(heard[node]) for node in nodes}


def live(
    scenario: Scenario,
    path: Path,
    workers: int = 1,
    hub: ExternalHub | None = None,
    progress: Callable[[float], None] | None = None,
) -> Run:
    directory = RunDirectory.create(path, "test", "live")
    control = Control(advance=progress or (lambda _: None))
    return Run(scenario, directory, record(LiveEngine(directory, workers, hub), scenario, directory, control))


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Run:
    path = tmp_path_factory.mktemp("live")
    (path / "faults.toml").write_text(FAULTS)
    return live(load_scenario(str(path / "faults.toml")), path / "run", workers=2)


@pytest.fixture(scope="module")
def modelled(faults: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    directory = RunDirectory.create(tmp_path_factory.mktemp("virtual") / "run", "test", "virtual")
    return Run(faults.scenario, directory, record(VirtualEngine(), faults.scenario, directory))


@contextmanager
def running_hub(**settings: str) -> Iterator[tuple[ExternalHub, "subprocess.Popen[str]"]]:
    others = {key: value for key, value in os.environ.items() if not key.startswith("HUB_")}
    env = {**others, "HUB_LISTEN": "127.0.0.1:0", "HUB_STORE_URL": "memory:", **settings}
    with subprocess.Popen(HUB, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield ExternalHub(process.stdout.readline().strip()), process
        finally:
            process.terminate()


def test_nodes_send_what_they_send_in_the_virtual_engine(faults: Run, modelled: Run) -> None:
    columns = [*KEY, "sent_s"]
    pd.testing.assert_frame_equal(faults.trace[columns], modelled.trace[columns])
    assert read_truth(faults.directory.truth).equals(read_truth(modelled.directory.truth))
    assert faults.directory.nodes.read_bytes() == modelled.directory.nodes.read_bytes()


def test_nodes_are_named_as_the_hub_knows_them(faults: Run) -> None:
    nodes = read_nodes(faults.directory.path)
    assert nodes is not None
    assert set(read_observer(faults.directory.observer).receipts.node_id) <= set(nodes.name)


def test_messages_arrive_when_they_do_in_the_virtual_engine(faults: Run, modelled: Run) -> None:
    pairs = modelled.trace.merge(faults.trace, on=KEY, suffixes=("", "_live"))
    pairs = pairs[pairs.arrived_s < 11.5]  # later ones may miss the end
    difference = (pairs.arrived_s_live - pairs.arrived_s).abs().fillna(np.inf)
    assert set(pairs.kind) == {Kind.HELLO, Kind.HEARTBEAT, Kind.CHUNK}
    assert len(pairs) > 500
    # On an idle machine 99 % are within 50 ms; tests run also on busy ones.
    assert (difference < 0.2).mean() > 0.98


def test_the_simulators_lag_is_measured_apart(faults: Run) -> None:
    assert 0.99 * np.isfinite(faults.trace.arrived_s).sum() <= len(faults.live.lag_s)
    assert faults.live.lag_s.min() >= 0.0
    assert faults.live.arrived_by == "hub"


def test_what_the_hub_said_follows_from_what_it_heard(faults: Run) -> None:
    observed = read_observer(faults.directory.observer)
    expected = replay(observed, observed.until_s)
    said = observed.changes[observed.changes.reason.isin(expected.reason.unique())]
    columns = ["node_id", "status", "flapping", "reason"]
    order: dict[str, Any] = {"by": ["node_id", "at_s"], "kind": "stable", "ignore_index": True}
    said, expected = (frame.astype({"node_id": str}).sort_values(**order) for frame in (said, expected))
    assert (said.reason == "silence").sum() > 10
    assert said[columns].astype(str).equals(expected[columns].astype(str))
    assert np.abs(said.at_s - expected.at_s).max() < 0.001


def test_the_hubs_own_replay_agrees_also_about_connections(faults: Run) -> None:
    header, lines = read_records(faults.directory.observer)
    records = list(lines)
    by_node = sorted(recorded_changes(records), key=lambda change: change.node_id)
    assert by_node == sorted(replay_by_registry(header, records), key=lambda change: change.node_id)


def test_transitions_are_what_the_hub_said_until_the_end(faults: Run) -> None:
    said, observed = faults.said, read_observer(faults.directory.observer)
    assert 0 < len(said) <= len(observed.changes)
    assert said.at_s.max() <= 12.0
    assert set(said.node) == set(range(40))
    registered = said[said.reason == "registered"].set_index("node").at_s
    hellos = faults.trace.query("kind == 0 and boot == 1").groupby("node").arrived_s.min()
    assert np.allclose(registered.sort_index(), hellos)


def test_a_crashed_node_is_stale_at_its_last_sign_of_life_and_the_threshold(faults: Run, modelled: Run) -> None:
    heard, as_modelled = faults.crashed(), modelled.crashed()
    stale = faults.said[faults.said.reason == "silence"].groupby("node").at_s.max()
    assert len(heard) == 3
    for node, last_s in heard.items():
        assert stale[node] == pytest.approx(last_s + 2.0, abs=0.001)
        assert last_s == pytest.approx(as_modelled[node], abs=0.2)


def test_a_restarted_node_is_another_boot_to_the_hub(faults: Run, modelled: Run) -> None:
    receipts = read_observer(faults.directory.observer).receipts
    boots = receipts[receipts.kind == "hello"].groupby("node_id", observed=True).boot_id.agg(["min", "max"])
    assert set(boots["max"] - boots["min"]) == {0, 1}
    back = modelled.trace.query("boot == 2 and kind == 0 and arrived_s < 11.5").node
    assert len(back) > 3
    assert {f"edge-{node:05d}" for node in back} <= set(boots.index[boots["max"] > boots["min"]])


def test_each_node_has_one_tcp_connection(tmp_path: Path) -> None:
    counts: list[int] = []

    def count(_: float) -> None:
        port = re.search(r"address=127\.0\.0\.1:(\d+)", (tmp_path / "run" / "hub.log").read_text())
        assert port is not None
        counts.append(accepted_connections(int(port[1])))

    run = live(load_scenario("lan", ["duration=2s"]).with_nodes(20), tmp_path / "run", progress=count)
    assert set(counts) == {20}
    assert run.trace.arrived_s[run.trace.sent_s < 1.5].notna().all()


def test_a_running_hub_is_driven_and_left_in_order(tmp_path: Path) -> None:
    scenario = load_scenario("lan", ["duration=3s"]).with_nodes(6)
    with (
        running_hub(HUB_STALE_AFTER_S="7", HUB_FLAP_WINDOW_S="60") as (hub, _),
        open_channel(hub.address) as channel,
    ):
        first = live(scenario, tmp_path / "first", workers=2, hub=hub)
        nodes = HubAdminStub(channel).ListNodes(pb.ListNodesRequest()).nodes
        again = live(scenario, tmp_path / "again", hub=ExternalHub(hub.address))
    for run in (first, again):
        assert (run.live.arrived_by, run.summary.hub.stale_after_s) == ("node", 7.0)
        assert run.trace.arrived_s[run.trace.sent_s < 2.5].notna().all()
        assert not run.directory.observer.exists()
        assert run.live.events_lost == 0
        assert run.live.events_heard_s == run.summary.duration_s == 3.0
    assert first.said.groupby("node").reason.first().eq("registered").all()
    assert [(node.status, node.reason) for node in nodes] == 6 * [(pb.STATUS_OFFLINE, pb.REASON_GOODBYE)]
    assert set(first.said.status) == {"online"}  # to leave is no part of the run
    assert set(again.said.node) == set(range(6))
    assert "registered" not in set(again.said.reason)  # the hub knows them, and their boots have grown


def test_a_throttled_node_comes_back_when_it_was_told_to(tmp_path: Path) -> None:
    scenario = load_scenario("lan", ["duration=4s", "group.rack.start_spread=0s", "hub.admit_per_s=3"]).with_nodes(8)
    run = live(scenario, tmp_path / "run")
    observed = read_observer(run.directory.observer)
    assert set(run.said.query("connected").node) == set(range(8))
    assert run.trace.query("kind == 0").groupby("node").size().max() > 1
    assert observed.receipts.query("kind == 'heartbeat'").node_id.nunique() == 8


def test_a_hub_that_goes_away_ends_streams_and_not_the_run(tmp_path: Path) -> None:
    scenario = load_scenario("lan", ["duration=3s"]).with_nodes(3)
    with running_hub() as (hub, process):
        done: list[float] = []

        def stop(nodes: float) -> None:
            done.append(nodes)
            if sum(done) > 1.0:  # of three nodes in 3 s
                process.terminate()

        run = live(scenario, tmp_path / "run", hub=hub, progress=stop)
    closes = read_truth(run.directory.truth).query("event == 'close'")
    assert set(closes.node) == {0, 1, 2}
    assert run.trace.arrived_s.isna().any()
    assert 1.0 < run.live.events_heard_s < 3.0 == run.summary.duration_s


def test_nodes_answer_commands_with_what_they_were_sent(tmp_path: Path) -> None:
    scenario = load_scenario("lan", ["duration=3s"]).with_nodes(2)
    done: list[float] = []
    answers: list[pb.SendCommandResponse] = []
    with running_hub() as (hub, _), open_channel(hub.address) as channel:
        admin = HubAdminStub(channel)

        def ask(nodes: float) -> None:
            done.append(nodes)
            if sum(done) > 1.0 and not answers:  # of two nodes in 3 s
                request = pb.SendCommandRequest(node_id="rack-00001", payload=b"uptime", within_s=2.0)
                answers.append(admin.SendCommand(request))

        run = live(scenario, tmp_path / "run", hub=hub, progress=ask)
    assert [(answer.outcome, answer.result.payload) for answer in answers] == [(pb.COMMAND_OUTCOME_ANSWERED, b"uptime")]
    assert run.trace.arrived_s[run.trace.sent_s < 2.5].notna().all()


def test_where_there_is_no_hub_it_is_said() -> None:
    with pytest.raises(SimulatorError, match=r"--hub: 127.0.0.1:1: no hub answers there \("):
        ExternalHub("127.0.0.1:1")


def test_a_hub_that_ends_before_the_nodes_are_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_until_ready, log = HubProcess.wait_until_ready, tmp_path / "run" / "hub.log"

    def and_end(hub: HubProcess) -> None:
        wait_until_ready(hub)
        until_s = time.monotonic() + 30.0
        while "hub is ready" not in log.read_text() and time.monotonic() < until_s:
            time.sleep(0.01)  # a thread of the hub's own writes its log, maybe after the address
        hub.kill()

    monkeypatch.setattr(HubProcess, "wait_until_ready", and_end)
    with pytest.raises(SimulatorError, match=r"the hub ended by itself: .*hub is ready"):
        live(load_scenario("lan", ["duration=2s"]).with_nodes(2), tmp_path / "run")


def test_a_running_hub_that_ends_before_the_nodes_are_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_hub() as (hub, process):
        wait_until_ready = hub.wait_until_ready

        def and_end() -> None:
            wait_until_ready()
            process.kill()

        monkeypatch.setattr(hub, "wait_until_ready", and_end)
        with pytest.raises(SimulatorError, match=r"--hub: 127.0.0.1:\d+: the hub has gone"):
            live(load_scenario("lan", ["duration=2s"]).with_nodes(2), tmp_path / "run", hub=hub)


def test_a_hub_that_does_not_start_is_one_line(tmp_path: Path) -> None:
    scenario = load_scenario("lan", ["duration=2s", f"hub.files_dir={tmp_path / 'file' / 'dir'}"])
    (tmp_path / "file").touch()
    with pytest.raises(SimulatorError, match=r"the hub did not start: .*HUB_FILES_DIR"):
        live(scenario, tmp_path / "run")
