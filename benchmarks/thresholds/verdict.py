"""A recommendation in words, as JSON, and as the env file that a hub starts with."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from heartbench.benchmarks.thresholds.evidence import Evidence, settings_of
from heartbench.benchmarks.thresholds.tune import Goal, Recommendation, rows_of

UNIT_DAYS = {"node-day": 1.0, "node-week": 7.0, "node-month": 30.0, "node-year": 365.0}


def unit_of(per_node_day: float) -> str:
    """The unit in which a rate is one or more."""
    return next((unit for unit, days in UNIT_DAYS.items() if per_node_day * days >= 1 - 1e-9), "node-year")


def rate_text(per_node_day: float, unit: str) -> str:
    """A rate in `unit`: 0.143 per node-day is `1 per node-week`."""
    return f"{figure(per_node_day * UNIT_DAYS[unit])} per {unit}"


def figure(value: float) -> str:
    """A figure as people read it: three digits, and no powers of ten."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}" if value >= 0.001 else f"{value:.1g}"


def sentence(found: Recommendation) -> str:
    """Say whether the goal can be met, by what, and what it costs."""
    chosen, present = effect(found, found.recommended_s), effect(found, found.current_s)
    if found.met:
        return f"Set stale_after to {found.recommended_s:g} s: {chosen}. As it is, {found.current_s:g} s: {present}."
    asked = (
        f"{rate_text(found.goal.max_false_stale_per_node_day, goal_unit(found))} and {found.goal.max_detection_s:g} s"
    )
    return f"No threshold meets the goal of {asked}. {why(found)} {found.recommended_s:g} s comes nearest: {chosen}."


def effect(found: Recommendation, stale_after_s: float) -> str:
    """What a threshold does under the tail that is worst for it."""
    tail, row = worst_row(found, stale_after_s)
    unit = goal_unit(found)
    low, high = (figure(end * UNIT_DAYS[unit]) for end in row["false_stale_ci"])
    under = f", {tail} tail" if len(found.frontiers) > 1 else ""
    rate = rate_text(row["false_stale_per_node_day"], unit)
    return (
        f"{rate} falsely stale (95 %: {low} to {high}{under}), noticed within {figure(row['detection_p99_s'])} s (p99)"
    )


def goal_unit(found: Recommendation) -> str:
    """The unit of the goal, in which all rates are told."""
    return unit_of(found.goal.max_false_stale_per_node_day)


def why(found: Recommendation) -> str:
    """Say from which threshold on false stales are rare enough, and up to which a death is noticed in time."""
    frames = list(found.frontiers.values())
    thresholds = frames[0].stale_after_s
    often = pd.concat([each.false_stale_high for each in frames], axis=1).max(axis=1)
    late = pd.concat([each.detection_p99_s for each in frames], axis=1).max(axis=1)
    rare = thresholds[often <= found.goal.max_false_stale_per_node_day]
    quick = thresholds[late <= found.goal.max_detection_s]
    seen = max(each.false_stale.iloc[-1] for each in frames)
    never = "are never so rare" if seen else "cannot be shown to be so rare by so short a run"
    first = f"are rare enough only from {rare.min():g} s on" if len(rare) else never
    last = f"only up to {quick.max():g} s" if len(quick) else f"not even at {thresholds.min():g} s"
    return f"False stales {first}; a dead node is noticed in time {last}."


def worst_row(found: Recommendation, stale_after_s: float) -> tuple[str, dict[str, Any]]:
    """Return the tail under which a threshold is worst, and its figures there."""
    rows = found.rows(stale_after_s)
    return max(rows.items(), key=lambda item: float(item[1]["false_stale_ci"][1]))


def as_json(found: Recommendation, evidence: Evidence) -> dict[str, Any]:
    """Everything in plain types; figures at the top of a row are the trace's own, `tails` holds those under each."""
    by_tail = [rows_of(frame) for frame in found.frontiers.values()]
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
        "frontier": [
            setting_json(dict(zip(found.frontiers, rows, strict=True))) for rows in zip(*by_tail, strict=True)
        ],
    }


def setting_json(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """One threshold: its figures on the trace itself, and by tail."""
    return {**next(iter(rows.values())), "tails": {tail: dict(row) for tail, row in rows.items()}}


def from_json(stored: Mapping[str, Any]) -> Recommendation:
    """The recommendation that `as_json` wrote down."""
    goal = Goal(stored["goal"]["max_false_stale_per_node_day"], stored["goal"]["max_detection_s"])
    frontiers = {tail: frame_of(row["tails"][tail] for row in stored["frontier"]) for tail in stored["tails"]}
    current, recommended = stored["current"]["stale_after_s"], stored["recommended"]["stale_after_s"]
    return Recommendation(goal, stored["met"], current, recommended, frontiers)


def frame_of(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """A frontier from its rows; null is NaN again."""
    frame = pd.DataFrame([dict(row) for row in rows])
    frame[["false_stale_low", "false_stale_high"]] = frame.pop("false_stale_ci").to_list()
    return frame.astype(float)


def env_file(found: Recommendation, evidence: Evidence) -> str:
    """The hub's settings, and above them where they come from."""
    (settings,) = settings_of([found.recommended_s], evidence.hub)
    goal = found.goal
    head = [
        f"Tuned by Heartbench from {evidence.origin}.",
        f"Goal: at most {rate_text(goal.max_false_stale_per_node_day, goal_unit(found))} falsely stale, noticed within "
        f"{goal.max_detection_s:g} s (p99).",
        *(evidence_line(tail, row) for tail, row in found.rows(found.recommended_s).items()),
    ]
    return "".join(f"# {line}\n" for line in head) + "\n" + settings.to_env()


def evidence_line(tail: str, row: Mapping[str, Any]) -> str:
    """What a threshold does under one tail, in a line."""
    low, high = row["false_stale_ci"]
    rate, seconds = figure(row["false_stale_per_node_day"]), figure(row["detection_p99_s"])
    return (
        f"{tail}: {rate} false stales per node-day (95 %: {figure(low)} to {figure(high)}), noticed within {seconds} s."
    )
