"""A recommendation in words, as JSON, and as the env file that a hub starts with."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from heartbench.benchmarks.thresholds.evidence import Evidence, settings_of
from heartbench.benchmarks.thresholds.tune import Goal, Recommendation

UNIT_DAYS = {"node-day": 1.0, "node-week": 7.0, "node-month": 30.0, "node-year": 365.0}


def rate_text(per_node_day: float) -> str:
    """A rate in the unit in which it is one or more: 0.143 per node-day is `1 per node-week`."""
    unit = next((name for name, days in UNIT_DAYS.items() if per_node_day * days >= 0.95), "node-year")
    return f"{per_node_day * UNIT_DAYS[unit]:.3g} per {unit}"


def sentence(found: Recommendation) -> str:
    """Say whether the goal can be met, by what, and what it costs."""
    return met_sentence(found) if found.met else missed_sentence(found)


def met_sentence(found: Recommendation) -> str:
    """Say what to set."""
    tail, worst = worst_row(found, found.recommended_s)
    _, present = worst_row(found, found.current_s)
    return (
        f"Set stale_after to {found.recommended_s:g} s: at most {rate_text(worst['false_stale_ci'][1])} false stale"
        f"{under(found, tail)}, and a dead node is noticed within {worst['detection_p99_s']:.3g} s (p99). "
        f"With {found.current_s:g} s it is {rate_text(present['false_stale_per_node_day'])}."
    )


def missed_sentence(found: Recommendation) -> str:
    """Say which goal cannot be met, and what comes nearest."""
    goal = found.goal
    tail, worst = worst_row(found, found.recommended_s)
    return (
        f"No threshold meets both goals. {why(found)} {found.recommended_s:g} s comes nearest: up to "
        f"{rate_text(worst['false_stale_ci'][1])} false stale{under(found, tail)} (goal: "
        f"{rate_text(goal.max_false_stale_per_node_day)}), noticed within {worst['detection_p99_s']:.3g} s "
        f"(goal: {goal.max_detection_s:g} s)."
    )


def why(found: Recommendation) -> str:
    """Say from which threshold on false stales are rare enough, and up to which a death is noticed in time."""
    goal = found.goal
    frames = list(found.frontiers.values())
    thresholds = frames[0].stale_after_s
    rare = (
        pd.concat([each.false_stale_high for each in frames], axis=1).max(axis=1) <= goal.max_false_stale_per_node_day
    )
    quick = pd.concat([each.detection_p99_s for each in frames], axis=1).max(axis=1) <= goal.max_detection_s
    rare_text = (
        f"False stales are rare enough from {thresholds[rare].min():g} s on"
        if rare.any()
        else f"False stales are too many even at {thresholds.max():g} s"
    )
    quick_text = (
        f"a death is noticed in time up to {thresholds[quick].max():g} s"
        if quick.any()
        else f"a death is noticed too late even at {thresholds.min():g} s, about the time between two signs of life"
    )
    return f"{rare_text}; {quick_text}."


def worst_row(found: Recommendation, stale_after_s: float) -> tuple[str, dict[str, Any]]:
    """Return the tail under which a threshold is worst, and its figures there."""
    rows = found.rows(stale_after_s)
    return max(rows.items(), key=lambda item: float(item[1]["false_stale_ci"][1]))


def under(found: Recommendation, tail: str) -> str:
    """Name the tail where there are several."""
    return f" under the {tail} tail" if len(found.frontiers) > 1 else ""


def as_json(found: Recommendation, evidence: Evidence) -> dict[str, Any]:
    """Everything in plain types; figures at the top of a row are the trace's own, `tails` holds those under each."""
    thresholds = next(iter(found.frontiers.values())).stale_after_s
    return {
        "schema": "heartbench.tune/1",
        "met": found.met,
        "verdict": sentence(found),
        "goal": {
            "max_false_stale_per_node_day": found.goal.max_false_stale_per_node_day,
            "max_detection_s": found.goal.max_detection_s,
        },
        "source": str(evidence.source),
        "tail": evidence.own_tail,
        "tails": list(found.frontiers),
        "seed": evidence.seed,
        "current": setting_json(found.rows(found.current_s)),
        "recommended": setting_json(found.rows(found.recommended_s)),
        "frontier": [setting_json(found.rows(each)) for each in thresholds],
    }


def setting_json(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """One threshold: its figures on the trace itself, and by tail."""
    return {**next(iter(rows.values())), "tails": {tail: dict(row) for tail, row in rows.items()}}


def from_json(stored: Mapping[str, Any]) -> Recommendation:
    """The recommendation that `as_json` wrote down."""
    goal = Goal(stored["goal"]["max_false_stale_per_node_day"], stored["goal"]["max_detection_s"])
    frontiers = {tail: pd.DataFrame([row["tails"][tail] for row in stored["frontier"]]) for tail in stored["tails"]}
    for frame in frontiers.values():
        frame[["false_stale_low", "false_stale_high"]] = frame.pop("false_stale_ci").to_list()
    current, recommended = stored["current"]["stale_after_s"], stored["recommended"]["stale_after_s"]
    return Recommendation(goal, stored["met"], current, recommended, frontiers)


def env_file(found: Recommendation, evidence: Evidence) -> str:
    """The hub's settings, and above them where they come from."""
    (settings,) = settings_of([found.recommended_s], evidence.hub)
    goal = found.goal
    head = [
        f"Tuned by Heartbench from {evidence.source}, seed {evidence.seed}.",
        f"Goal: at most {rate_text(goal.max_false_stale_per_node_day)} false stale, noticed within "
        f"{goal.max_detection_s:g} s (p99).",
        *(evidence_line(tail, row) for tail, row in found.rows(found.recommended_s).items()),
    ]
    return "".join(f"# {line}\n" for line in head) + "\n" + settings.to_env()


def evidence_line(tail: str, row: Mapping[str, Any]) -> str:
    """What a threshold does under one tail, in a line."""
    low, high = row["false_stale_ci"]
    return (
        f"{tail}: {row['false_stale_per_node_day']:.3g} false stale per node-day (95 %: {low:.3g} to {high:.3g}), "
        f"noticed within {row['detection_p99_s']:.3g} s (p99)."
    )
