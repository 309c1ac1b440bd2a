"""A recommendation in words, and as files."""

import json
import math
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from heartbench.analysis import verdict
from heartbench.analysis.evidence import evidence_of, settings_at
from heartbench.analysis.goals import goal_from_json, goal_json, stated_goal
from heartbench.analysis.study import study
from heartbench.analysis.tune import Goal, Per, Recommendation, ThresholdFigures, recommend
from heartbench.cli.output import plain
from heartbench.hub.config import HubSettings


def frontier(rates: list[float], network: float = math.nan) -> pd.DataFrame:
    """Thresholds of 10, 30 and 60 s; the network's interval is from a `network`th of the rate to so many times it."""
    thresholds = [10.0, 30.0, 60.0]
    rate = np.array(rates)
    names = [field.name for field in fields(ThresholdFigures) if not field.name.endswith("_ci")]
    return pd.DataFrame(
        {
            **dict.fromkeys(names, 0.0),
            "stale_after_s": thresholds,
            "false_stale": 10 * rate,
            "false_stale_per_node_day": rate,
            "detection_p99_s": thresholds,
            "false_stale_low": rate / 2,
            "false_stale_high": 2 * rate,
            "false_stale_dispersion": 1.0,
            "false_stale_network_per_node_day": rate + 0 * network,
            "false_stale_network_low": rate / network,
            "false_stale_network_high": rate * network,
        }
    )


def found(
    goal: Goal, *groups: list[float], network: float = math.nan, hours: float | None = None, per: Per = Per.GROUP
) -> Recommendation:
    names = ["lte", "wired"]
    frames = {name: frontier(rates, network) for name, rates in zip(names, groups, strict=False)}
    fleet = frontier(np.mean(groups, axis=0).tolist(), network)
    return recommend(goal, per, 30.0, fleet, frames, {} if hours is None else dict.fromkeys(frames, hours))


def test_the_sentence_states_the_setting_its_effect_and_its_uncertainty() -> None:
    assert verdict.sentence(found(Goal(4.0, 90.0), [900, 20, 0.5], network=4.0, hours=7.75)) == (
        "Set stale_after to 60 s to meet the goal of at most 4 false stales per node-day and a detection time (p99) of "
        "at most 90 s. Expected: 0.5 false stales per node-day (95%: 0.125 to 2 for the network, 0.25 to 1 for the "
        "simulation), detection time 60 s (p99). Currently (30 s): 20 false stales per node-day (95%: 5 to 80 for the "
        "network, 10 to 40 for the simulation), detection time 30 s (p99). The network interval covers 95% of the "
        "networks that fit 7.75 h of observation; the simulation interval covers only the randomness of the simulation."
    )


def test_the_sentence_states_which_goal_is_missed_by_how_much_and_how_long_to_observe() -> None:
    assert verdict.sentence(found(Goal(1.0, 40.0), [900, 0.7, 0.02], network=2.0, hours=8.0)) == (
        "No threshold meets the goal of at most 1 false stale per node-day and a detection time (p99) of at most 40 s. "
        "False stales are reliably rare enough only from 60 s; detection is fast enough only up to 30 s. 30 s comes "
        "closest: false stales may be 1.4 times the goal (upper end of the 95% interval). Expected: 0.7 false stales "
        "per node-day (95%: 0.35 to 1.4 for the network, 0.35 to 1.4 for the simulation), detection time 30 s (p99). "
        "The network interval covers 95% of the networks that fit 8 h of observation; the simulation interval covers "
        "only the randomness of the simulation. The best estimate for the network at 30 s is 0.7 per node-day; if it "
        "is right, about 1,024 node-hours (43 nodes for a day) of observing the network will show that the goal is met."
    )


@pytest.mark.parametrize(
    ("goal", "hours", "said"),
    [
        (Goal(0.5, 40.0), 8.0, "which misses the goal too; if it is right, no amount of observation will show"),
        (Goal(0.5, 5.0), 8.0, "No threshold detects failures fast enough, however well the network is known."),
    ],
)
def test_the_sentence_states_when_more_observation_does_not_help(goal: Goal, hours: float, said: str) -> None:
    assert said in verdict.sentence(found(goal, [900, 0.7, 0.02], network=2.0, hours=hours))


def test_without_observed_outages_the_uncertainty_is_reported_as_unknown() -> None:
    text = verdict.sentence(found(Goal(4.0, 90.0), [900, 20, 0.5]))
    assert "No outages of this network were counted, so long thresholds cannot be tuned for it" in text
    assert "the uncertainty about it is unknown" in text
    assert "for the network" not in text


def test_a_simulation_that_is_too_short_is_reported() -> None:
    short = found(Goal(1.0, 40.0), [900, 0.7, 0.02])
    assert (
        "about 1,024 node-hours (43 nodes for a day) of simulation will show that the goal is met"
        in verdict.sentence(short)
    )


def test_the_sentence_states_the_length_of_an_imported_trace() -> None:
    recorded = replace(found(Goal(4.0, 90.0), [900, 20, 0.5], hours=50.0), recorded=True)
    assert "as it was during 50 node-hours of recording" in verdict.sentence(recorded)
    assert "for the recording), detection" in verdict.sentence(recorded)


@pytest.mark.parametrize(
    ("goal", "said"),
    [
        (Goal(1.0, 59.99), "the detection time is just above the goal"),
        (Goal(0.01, 60.0), "false stales may be 4 times the goal (upper end of the 95% interval)"),
        (Goal(0.0, 60.0), "false stales may be above the goal of 0 (upper end of the 95% interval)"),
    ],
)
def test_a_side_of_the_goal_that_is_met_is_not_reported_as_missed(goal: Goal, said: str) -> None:
    missing = replace(found(goal, [900, 70, 0.02]), recommended_s=60.0)
    assert not missing.met
    assert verdict.missed(missing) == said


def test_a_detection_time_of_zero_is_missed() -> None:
    assert verdict.missed(found(Goal(1.0, 0.0), [900, 0.7, 0.02])) == (
        "false stales may be 1,800 times the goal (upper end of the 95% interval), and the detection time is above the "
        "goal of 0"
    )


def test_by_how_much_it_misses_is_the_worst_of_all_groups() -> None:
    missing = found(Goal(1.0, 20.0), [900, 0.7, 0.02], [900, 0.8, 0.02])
    assert verdict.missed_by(replace(missing, recommended_s=30.0)) == pytest.approx(
        {"false_stale": 1.6, "detection": 1.5}
    )


def test_the_deciding_group_is_named() -> None:
    goal = Goal(1 / 7, 90.0)
    assert verdict.decided_by(found(goal, [900, 2, 0.02])) == ""
    assert verdict.decided_by(found(goal, [900, 4, 0.05], [900, 2, 0.02])) == " (group lte, which decides)"
    assert (
        verdict.decided_by(found(goal, [900, 4, 0.02], [900, 2, 0.05])) == " (group lte at 30 s, group wired at 60 s)"
    )
    assert verdict.decided_by(found(goal, [900, 4, 0.02], [900, 2, 0.05], per=Per.FLEET)) == " (over the fleet)"
    assert "in group lte, which decides" in verdict.sentence(found(goal, [900, 4, 0.05], [900, 2, 0.02]))
    assert verdict.goal_text(found(goal, [900, 4, 0.05], [900, 2, 0.02])).startswith("for each group of nodes, at most")


@pytest.mark.parametrize(
    ("rates", "detection_s", "said"),
    [
        ([900, 70, 2], 5.0, "rare enough at no threshold up to 60 s; detection is fast enough not even at 10 s."),
        ([900, 70, 0], 90.0, "rare enough only from 60 s; detection is fast enough only up to 60 s."),
    ],
)
def test_the_reason_why_no_threshold_meets_the_goal(rates: list[float], detection_s: float, said: str) -> None:
    assert said in verdict.why(found(Goal(1.0, detection_s), rates))


def test_a_goal_is_repeated_in_the_unit_in_which_it_was_stated() -> None:
    goal = stated_goal("10/Node-Week", "2m")
    assert (goal.max_false_stale_per_node_day, goal.unit) == (10 / 7, "node-week")
    assert stated_goal(None, "90s", goal) == replace(goal, max_detection_s=90.0)
    assert "the goal of at most 10 false stales per node-week" in verdict.sentence(found(goal, [900, 20, 0.5]))
    assert goal_from_json(goal_json(goal)) == goal
    assert goal_from_json({"max_false_stale_per_node_day": 1.0, "max_detection_s": 2.0}) == Goal(1.0, 2.0)


def test_a_threshold_below_two_intervals_is_said_to_allow_no_heartbeat_to_be_missing() -> None:
    chosen = replace(found(Goal(30.0, 90.0), [900, 5, 0.5]), interval_s=15.5)
    warning = "30 s is less than two heartbeat intervals of 15.5 s, so a single heartbeat that is lost or late can"
    assert warning in verdict.sentence(chosen)
    assert "two heartbeat intervals" not in verdict.sentence(replace(chosen, interval_s=15.0))
    missed = replace(found(Goal(0.1, 40.0), [900, 5, 0.5]), interval_s=20.0)
    assert "30 s is less than two heartbeat intervals of 20 s" in verdict.sentence(missed)


@pytest.mark.parametrize(
    ("value", "text"), [(38399.1, "38,399"), (0.1234, "0.123"), (99.95, "100"), (0.0, "0"), (0.00012, "0.0001")]
)
def test_figures_are_those_that_people_read(value: float, text: str) -> None:
    assert verdict.figure(value) == text


def test_a_stored_recommendation_can_be_read_back(run_path: Path) -> None:
    evidence = evidence_of(run_path)
    first = study(evidence, Goal(1000.0, 60.0))
    second = verdict.from_json(json.loads(json.dumps(plain(verdict.as_json(first, evidence)))))
    assert (second.goal, second.met, second.recommended_s) == (first.goal, first.met, first.recommended_s)
    assert verdict.sentence(second) == verdict.sentence(first)
    for name, frame in first.groups.items():
        pd.testing.assert_frame_equal(second.groups[name][frame.columns], frame, check_dtype=False)
    pd.testing.assert_frame_equal(second.fleet[first.fleet.columns], first.fleet, check_dtype=False)


@pytest.mark.parametrize("stale_after_s", [10.0, 29.5, 30.0, 84.0, 120.0])
def test_the_hub_accepts_the_env_file(stale_after_s: float, tmp_path: Path, run_path: Path) -> None:
    evidence = evidence_of(run_path)
    chosen = found(Goal(1.0, 90.0), [900, 0.7, 0.02])
    frame = chosen.fleet.assign(stale_after_s=stale_after_s).iloc[:1]
    chosen = replace(chosen, met=True, recommended_s=stale_after_s, fleet=frame, groups={"edge": frame})
    path = tmp_path / "hub.env"
    path.write_text(verdict.env_file(chosen, evidence))
    expected = settings_at(stale_after_s, evidence.hub)
    assert HubSettings.load(path) == expected
    text = path.read_text()
    assert text.startswith("# Tuned by Heartbench from results/runs/fast-virtual-1, seed 1.\n# Goal: ")
    assert all(
        f"# Assumption: {name}: " in text for name in ("shape", "scale", "hours observed", "directions", "independence")
    )
