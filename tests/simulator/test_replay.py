"""A recorded link in a scenario: where it is named, what is refused, and that all engines replay the same."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
from tests.simulator.probes import recording, walk
from tests.simulator.recorded import virtual_run

from heartbench.simulator import replay
from heartbench.simulator.engines.live.world import Model, make_world
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.fleet import squads
from heartbench.simulator.link import UP, make_link, transmit
from heartbench.simulator.profile import load_profile
from heartbench.simulator.recordings import write_recording
from heartbench.simulator.replay import Replay
from heartbench.simulator.scenario import Scenario, load_scenario, scenario_of
from heartbench.simulator.tcp.flow import MESSAGES
from heartbench.simulator.trace import read_trace, read_truth

HEAD = """
seed = 3
duration = "11m"
[[group]]
name = "edge"
nodes = 4
heartbeat_interval = "1s"
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "walk.parquet"
    write_recording(walk(), path)
    return path


def load(folder: Path, network: str, *overrides: str) -> Scenario:
    path = folder / "mine.toml"
    path.write_text(HEAD + network)
    return load_scenario(str(path), overrides)


def refusal(folder: Path, network: str) -> str:
    with pytest.raises(SimulatorError) as refused:
        load(folder, network)
    text = str(refused.value)
    assert "\n" not in text
    return text.removeprefix(f"{folder / 'mine.toml'}: group.edge")


@pytest.mark.parametrize("network", ['link = "walk.parquet"', 'link = { file = "walk.parquet", shift = true }'])
def test_a_group_names_its_recording_as_text_or_in_a_table(network: str, log: Path) -> None:
    (group,) = load(log.parent, network).group
    digest = hashlib.sha256(log.read_bytes()).hexdigest()
    assert group.link == Replay(file=str(log), digest=f"sha256:{digest}", shift=True)
    assert group.profile is None


def test_a_scenario_written_out_loads_to_the_same(log: Path, tmp_path: Path) -> None:
    scenario = load(log.parent, 'link = "walk.parquet"')
    for whole in (False, True):
        (tmp_path / "copy.toml").write_text(scenario.to_toml(whole))
        assert load_scenario(str(tmp_path / "copy.toml")) == scenario


def test_a_recorded_scenario_is_read_without_its_recording(log: Path) -> None:
    scenario = load(log.parent, 'link = "walk.parquet"')
    log.unlink()
    assert scenario_of(scenario.to_data()) == scenario


def test_a_trace_of_mahimahi_is_replayed_too(tmp_path: Path) -> None:
    (tmp_path / "lte.up").write_text("5\n30\n2000\n")
    (group,) = load(tmp_path, 'link = { file = "lte.up", base_delay = "20ms" }').group
    assert group.link.observed_s == 2.0
    assert group.link.outage_lengths_s() == pytest.approx([1.97])
    assert group.link.rtt_quantile(np.array([0.0])) == pytest.approx([0.045], abs=0.001)


def test_an_override_replaces_one_network_by_another(log: Path) -> None:
    profiled = load(log.parent, 'profile = "lan"', "group.*.link=walk.parquet", "group.edge.link.shift=false")
    assert profiled.group[0].link.file == str(log)
    assert not profiled.group[0].link.shift
    recorded = load(log.parent, 'link = "walk.parquet"', "group.edge.profile=lan")
    assert recorded.group[0].link == load_profile("lan")


def test_what_cannot_be_replayed_is_refused_in_one_line(log: Path, tmp_path: Path) -> None:
    write_recording(recording([0.05] * 30), tmp_path / "short.parquet")
    (tmp_path / "noise.log").write_text("noise\n")
    where = f".link: {tmp_path}"
    assert refusal(tmp_path, 'link = "gone.log"') == f"{where}/gone.log: cannot be read: No such file or directory"
    assert refusal(tmp_path, 'link = "short.parquet"').startswith(f"{where}/short.parquet: too short to replay: 30 s")
    assert refusal(tmp_path, 'link = "noise.log"').startswith(f"{where}/noise.log:1: ")
    assert refusal(tmp_path, 'link = { file = "walk.parquet", digest = "sha256:0" }').startswith(
        f"{where}/walk.parquet: has changed: its digest is sha256:"
    )
    assert refusal(tmp_path, 'link = { file = "walk.parquet", shfit = 1 }').startswith(
        ".link: unknown key shfit, did you mean shift?"
    )
    assert refusal(tmp_path, 'link = { file = "walk.parquet", base_delay = "1ms" }').startswith(
        f"{where}/walk.parquet: has delays of its own; drop base_delay"
    )
    assert refusal(tmp_path, 'link = { file = "walk.parquet", down_file = "walk.parquet" }').startswith(
        f"{where}/walk.parquet: is not a trace of Mahimahi"
    )
    both = 'profile = "lan"\nlink = "walk.parquet"'
    assert refusal(tmp_path, both) == ": profile and a recorded link exclude each other; remove one of them"
    assert refusal(tmp_path, "") == ": has no network; expected profile = NAME or FILE, or link = RECORDING"
    site = 'link = "walk.parquet"\nsite = { nodes = 2, share = 1 }'
    assert refusal(tmp_path, site).startswith(": site: a recorded link does not say which outages nodes share")


def test_a_recording_that_changed_after_the_scenario_was_loaded_is_refused(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = load(log.parent, 'link = "walk.parquet"')
    monkeypatch.setattr(replay, "_KEPT", {})  # as in another process
    write_recording(walk(seed=2), log)
    with pytest.raises(SimulatorError, match=r"walk\.parquet: has changed: its digest is sha256:\w+; expected sha256:"):
        next(squads(scenario))


def test_a_squad_finds_its_recording_in_another_process(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    squad = next(squads(load(log.parent, 'link = { file = "walk.parquet", shift = false }')))
    pickled = pickle.dumps(squad)
    here = replay._KEPT
    monkeypatch.setattr(replay, "_KEPT", {})
    there = pickle.loads(pickled)
    assert here
    assert (there.link["recorded"]["tape"]["delays"] != squad.link["recorded"]["tape"]["delays"]).all()
    assert transmit(make_link(there.link, (), 3, 0), UP, 20.0) == transmit(make_link(squad.link, (), 3, 0), UP, 20.0)


def test_the_truth_of_a_run_lists_the_recorded_outages(log: Path, tmp_path: Path) -> None:
    scenario = load(log.parent, 'link = { file = "walk.parquet", shift = false }')
    run = virtual_run(scenario, tmp_path / "run")
    truth = read_truth(run.truth).query("node == 2 and event != 'close'")
    assert truth[["event", "start_s", "end_s"]].to_numpy().tolist() == [
        ["outage_up", 100.0, 112.0],
        ["hold_up", 300.0, 310.0],
    ]
    trace = read_trace(run.path)
    arrived_s = trace.arrived_s.to_numpy()
    assert not ((arrived_s > 100.2) & (arrived_s < 112.0)).any()
    held = trace[(trace.sent_s > 300.0) & (trace.sent_s < 309.0)].arrived_s
    assert held.between(310.0, 310.2).all()


def test_the_live_engine_s_world_replays_what_the_virtual_engine_does(log: Path, tmp_path: Path) -> None:
    scenario = load(log.parent, 'link = "walk.parquet"')
    expected = read_trace(virtual_run(scenario, tmp_path / "run").path).sort_values(["node", "sent_s", "kind"])
    model = Model(make_world(squads(scenario), scenario.seed, 0, 1), 8192, 2 * MESSAGES)
    for until in np.arange(0.25, 660.25, 0.25):
        model.advance(float(until))
        model.take_actions()
    rows, used = model.sent.rows, int(model.sent.rows.used[0])
    order = np.lexsort((rows.kind[:used], rows.sent_s[:used], model.sent.node[:used]))
    np.testing.assert_array_equal(rows.arrived_s[:used][order], expected.arrived_s.to_numpy())
