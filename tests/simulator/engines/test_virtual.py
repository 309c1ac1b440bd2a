"""The virtual engine: the same bytes from any number of workers, the faults of the scenario, whole nodes on Ctrl-C."""

import hashlib
import multiprocessing
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.simulator.recorded import record

from heartbench.mesh.kinds import Kind
from heartbench.simulator.engines import virtual
from heartbench.simulator.engines.contract import Block, Control, RunSummary, Sink
from heartbench.simulator.engines.sinks import ParquetSink, Sinks
from heartbench.simulator.engines.virtual import BlockPlan, VirtualEngine
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.run_directory import RunDirectory
from heartbench.simulator.scenario import Scenario, load_scenario
from heartbench.simulator.trace import read_nodes, read_trace, read_truth

FAULTS = """
seed = 7
duration = "5m"
[[group]]
name = "edge"
nodes = 12
profile = "wireguard-5g"
heartbeat_interval = "2s"
[[fault]]
kind = "crash"
group = "edge"
at = "2m"
for = "1m"
nodes = 4
[[fault]]
kind = "partition"
group = "edge"
at = "200s"
for = "20s"
"""


GROUPS = [("lte", 1), ("wired", 2)]


def scenario(nodes: int = 40, duration_s: float = 600.0, name: str = "wireguard-5g-fast") -> Scenario:
    return load_scenario(name).with_nodes(nodes).model_copy(update={"duration_s": duration_s})


def run(of: Scenario, at: Path, workers: int = 1, executor: Executor | None = None) -> tuple[RunDirectory, RunSummary]:
    directory = RunDirectory.create(at, "test", "virtual")
    return directory, record(VirtualEngine(workers, executor), of, directory)


def digests(directory: RunDirectory) -> list[str]:
    files = sorted(path for path in directory.path.rglob("*") if path.is_file())
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]


def test_the_number_of_workers_changes_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual, "BLOCK_ROWS", 5_000)
    one, result = run(scenario(), tmp_path / "one", workers=1)
    two, _ = run(scenario(), tmp_path / "two", workers=2)
    assert digests(one) == digests(two)
    assert len(digests(one)) > 3
    assert result.heartbeats == pytest.approx(40 * 600, rel=0.03)


def test_blocks_may_be_mapped_by_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual, "BLOCK_ROWS", 5_000)
    threads, _ = run(scenario(), tmp_path / "threads", workers=2)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        processes, _ = run(scenario(), tmp_path / "processes", workers=2, executor=executor)
    assert digests(processes) == digests(threads)
    assert len(digests(processes)) > 3


class CountsOfKinds(Sink[np.ndarray]):
    """A sink that is not Heartbench's own."""

    def __init__(self) -> None:
        self.counts = np.zeros(len(Kind), int)

    def extract(self, block: Block) -> np.ndarray:
        return np.bincount(block.messages.kind, minlength=len(Kind))

    def add(self, kept: np.ndarray) -> None:
        self.counts += kept


def test_a_sink_from_elsewhere_takes_the_blocks_and_nothing_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(virtual, "BLOCK_ROWS", 5_000)
    monkeypatch.chdir(tmp_path)
    sink = CountsOfKinds()
    summary = VirtualEngine(workers=2).run(scenario(), sink)
    assert sink.counts[Kind.HELLO] >= summary.nodes == 40
    assert sink.counts[Kind.HEARTBEAT] == summary.heartbeats
    assert sink.counts.sum() == summary.messages
    assert list(tmp_path.iterdir()) == []


def test_several_sinks_take_the_same_blocks(tmp_path: Path) -> None:
    counts, others = CountsOfKinds(), CountsOfKinds()
    directory = RunDirectory.create(tmp_path / "run", "test", "virtual")
    with ParquetSink(directory) as parquet:
        VirtualEngine().run(scenario(), Sinks(counts, parquet, others))
    assert counts.counts.tolist() == others.counts.tolist()
    assert counts.counts.tolist() == np.bincount(read_trace(directory.path).kind, minlength=len(Kind)).tolist()


def test_another_seed_is_another_run(tmp_path: Path) -> None:
    one, _ = run(scenario(), tmp_path / "one")
    two, _ = run(scenario().model_copy(update={"seed": 2}), tmp_path / "two")
    assert digests(one) != digests(two)


def test_rows_are_sorted_and_nothing_arrives_before_it_is_sent(tmp_path: Path) -> None:
    directory, _ = run(scenario(), tmp_path / "run")
    trace = read_trace(directory.path)
    keys = trace[["node", "sent_s"]]
    assert keys.equals(keys.sort_values(["node", "sent_s"], kind="stable", ignore_index=True))
    arrived = trace.dropna()
    assert (arrived["arrived_s"] > arrived["sent_s"]).all()
    assert not trace.duplicated(["node", "boot", "kind", "seq", "connection"]).any()


def test_a_quiet_network_loses_nothing(tmp_path: Path) -> None:
    directory, result = run(scenario(name="lan", duration_s=60.0), tmp_path / "run")
    trace = read_trace(directory.path)
    late = trace[trace["sent_s"] < 59.0]
    assert late["arrived_s"].notna().all()
    assert (late["arrived_s"] - late["sent_s"]).max() < 0.05
    assert result.messages == len(trace)


def test_faults_of_the_scenario_happen(tmp_path: Path) -> None:
    file = tmp_path / "faults.toml"
    file.write_text(FAULTS)
    directory, _ = run(load_scenario(str(file)), tmp_path / "run")
    trace, truth = read_trace(directory.path), read_truth(directory.truth)
    crashed = set(truth[truth["event"] == "crash"]["node"])
    assert len(crashed) == 4
    inside = trace[trace["node"].isin(crashed) & trace["sent_s"].between(120.0, 180.0)]
    assert inside.empty
    assert set(trace[trace["kind"] == Kind.HELLO].groupby("node")["boot"].max()[list(crashed)]) == {2}
    assert not trace["arrived_s"].between(200.5, 220.0).any()


EARLY = """
seed = 7
duration = "2m"
[[group]]
name = "edge"
nodes = 12
profile = "lan"
[[fault]]
kind = "crash"
group = "edge"
at = "5s"
for = "1m"
[[fault]]
kind = "exit"
group = "edge"
at = "0.1s"
nodes = 2
"""


def test_a_fault_before_the_start_of_a_node_hits_it_as_well(tmp_path: Path) -> None:
    file = tmp_path / "early.toml"
    file.write_text(EARLY)
    directory, _ = run(load_scenario(str(file)), tmp_path / "run")
    trace, truth = read_trace(directory.path), read_truth(directory.truth)
    crashed = set(truth[truth["event"] == "crash"]["node"])
    assert trace["node"].nunique() == 10
    assert 0 < len(crashed) < 10
    assert set(truth[truth["event"] == "restart"]["node"]) == crashed
    assert not trace["sent_s"].between(5.0, 65.0).any()
    boots = trace.groupby("node")["boot"].max()
    assert set(boots[boots == 2].index) == crashed
    assert set(boots[boots == 1].index) == set(boots.index) - crashed


def test_the_same_outages_meet_another_setting_of_the_node(tmp_path: Path) -> None:
    slow, _ = run(load_scenario("wireguard-5g", ["duration=2h"]).with_nodes(5), tmp_path / "slow")
    other = load_scenario("wireguard-5g", ["duration=2h", "group.edge.heartbeat_interval=5s"]).with_nodes(5)
    fast, _ = run(other, tmp_path / "fast")
    outages = [read_truth(d.truth).query("event == 'outage'") for d in (slow, fast)]
    assert np.array_equal(outages[0]["start_s"], outages[1]["start_s"])


MIXED = """
seed = 4
duration = "1h"
[[group]]
name = "edge"
nodes = 30
profile = "wireguard-5g"
heartbeat_interval = "1s"
site = { nodes = 10, share = 0.5 }
[group.link.outage]
rate_factor = 5.0
directions = { up = 0.3, down = 0.3 }
hold = 0.5
"""


def test_nothing_arrives_in_an_outage_of_the_way_up_and_all_else_in_one_of_the_way_down(tmp_path: Path) -> None:
    file = tmp_path / "mixed.toml"
    file.write_text(MIXED)
    directory, _ = run(load_scenario(str(file)), tmp_path / "run")
    trace, truth = read_trace(directory.path), read_truth(directory.truth)
    arrivals = [np.sort(of_node["arrived_s"].dropna().to_numpy()) for _, of_node in trace.groupby("node")]
    under_way_s = 0.3  # the longest one-way delay of this profile

    def heard(row: Any) -> int:
        return int(np.diff(np.searchsorted(arrivals[row.node], [row.start_s + under_way_s, row.end_s]))[0])

    lasting = truth[(truth["end_s"] - truth["start_s"] > 3.0) & (truth["end_s"] < 3600.0)]
    counts = {
        event: [heard(row) for row in rows.itertuples()] for event, rows in lasting.groupby("event", observed=True)
    }
    cutting_up = ("outage", "outage_up", "hold", "hold_up")
    assert all(len(counts[event]) > 50 and not any(counts[event]) for event in cutting_up)
    assert all(np.mean(np.array(counts[event]) > 0) > 0.5 for event in ("outage_down", "hold_down"))


def test_an_interrupted_run_keeps_the_nodes_that_are_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual, "BLOCK_ROWS", 5_000)
    directory = RunDirectory.create(tmp_path / "run", "test", "virtual")
    done: list[float] = []
    result = record(VirtualEngine(1), scenario(), directory, Control(lambda: bool(done), done.append))
    assert sum(done) == result.nodes
    assert result.interrupted
    assert 0 < result.nodes < 40
    assert read_trace(directory.path)["node"].nunique() == result.nodes
    assert nodes_of(directory).node.tolist() == list(range(result.nodes))


def nodes_of(directory: RunDirectory) -> pd.DataFrame:
    nodes = read_nodes(directory.path)
    assert nodes is not None
    return nodes


def test_a_run_says_who_its_nodes_are(tmp_path: Path) -> None:
    groups = [load_scenario("lan").group[0].model_copy(update={"name": name, "nodes": n}) for name, n in GROUPS]
    directory, _ = run(scenario(nodes=1, duration_s=5.0).model_copy(update={"group": tuple(groups)}), tmp_path / "run")
    nodes = nodes_of(directory)
    assert nodes.group.tolist() == ["lte", "wired", "wired"]
    assert nodes.name.tolist() == ["lte-00000", "wired-00001", "wired-00002"]


def test_a_block_that_fails_keeps_the_others_from_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual, "BLOCK_ROWS", 5_000)
    begun: list[int] = []

    def fail(plan: BlockPlan) -> None:
        begun.append(plan.index)
        raise ZeroDivisionError

    monkeypatch.setattr(virtual, "run_nodes", fail)
    with pytest.raises(ZeroDivisionError):
        run(scenario(), tmp_path / "run", workers=1)
    assert begun in ([0], [0, 1])  # of eight
    assert list((tmp_path / "run").rglob("*.*")) == []


def test_a_run_that_fails_keeps_the_blocks_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual, "BLOCK_ROWS", 5_000)
    directory = RunDirectory.create(tmp_path / "run", "test", "virtual")
    done: list[float] = []

    def fail_at_the_third(nodes: float) -> None:
        done.append(nodes)
        if len(done) == 3:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        record(VirtualEngine(2), scenario(), directory, Control(advance=fail_at_the_third))
    nodes = list(range(int(sum(done))))
    assert nodes_of(directory).node.tolist() == nodes
    assert sorted(set(read_trace(directory.path).node)) == nodes
    assert set(read_truth(directory.truth).node) <= set(nodes)


def test_what_no_memory_holds_is_refused_before_it_begins(tmp_path: Path) -> None:
    endless = load_scenario("lan", ["group.rack.heartbeat_interval=1ms"]).model_copy(update={"duration_s": 1e9})
    with pytest.raises(
        SimulatorError, match=r"^group rack: about 1,0\d\d,\d{3},\d{3},\d{3} messages a node; at most 100,"
    ):
        run(endless, tmp_path / "run")


def test_a_hub_that_is_away_hears_nothing_meanwhile(tmp_path: Path) -> None:
    directory, _ = run(load_scenario("hub-faults"), tmp_path / "run")
    trace, truth = read_trace(directory.path), read_truth(directory.truth)
    hub = truth[truth["node"] == -1]
    assert list(zip(hub.event, hub.start_s, hub.end_s, strict=True)) == [
        ("hub_pause", 8.0, 14.0),
        ("hub_kill", 20.0, 21.0),
        ("hub_stop", 34.0, 35.0),
        ("hub_slow_store", 48.0, 52.0),
    ]
    for from_s, to_s in [(8.0, 14.0), (20.001, 21.0), (34.001, 35.0)]:
        assert not ((trace["arrived_s"] >= from_s) & (trace["arrived_s"] < to_s)).any()
    assert set(trace.loc[trace["sent_s"].between(8.1, 13.9), "arrived_s"]) == {14.0}
    assert (trace[trace["kind"] == Kind.HELLO].groupby("node").size() == 3).all()


def test_what_waits_for_a_paused_hub_at_the_end_has_not_arrived(tmp_path: Path) -> None:
    short = load_scenario("hub-faults", ["duration=12s"])
    directory, _ = run(short, tmp_path / "run")
    trace, truth = read_trace(directory.path), read_truth(directory.truth)
    assert trace.loc[trace["sent_s"] > 8.0, "arrived_s"].isna().all()
    assert np.isnan(truth.loc[truth["node"] == -1, "end_s"]).tolist() == [True]


def test_more_faults_of_the_hub_than_a_connection_follows_are_refused(tmp_path: Path) -> None:
    faults = ",".join(f"{{kind='kill', at='{2 * n + 1}s', for='1s'}}" for n in range(17))
    many = load_scenario("lan", [f"hub_fault=[{faults}]"])
    with pytest.raises(SimulatorError, match="hub_fault: 17 that take the hub away; at most 16 are allowed"):
        run(many, tmp_path / "run")
