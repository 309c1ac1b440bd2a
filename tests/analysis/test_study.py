"""From a run or a trace to a recommendation."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from heartbench.analysis import networks
from heartbench.analysis.assumptions import assumptions_of
from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.evidence import evidence_of, simulated
from heartbench.analysis.imported import ALL_NODES
from heartbench.analysis.networks import network_rates, nodes_to_simulate
from heartbench.analysis.qos import judge
from heartbench.analysis.run_figures import FiguresSink
from heartbench.analysis.study import study
from heartbench.analysis.tune import Goal
from heartbench.analysis.verdict import sentence
from heartbench.hub.config import ADDED_FIELDS
from heartbench.hub.liveness.chen import Chen
from heartbench.hub.liveness.flap_rules import FlapWindow
from heartbench.hub.liveness.policy import PolicySpec
from heartbench.simulator.engines.virtual import VirtualEngine
from heartbench.simulator.outages import Outages
from heartbench.simulator.profile import load_profile
from heartbench.simulator.run_directory import RunDirectory
from heartbench.simulator.scenario import load_scenario
from heartbench.simulator.tomlfile import validate
from heartbench.simulator.trace import read_trace

HARD = Goal(max_false_stale_per_node_day=1 / 7, max_detection_s=5.0)
EASY = Goal(max_false_stale_per_node_day=1000.0, max_detection_s=60.0)


def observed(run_path: Path) -> None:
    """Change the record of the run: its outages are those of the profile."""
    run = RunDirectory.open(run_path)
    record = run.read_record()
    record["settings"]["scenario"]["group"][0]["link"]["outage"]["rate_factor"] = 1.0
    run.write_record(record)


def test_a_run_is_judged_and_its_network_simulated(run_path: Path) -> None:
    done: list[int] = []
    observed(run_path)
    evidence = evidence_of(run_path)
    found = study(evidence, EASY, advance=done.append)
    assert list(found.groups) == ["edge"]
    assert found.met
    assert found.current_s == 3.0
    assert sum(done) == nodes_to_simulate(evidence) > 0
    row = found.rows(found.recommended_s)["edge"]
    assert row.false_stale_network_ci is not None
    low, high = row.false_stale_network_ci
    assert low <= row.false_stale_network_per_node_day <= high <= 1000
    assert found.hours_watched() == 7.75


def test_a_simulated_fleet_is_judged_with_chen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "SIMULATED_NODE_DAYS", 20.0)
    rule = FlapWindow(60.0, 3, 1)
    policies = [PolicySpec(Chen(margin_s, interval_s=99.0), rule) for margin_s in (20.0, 80.0)]
    scenario = load_scenario("wireguard-5g").with_nodes(20).model_copy(update={"duration_s": 7200.0})
    evidence = simulated(scenario, policies=policies)
    found = judge(evidence.gaps, policies, evidence.duration_s).frame()
    assert found.false_stale_per_node_day[0] > found.false_stale_per_node_day[1]
    # A heartbeat every 10 s and the margin: the detection time is at most their sum, and the interval less at least.
    assert found.detection_p50_s.between([20.0, 80.0], [30.0, 90.0]).all()
    rates = network_rates(evidence, policies)["edge"]
    assert rates.best.shape == (2,)
    assert rates.best[0] > rates.best[1] > 0


def test_a_run_keeps_what_chen_needs_only_if_asked(run_path: Path) -> None:
    policies = [PolicySpec(Chen(10.0, interval_s=99.0), FlapWindow(60.0, 3, 1))]
    assert evidence_of(run_path).gaps.signs is None
    gaps = evidence_of(run_path, policies=policies).gaps
    assert set(gaps.arrivals().interval_s) == {1.0}
    assert judge(gaps, policies, 60.0).mistakes.shape[-1] == 1


def test_a_network_whose_rate_was_changed_was_not_observed(run_path: Path) -> None:
    found = study(evidence_of(run_path), EASY)  # twenty times as many outages as in the profile
    assert found.rows(found.recommended_s)["edge"].false_stale_network_ci is None
    assert found.hours_watched() is None


def test_the_same_run_gives_the_same_recommendation(run_path: Path) -> None:
    observed(run_path)
    first, second = (study(evidence_of(run_path), HARD) for _ in range(2))
    assert first.recommended_s == second.recommended_s
    assert first.fleet.equals(second.fleet)


def test_an_imported_trace_is_judged_by_itself_alone(run_path: Path) -> None:
    (run_path / "nodes.parquet").unlink(missing_ok=True)
    evidence = evidence_of(run_path / "trace")
    arrived = read_trace(run_path).arrived_s
    assert evidence.duration_s == pytest.approx(arrived.max() - arrived.min())
    found = study(evidence, EASY)
    assert (list(found.groups), found.current_s) == ([ALL_NODES], None)
    assert found.hours_watched() == pytest.approx(40 * evidence.duration_s / 3600, rel=0.05)
    assert study(evidence_of(run_path / "trace", now_s=5.0), EASY).current_s == 5.0
    with pytest.raises(AnalysisError, match=r"--now 5s: .* records the settings of its hub; expected only with an"):
        evidence_of(run_path, now_s=5.0)


def test_an_imported_trace_has_the_groups_listed_beside_it(run_path: Path) -> None:
    nodes = pd.DataFrame({"node": np.arange(40, dtype=np.int32), "group": ["lte", "wired"] * 20})
    nodes.assign(name=[f"n{each}" for each in range(40)]).to_parquet(run_path / "nodes.parquet")
    found = study(evidence_of(run_path / "trace"), EASY)
    assert list(found.groups) == ["lte", "wired"]
    sums = sum(frame.false_stale for frame in found.groups.values())
    assert sums.tolist() == found.fleet.false_stale.tolist()


def test_the_rate_of_a_fleet_weights_its_groups_by_observed_time(run_path: Path) -> None:
    scenario = load_scenario("wireguard-5g").with_nodes(6).model_copy(update={"duration_s": 3600.0})
    (edge,) = scenario.group
    wired = edge.model_copy(update={"name": "wired", "nodes": 18, "link": load_profile("lan"), "profile": "lan"})
    found = study(simulated(scenario.model_copy(update={"group": (edge, wired)})), EASY)
    of_edge, of_fleet = found.groups["edge"], found.fleet
    assert found.groups["wired"].false_stale_network_high.isna().all()
    # What is not known of the wired group is added: nothing was counted there, which is little in 18 node-hours.
    at_30_s = of_edge.stale_after_s == 30.0
    least = of_edge.false_stale_network_high[at_30_s].item() / 4
    most = least + 0.75 * found.groups["wired"].false_stale_high[at_30_s].item()
    assert least < of_fleet.false_stale_network_high[at_30_s].item() < most


def test_the_figures_of_a_threshold_do_not_depend_on_the_goal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "SIMULATED_NODE_DAYS", 200.0)
    evidence = simulated(load_scenario("wireguard-5g").with_nodes(10).model_copy(update={"duration_s": 86_400.0}))
    ends = [study(evidence, Goal(4.0, seconds)).rows(30.0)["edge"].false_stale_network_ci for seconds in (90.0, 1e4)]
    assert ends[0] == pytest.approx(ends[1], rel=0.25)


def test_the_times_of_an_imported_trace_may_count_from_any_moment(run_path: Path) -> None:
    trace = read_trace(run_path)
    figures = []
    for origin_s in (0, 2**30, -(2**20)):  # whole powers, so that no digit is lost
        moved = trace.assign(sent_s=trace.sent_s + origin_s, arrived_s=trace.arrived_s + origin_s)
        moved.to_parquet("moved.parquet")
        evidence = evidence_of(Path("moved.parquet"))
        assert evidence.gaps.start_s.min() == 0
        figures.append(study(evidence, EASY).fleet.iloc[::20].to_numpy(float))
    assert np.allclose(figures[0], figures[1], rtol=1e-3, equal_nan=True)
    assert np.allclose(figures[0], figures[2], rtol=1e-3, equal_nan=True)


def test_a_node_first_seen_at_the_end_leaves_the_interval_finite(run_path: Path) -> None:
    trace = read_trace(run_path)
    trace = trace[trace.node < 2]
    late = trace.nlargest(1, "arrived_s")
    pd.concat([trace, *(late.assign(node=number) for number in range(7, 40))]).to_parquet("late.parquet")
    frame = study(evidence_of(Path("late.parquet")), EASY).fleet
    assert np.isfinite(frame[["false_stale_low", "false_stale_high"]]).all(axis=None)


def test_messages_that_all_came_at_once_are_too_little(run_path: Path) -> None:
    trace = read_trace(run_path)
    trace.assign(arrived_s=5.0).to_parquet("at-once.parquet")
    with pytest.raises(AnalysisError, match="no node sent two messages"):
        evidence_of(Path("at-once.parquet"))


def test_false_stales_are_the_gaps_longer_than_the_threshold(run_path: Path) -> None:
    frame = study(evidence_of(run_path), HARD).fleet
    trace = read_trace(run_path)
    trace = trace[trace.arrived_s <= 600].sort_values(["node", "arrived_s"])
    gaps = trace.groupby("node").arrived_s.diff().dropna()
    last = 600 - trace.groupby("node").arrived_s.max()
    longer = [np.count_nonzero(gaps > each) + np.count_nonzero(last > each) for each in frame.stale_after_s]
    assert frame.false_stale.tolist() == longer


def test_the_figures_of_a_run_are_those_of_its_threshold(run_path: Path) -> None:
    evidence = evidence_of(run_path)
    row = study(evidence, HARD).rows(3.0)["edge"]
    assert evidence.scenario is not None
    sink = FiguresSink(evidence.scenario.model_copy(update={"duration_s": 600.0}), evidence.sites)
    VirtualEngine().run(evidence.scenario, sink)
    judged = sink.figures().whole.judged
    assert judged.false_stale_ci == pytest.approx(row.false_stale_ci)
    names = ("false_stale", "false_stale_per_node_day", "flaps_per_node_hour", "flashes_per_hour")
    assert [getattr(judged, name) for name in names] == pytest.approx([getattr(row, name) for name in names])


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"settings": {}}, r"run\.json: key 'scenario' is missing; `heartbench run` writes it"),
        ({"settings": 7}, r"run\.json: damaged; `heartbench run` writes seed, duration_s and settings"),
        ({"duration_s": -5}, r"run\.json: damaged"),
        ({"seed": "a"}, r"run\.json: damaged"),
    ],
)
def test_a_damaged_record_is_named(changes: dict[str, object], refusal: str, run_path: Path) -> None:
    run = RunDirectory.open(run_path)
    run.write_record({**run.read_record(), **changes})
    with pytest.raises(AnalysisError, match=refusal):
        evidence_of(run_path)


def test_a_record_from_before_detectors_and_flap_rules_has_their_defaults(run_path: Path) -> None:
    run = RunDirectory.open(run_path)
    expected, record = evidence_of(run_path).hub, run.read_record()
    for hub in (record["settings"]["hub"], record["settings"]["scenario"]["hub"]):
        for key in ADDED_FIELDS:
            hub.pop(key, None)
    run.write_record(record)
    assert evidence_of(run_path).hub == expected
    assert expected.has_one_timeout
    assert (expected.flap_rule, expected.hold_down) == ("window", "off")


def test_a_run_without_a_trace_is_refused_with_what_to_do(run_path: Path) -> None:
    run = RunDirectory.open(run_path)
    run.write_record({**run.read_record(), "trace": False})
    with pytest.raises(AnalysisError, match=r"fast-virtual-1: it was run with --no-trace, .*; run it without$"):
        evidence_of(run_path)


def test_a_run_that_did_not_end_is_not_an_imported_trace(run_path: Path) -> None:
    (run_path / "run.json").unlink()
    with pytest.raises(AnalysisError, match=r"no run\.json, so the run did not end; import its trace: .*trace"):
        evidence_of(run_path)


def test_a_trace_of_single_messages_is_too_little(run_path: Path) -> None:
    record = RunDirectory.open(run_path).read_record()
    RunDirectory(run_path).write_record({**record, "duration_s": 0.0})
    with pytest.raises(AnalysisError, match="no node sent two messages"):
        evidence_of(run_path)


def test_a_scenario_simulated_is_the_evidence_of_its_run(run_path: Path) -> None:
    ran = evidence_of(run_path)
    assert ran.scenario is not None
    anew = simulated(ran.scenario.model_copy(update={"duration_s": ran.duration_s}))
    assert np.array_equal(anew.gaps.length_s, ran.gaps.length_s)
    assert (anew.seed, anew.usual_gap_s, anew.current_s) == (ran.seed, ran.usual_gap_s, ran.current_s)


def test_nodes_of_a_live_run_share_a_machine(run_path: Path) -> None:
    run = RunDirectory.open(run_path)
    run.write_record({**run.read_record(), "engine": "live"})
    evidence = evidence_of(run_path)
    assert evidence.sites is None
    assert "host" in {each.name for each in assumptions_of(evidence)}


def test_shared_outages_are_reported(run_path: Path) -> None:
    trace = read_trace(run_path)
    out = (trace.arrived_s % 200 > 100) & (trace.arrived_s % 200 < 130)  # for all nodes at once
    trace[~out].to_parquet("shared.parquet")
    found = study(evidence_of(Path("shared.parquet")), EASY)
    assert found.coincidence is not None
    assert "long gaps of different nodes coincide" in sentence(found)
    assert study(evidence_of(run_path), EASY).coincidence is None


def test_a_run_too_short_for_its_threshold_is_rejected_by_name() -> None:
    minutes = load_scenario("wireguard-5g").with_nodes(2).model_copy(update={"duration_s": 500.0})
    with pytest.raises(
        AnalysisError, match=r"^wireguard-5g: 500 s are too short to evaluate a threshold of 30 s; .* 600 s"
    ):
        study(simulated(minutes), EASY)


def test_what_is_stated_beyond_the_rates_is_the_best_estimate_where_no_outage_was_observed() -> None:
    text = {"rates": [["1s", 4.0]], "shape": 0.25, "scale": "2s", "observed": {"hours": 9, "from": "3s", "lengths": []}}
    outage = validate(Outages, text, "test")
    assert outage.observed is not None
    best = networks.best_estimate(outage, outage.observed)
    assert best.per_hour == pytest.approx([4.0 * (1 + 0.25 * 2 / 2) ** -4])
    assert (best.shape.item(), best.scale_s.item()) == pytest.approx((0.25, 2.5))
    nothing = validate(Outages, {"observed": text["observed"]}, "test")
    assert nothing.observed is not None
    assert networks.best_estimate(nothing, nothing.observed).per_hour == 0
