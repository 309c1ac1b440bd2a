"""A recommendation in words, and as files."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from heartbench.benchmarks.cli.output import plain
from heartbench.benchmarks.thresholds import verdict
from heartbench.benchmarks.thresholds.evidence import evidence_of, settings_of
from heartbench.benchmarks.thresholds.study import study
from heartbench.benchmarks.thresholds.tune import Goal, Recommendation, recommend
from heartbench.hub.config import HubSettings


def frontier(rates: list[float]) -> pd.DataFrame:
    thresholds = [10.0, 30.0, 60.0]
    rate = np.array(rates)
    return pd.DataFrame(
        {
            "stale_after_s": thresholds,
            "false_stale": 10 * rate,
            "false_stale_per_node_day": rate,
            "detection_p99_s": thresholds,
            "false_stale_low": rate / 2,
            "false_stale_high": 2 * rate,
        }
    )


def found(goal: Goal, *tails: list[float]) -> Recommendation:
    names = ["exponential", "lognormal"]
    return recommend({name: frontier(rates) for name, rates in zip(names, tails, strict=False)}, goal, 30.0)


def test_says_what_to_set_and_what_it_costs() -> None:
    assert verdict.sentence(found(Goal(1 / 7, 90.0), [900, 2, 0.02], [900, 4, 0.05])) == (
        "Set stale_after to 60 s: 0.35 per node-week falsely stale (95 %: 0.175 to 0.7, lognormal tail), noticed "
        "within 60 s (p99). As it is, 30 s: 28 per node-week falsely stale (95 %: 14 to 56, lognormal tail), noticed "
        "within 30 s (p99)."
    )


def test_says_which_goal_is_missed_what_misses_it_by_the_least_and_by_how_much() -> None:
    assert verdict.sentence(found(Goal(1.0, 20.0), [900, 0.7, 0.02])) == (
        "No threshold meets the goal of 1 per node-day and 20 s. False stales are rare enough only from 60 s on; a "
        "dead node is noticed in time only up to 10 s. 30 s misses it by the least: false stales may come 1.4 times as "
        "often as allowed (upper end of 95 %), and a dead node is noticed after 1.5 times as long as allowed. With it: "
        "0.7 per node-day falsely stale (95 %: 0.35 to 1.4), noticed within 30 s (p99)."
    )


@pytest.mark.parametrize(
    ("goal", "said"),
    [
        (Goal(1.0, 59.99), "a dead node is noticed after 1.01 times as long as allowed"),  # never `1 times`
        (Goal(0.01, 60.0), "false stales may come 4 times as often as allowed (upper end of 95 %)"),
        (Goal(0.0, 60.0), "false stales may come more often than allowed, which is 0 (upper end of 95 %)"),
    ],
)
def test_a_side_of_the_goal_that_is_kept_is_not_said_to_be_missed(goal: Goal, said: str) -> None:
    missing = found(goal, [900, 70, 0.02])
    assert (missing.met, missing.recommended_s) == (False, 60)
    assert verdict.missed(missing) == said


def test_a_dead_node_that_is_to_be_noticed_at_once_is_noticed_later() -> None:
    assert verdict.missed(found(Goal(1.0, 0.0), [900, 0.7, 0.02])) == (
        "false stales may come 1,800 times as often as allowed (upper end of 95 %), and a dead node is noticed later "
        "than allowed, which is 0"
    )


def test_by_how_much_it_misses_is_the_worst_of_all_tails() -> None:
    missing = found(Goal(1.0, 20.0), [900, 0.7, 0.02], [900, 0.8, 0.02])
    assert verdict.misses(missing) == pytest.approx({"false_stale": 1.6, "detection": 1.5})


def test_figures_of_several_tails_say_which_one_they_are_of() -> None:
    goal = Goal(1 / 7, 90.0)
    assert verdict.worst_tails(found(goal, [900, 2, 0.02])) == ""
    assert verdict.worst_tails(found(goal, [900, 2, 0.02], [900, 4, 0.05])) == " (lognormal tail, the worst)"
    assert verdict.worst_tails(found(goal, [900, 4, 0.02], [900, 2, 0.05])) == (
        " (worst tails: exponential at 30 s, lognormal at 60 s)"
    )


def test_of_equal_tails_the_one_that_is_worse_on_the_whole_is_the_worst() -> None:
    assert verdict.worst_row(found(Goal(1 / 7, 90.0), [900, 2, 0], [900, 4, 0]), 60.0)[0] == "lognormal"


@pytest.mark.parametrize(
    ("rates", "detection_s", "said"),
    [
        ([900, 70, 2], 5.0, "False stales are never so rare; a dead node is noticed in time not even at 10 s."),
        ([900, 70, 0], 90.0, "rare enough only from 60 s on; a dead node is noticed in time only up to 60 s."),
    ],
)
def test_says_why_none_will_do(rates: list[float], detection_s: float, said: str) -> None:
    assert said in verdict.why(found(Goal(1.0, detection_s), rates))


def test_a_run_too_short_to_prove_it_is_said_to_be() -> None:
    short = frontier([900, 5, 0]).assign(false_stale_high=3.7)
    assert "cannot be shown to be so rare by so short a run" in verdict.why(
        recommend({"own": short}, Goal(1, 90), 30.0)
    )


@pytest.mark.parametrize(
    ("rate", "unit"), [(3.0, "node-day"), (1 / 7, "node-week"), (1 / 30, "node-month"), (0.0, "node-year")]
)
def test_rates_are_told_in_the_unit_of_the_goal(rate: float, unit: str) -> None:
    assert verdict.unit_of(rate) == unit


@pytest.mark.parametrize(
    ("value", "text"), [(38399.1, "38,399"), (0.1234, "0.123"), (99.95, "100"), (0.0, "0"), (0.00012, "0.0001")]
)
def test_figures_are_those_that_people_read(value: float, text: str) -> None:
    assert verdict.figure(value) == text


def test_what_is_written_down_can_be_read_back(run_path: Path) -> None:
    evidence = evidence_of(run_path)
    first = study(evidence, Goal(1000.0, 60.0))
    second = verdict.from_json(json.loads(json.dumps(plain(verdict.as_json(first, evidence)))))
    assert (second.goal, second.met, second.recommended_s) == (first.goal, first.met, first.recommended_s)
    assert verdict.sentence(second) == verdict.sentence(first)
    for tail, frame in first.frontiers.items():
        pd.testing.assert_frame_equal(second.frontiers[tail][frame.columns], frame, check_dtype=False)


@pytest.mark.parametrize("stale_after_s", [10.0, 29.5, 30.0, 84.0, 120.0])
def test_the_hub_starts_with_what_is_written(stale_after_s: float, tmp_path: Path, run_path: Path) -> None:
    evidence = evidence_of(run_path)
    chosen = found(Goal(1.0, 90.0), [900, 0.7, 0.02])
    frames = {tail: frame.assign(stale_after_s=stale_after_s) for tail, frame in chosen.frontiers.items()}
    chosen = Recommendation(
        chosen.goal, True, 30.0, stale_after_s, {tail: each.iloc[:1] for tail, each in frames.items()}
    )
    path = tmp_path / "hub.env"
    path.write_text(verdict.env_file(chosen, evidence))
    (expected,) = settings_of([stale_after_s], evidence.hub)
    assert HubSettings.load(path) == expected
    assert path.read_text().startswith("# Tuned by Heartbench from results/runs/fast-virtual-1, seed 1.\n# Goal: ")
