"""A recommendation in words, as JSON, and as the env file that a hub starts with."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from heartbench.benchmarks.thresholds.evidence import Evidence, settings_of
from heartbench.benchmarks.thresholds.tune import Goal, Recommendation, rows_of
from heartbench.simulator.profile import Tail
from heartbench.simulator.units import NODE_DAYS

TOLD_UNITS = ("node-day", "node-week", "node-month", "node-year")


def unit_of(per_node_day: float) -> str:
    """The unit in which a rate is one or more."""
    return next((unit for unit in TOLD_UNITS if per_node_day * NODE_DAYS[unit] >= 1 - 1e-9), TOLD_UNITS[-1])


def rate_text(per_node_day: float, unit: str) -> str:
    """A rate in `unit`: 0.143 per node-day is `1 per node-week`."""
    return f"{figure(per_node_day * NODE_DAYS[unit])} per {unit}"


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
    return (
        f"No threshold meets the goal of {asked}. {why(found)} {found.recommended_s:g} s misses it by the least: "
        f"{missed(found)}. With it: {chosen}."
    )


def chosen_label(found: Recommendation) -> str:
    """What the recommended threshold is called in tables and plots."""
    return "recommended" if found.met else "misses least"


def misses(found: Recommendation) -> dict[str, float]:
    """By what factor the recommended threshold misses each side of the goal; 1 or less: it meets it."""
    rows, goal = found.rows(found.recommended_s).values(), found.goal
    often = max(row["false_stale_ci"][1] for row in rows)
    late = max(row["detection_p99_s"] for row in rows)
    return {
        "false_stale": factor(often, goal.max_false_stale_per_node_day),
        "detection": factor(late, goal.max_detection_s),
    }


def factor(is_so: float, allowed: float) -> float:
    """How many times as much as is allowed."""
    return is_so / allowed if allowed else math.inf if is_so else 1.0


def missed(found: Recommendation) -> str:
    """What of the goal the recommended threshold misses, and by how much."""

    def told(value: float, times: str, more: str) -> str:
        return times.format(figure(max(value, 1.01))) if math.isfinite(value) else f"{more}, which is 0"

    by = misses(found)
    often = told(by["false_stale"], "{} times as often as allowed", "more often than allowed")
    late = told(by["detection"], "after {} times as long as allowed", "later than allowed")
    said = {
        "false_stale": f"false stales may come {often} (upper end of 95 %)",
        "detection": f"a dead node is noticed {late}",
    }
    return ", and ".join(text for side, text in said.items() if by[side] > 1)


def effect(found: Recommendation, stale_after_s: float) -> str:
    """What a threshold does under the tail that is worst for it."""
    tail, row = worst_row(found, stale_after_s)
    unit = goal_unit(found)
    low, high = (figure(end * NODE_DAYS[unit]) for end in row["false_stale_ci"])
    under = f", {named(tail)}" if len(found.frontiers) > 1 else ""
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
    """Return the tail under which a threshold is worst, and its figures there; of equals the worse on the whole."""

    def badness(item: tuple[str, dict[str, Any]]) -> tuple[float, float]:
        tail, row = item
        return float(row["false_stale_ci"][1]), float(found.frontiers[tail].false_stale_per_node_day.sum())

    return max(found.rows(stale_after_s).items(), key=badness)


def named(tail: str) -> str:
    """A tail as it is called in a sentence."""
    return f"{tail} tail" if tail in list(Tail) else tail


def worst_tails(found: Recommendation) -> str:
    """Under which tail both settings' figures of `worst_row` are, in brackets; nothing where there is but one."""
    worst = {s: worst_row(found, s)[0] for s in (found.current_s, found.recommended_s)}
    if len(found.frontiers) == 1:
        return ""
    if len(set(worst.values())) == 1:
        return f" ({named(worst[found.current_s])}, the worst)"
    return f" (worst tails: {', '.join(f'{tail} at {s:g} s' for s, tail in worst.items())})"


def as_json(found: Recommendation, evidence: Evidence) -> dict[str, Any]:
    """Everything in plain types; figures at the top of a row are the trace's own, `tails` holds those under each."""
    by_tail = [rows_of(frame) for frame in found.frontiers.values()]
    return {
        "schema": "heartbench.tune/1",
        "met": found.met,
        "verdict": sentence(found),
        "misses_by": None if found.met else misses(found),
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
