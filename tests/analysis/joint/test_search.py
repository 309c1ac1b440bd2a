"""A search on a tiny fleet, from the scenario to both files."""

import tomllib
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import pytest

from heartbench.analysis import networks
from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.evidence import Evidence, evidence_of, simulated
from heartbench.analysis.joint import flap_choice, hub_candidates, knobs
from heartbench.analysis.joint.choice import front_of
from heartbench.analysis.joint.judged import Job, Judged
from heartbench.analysis.joint.knobs import Knob
from heartbench.analysis.joint.question import Question
from heartbench.analysis.joint.search import Found, search
from heartbench.analysis.joint.settings_files import env_file, node_file
from heartbench.analysis.joint.words import as_json, how_sure, lines_after, parse_bytes, table_rows
from heartbench.analysis.study import study
from heartbench.analysis.tune import FLEET, Goal, Per, figures_at
from heartbench.analysis.verdict import figure
from heartbench.hub.config import HubSettings
from heartbench.simulator.scenario import load_scenario

GOAL = Goal(max_false_stale_per_node_day=400.0, max_detection_s=100.0)
SEPARATE = "group.edge.separate_uploads=true"
FREE = frozenset({Knob.THRESHOLD, Knob.USER_TIMEOUT})


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return simulated(load_scenario("wireguard-5g", ["duration=2h", "group.edge.nodes=10"]))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "SIMULATED_NODE_DAYS", 2.0)
    monkeypatch.setitem(knobs.TRIED_S, Knob.USER_TIMEOUT, (0.0, 10.0))
    monkeypatch.setitem(knobs.TRIED_S, Knob.KEEPALIVE, (0.0, 30.0))


def searched(evidence: Evidence, free: frozenset[Knob] = FREE, goal: Goal = GOAL, limit: float | None = None) -> Found:
    with ThreadPoolExecutor(1) as executor:
        return search(evidence, Question(free, goal, max_bytes_per_node_day=limit), executor)


def test_the_current_setting_has_the_figures_of_tune(evidence: Evidence) -> None:
    found = searched(evidence)
    plain = figures_at(study(evidence, GOAL).fleet, 30.0)
    assert found.current.figures.false_stale == plain.false_stale
    assert found.current.figures.detection_p99_s == plain.detection_p99_s
    assert found.current.traffic.bytes_per_node_day > 0


def test_nothing_that_was_judged_within_the_limits_is_much_quicker_than_the_recommendation(evidence: Evidence) -> None:
    found = searched(evidence)
    assert found.met
    met = found.space.rows[found.space.within()]
    assert found.recommended.figures.detection_p99_s <= 1.05 * met.detection_s.min()
    assert len(found.space.nodes) == found.possible == 2
    assert found.next_best is not None
    assert found.next_best.node != found.recommended.node


def test_a_knob_is_shown_alone_and_left_out(evidence: Evidence) -> None:
    found = searched(evidence, FREE | {Knob.KEEPALIVE}, limit=1e9)
    threshold = next(share for share in found.shares if share.knob is Knob.THRESHOLD)
    assert threshold.without is not None
    assert threshold.alone is not None
    assert threshold.without.hub.stale_after_s == 30.0
    assert threshold.without.node == found.recommended.node
    assert threshold.alone.hub == found.recommended.hub
    assert threshold.alone.node == found.current.node


def test_a_limit_of_the_traffic_leaves_pings_out(evidence: Evidence) -> None:
    limit = 1.1 * searched(evidence).current.traffic.bytes_per_node_day
    found = searched(evidence, FREE | {Knob.KEEPALIVE}, limit=limit)
    assert found.recommended.node.keepalive_s == 0
    assert found.recommended.traffic.bytes_per_node_day <= limit
    with pytest.raises(AnalysisError, match="--max-traffic: no setting sends at most 5 bytes"):
        searched(evidence, limit=5.0)


def test_a_goal_that_cannot_be_met_has_the_closest(evidence: Evidence) -> None:
    found = searched(evidence, goal=Goal(1e-6, 60.0))
    assert not found.met
    assert found.recommended.figures.detection_p99_s <= 60.0
    assert as_json(found, evidence)["verdict"].startswith("No setting meets the goal")


def test_both_files_set_what_is_recommended(evidence: Evidence, tmp_path: Path) -> None:
    found = searched(evidence)
    (tmp_path / "hub.env").write_text(env_file(found, evidence))
    assert HubSettings.load(tmp_path / "hub.env").stale_after_s == found.recommended.hub.stale_after_s
    node = found.recommended.node
    text = node_file(found, evidence)
    keys = tomllib.loads(text)
    assert keys["reconnect"]["max"] == "2m"
    assert keys["heartbeat_interval"] == "10s"
    if node.user_timeout_s:
        assert keys["keepalive_timeout"] == keys["user_timeout"] == f"{node.user_timeout_s:g}s"
        assert "keepalive.ClientParameters{" in text
        assert f'"grpc.keepalive_timeout_ms", {node.user_timeout_s * 1000:.0f}' in text


def test_the_contract_of_the_json(evidence: Evidence) -> None:
    found = as_json(searched(evidence), evidence)
    recommended = found["recommended"]
    assert set(recommended) >= {"hub", "node", "bytes_per_node_day", "false_stale_network_ci", "detection_p99_s"}
    assert set(recommended["hub"]) >= {"stale_after_s", "detector", "flap_rule"}
    assert set(recommended["node"]) == {"interval_s", "keepalive_s", "user_timeout_s", "reconnect_max_s"}
    front = found["front"]
    assert {"false_stale_upper_per_node_day", "detection_p99_s", "bytes_per_node_day"} <= set(front[0])
    assert {"half_rate", "other_rate", "other_low", "other_high"} <= set(found["out_of_sample"])


def test_the_figures_of_a_chosen_flap_rule_are_its_own(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flap_choice, "MOST_HIDDEN", 1.0)
    without = search(evidence, Question(frozenset({Knob.THRESHOLD}), GOAL), None).recommended
    found = search(evidence, Question(frozenset({Knob.THRESHOLD, Knob.FLAPS}), GOAL), None)
    assert found.flaps is not None
    shown = {hub: each.shown_per_hour for hub, each in found.flaps.tried}
    chosen = found.recommended
    assert chosen.hub != without.hub
    assert chosen.figures.flashes_per_hour == pytest.approx(shown[chosen.hub])
    assert without.figures.flashes_per_hour == pytest.approx(shown[without.hub])
    assert chosen.figures.flashes_per_hour < without.figures.flashes_per_hour
    assert chosen.figures.false_stale_network_ci == without.figures.false_stale_network_ci
    assert (chosen.met, chosen.halves) == (without.met, without.halves)


def test_a_fleet_has_the_hours_of_its_least_observed_network() -> None:
    groups = ["group.edge.nodes=5", "group.edge.profile=lte", "duration=1h"]
    one = load_scenario("wireguard-5g", groups).group[0]
    scenario = load_scenario("wireguard-5g", ["group.edge.nodes=5", "duration=1h"])
    both = (scenario.group[0], one.model_copy(update={"name": "other"}))
    question = Question(frozenset({Knob.THRESHOLD}), GOAL, Per.FLEET)
    found = search(simulated(scenario.model_copy(update={"group": both})), question, None)
    assert found.recommended.group == FLEET
    hours = found.space.judged[0].hours
    assert len(hours) == 2
    assert f"fit {figure(min(hours.values()))} h of observation" in how_sure(found)


def test_a_limit_of_traffic_that_is_not_counted_is_refused(evidence: Evidence) -> None:
    hub_only = Question(frozenset({Knob.THRESHOLD}), GOAL, max_bytes_per_node_day=1e9)
    with pytest.raises(AnalysisError, match=r"^--max-traffic: .* not counted here, because no setting that is free"):
        search(evidence, hub_only, None)
    queue = replace(evidence, scenario=load_scenario("wireguard-5g", [SEPARATE]))
    with pytest.raises(AnalysisError, match=r"^--max-traffic: .* not counted here, because nodes share a queue"):
        searched(queue, limit=1e9)


def test_a_knob_that_cannot_turn_alone_is_named_with_the_reason(evidence: Evidence) -> None:
    text = " ".join(lines_after(searched(evidence, frozenset({Knob.THRESHOLD, Knob.KEEPALIVE}))))
    assert "Searched 1 of 1 settings of the nodes" in text
    assert "keepalive: only the current value was tried, because no other fits: gRPC sets a user timeout" in text


def test_a_worker_that_dies_or_has_other_sources_is_one_line(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(job: Job) -> Judged:
        raise BrokenProcessPool("A process in the process pool was terminated abruptly")

    monkeypatch.setattr("heartbench.analysis.joint.search.judge_job", dies)
    with pytest.raises(AnalysisError, match=r"^a worker died during a simulation, "):
        searched(evidence)
    monkeypatch.setattr("heartbench.analysis.joint.search.judge_job", lambda _: Judged((), {}, {}, made_by="elsewhere"))
    with pytest.raises(AnalysisError, match=r"^a worker has other sources or packages"):
        searched(evidence)


def test_a_run_of_one_block_has_nothing_out_of_sample(evidence: Evidence) -> None:
    short = simulated(load_scenario("wireguard-5g", ["duration=201s", "group.edge.nodes=4", "hub.stale_after_s=10.05"]))
    found = search(short, Question(frozenset({Knob.THRESHOLD}), GOAL), None)
    assert found.held_out is None
    assert as_json(found, short)["out_of_sample"] is None
    assert "Out of sample" not in " ".join(lines_after(found))
    text = " ".join(lines_after(search(evidence, Question(frozenset({Knob.THRESHOLD}), GOAL), None)))
    assert "Out of sample" in text
    assert "at the nodes" not in text
    assert "nan" not in text


def test_hub_knobs_alone_are_judged_on_the_gaps_that_there_are(evidence: Evidence) -> None:
    question = Question(frozenset({Knob.THRESHOLD, Knob.FLAPS}), GOAL)
    assert not question.simulates
    found = search(evidence, question, None)
    assert found.flaps is not None
    assert len(found.flaps.tried) > 3
    assert found.recommended.figures.detection_p99_s == pytest.approx(study(evidence, GOAL).recommended_s, abs=1.0)
    assert next(iter(table_rows(found)))[0] == "current"


def test_detectors_are_judged_on_the_best_setting_of_the_nodes(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_candidates, "VALUES_OF_A_DETECTOR", 2)
    question = Question(frozenset({Knob.THRESHOLD, Knob.DETECTOR}), GOAL)
    assert question.simulates
    found = searched(evidence, question.free)
    (judged,) = found.space.judged
    names = {hub.detector.partition(" ")[0] for hub in judged.hubs}
    assert {"fixed", "chen", "two-window"} <= names
    assert found.recommended.hub.to_env()
    rows = found.space.rows
    assert rows.detection_s[rows.hub.map(lambda k: not judged.hubs[k].has_one_timeout)].notna().all()


def test_a_log_has_no_nodes_to_set(run_path: Path) -> None:
    trace = evidence_of(run_path / "trace")
    with pytest.raises(AnalysisError, match=r"is a log, which says nothing of the nodes' settings.*expected a run"):
        search(trace, Question(frozenset({Knob.THRESHOLD}), GOAL), None)


def test_of_points_that_are_as_good_only_one_is_on_the_front() -> None:
    import numpy as np

    points = np.array([[1, 3, 2], [2, 2, 2], [2, 2, 2], [3, 3, 3], [3, 1, 9], [1, 3, 1]], float)
    assert front_of(points) == [5, 1, 4]


def test_bytes_are_written_with_their_unit() -> None:
    assert [parse_bytes(each, "") for each in ("2MB", "800 kB", "1500")] == [2e6, 8e5, 1500.0]
    with pytest.raises(AnalysisError, match='--max-traffic: "fast" is not a number of bytes above 0'):
        parse_bytes("fast", "--max-traffic")
