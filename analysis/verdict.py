"""A recommendation in words, as JSON, and as the env file that a hub starts with."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from heartbench.analysis.assumptions import assumptions_of
from heartbench.analysis.evidence import Evidence, settings_of
from heartbench.analysis.tune import (
    DAY_H,
    FLEET,
    INTERVALS,
    Goal,
    Per,
    Recommendation,
    best_estimate,
    row_number,
    row_of,
    rows_of,
    upper_end,
)
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
    """Say whether the goal can be met, by what, what it costs, and how sure that is."""
    chosen = effect(found, found.recommended_s)
    if found.met:
        now = "" if found.current_s is None else f" As it is, {found.current_s:g} s: {effect(found, found.current_s)}."
        asked = f"at most {goal_rate(found)}, noticed within {found.goal.max_detection_s:g} s"
        return f"For {asked}: set stale_after to {found.recommended_s:g} s: {chosen}.{now} {how_sure(found)}"
    asked = f"{goal_rate(found)} and {found.goal.max_detection_s:g} s"
    return (
        f"No threshold meets the goal of {asked}. {why(found)} {found.recommended_s:g} s comes nearest: "
        f"{missed(found)}. With it: {chosen}. {how_sure(found)} {what_to_measure(found)}"
    )


def how_sure(found: Recommendation) -> str:
    """Say what the intervals hold, and what they leave out."""
    shared = f" But {found.coincidence}." if found.coincidence else ""
    return f"{interval_meaning(found)}{shared}"


def interval_meaning(found: Recommendation) -> str:
    """Say what the intervals are of."""
    _, row = found.decides(found.recommended_s)
    hours = found.hours_watched()
    if row["false_stale_network_ci"] is not None and hours is not None:
        return (
            f"The interval of the network holds 95% of the networks that fit what was seen in {figure(hours)} h of "
            "watching; that of the simulation counts only its own chance."
        )
    if hours is not None:
        return (
            f"The interval holds for the network as it was in {figure(hours)} node-hours of recording; it says nothing "
            "of outages longer than came in that time."
        )
    return (
        "This network was not observed, so nothing says how sure its figures are: the interval counts only the chance "
        "of the simulation."
    )


def what_to_measure(found: Recommendation) -> str:
    """Say how long to watch the network until the goal can be shown to be met, where that can help."""
    _, row = found.decides(found.recommended_s)
    if row["detection_p99_s"] > found.goal.max_detection_s:
        return "No threshold is quick enough, however well the network is known."
    unit, needed_h = goal_unit(found), found.hours_needed()
    best = f"The best estimate of the network at {found.recommended_s:g} s is {rate_text(best_estimate(row), unit)}"
    if needed_h is None:
        return f"{best}, which misses the goal too: if it is so, no time of watching will show that the goal is met."
    nodes = math.ceil(needed_h / DAY_H)
    time = f"{figure(needed_h)} node-hours, {nodes:,} {'node' if nodes == 1 else 'nodes'} for a day"
    what = "watching the network" if found.hours_watched() else "simulating"
    return f"{best}: if it is so, it takes about {time}, of {what} to show that the goal is met."


def chosen_label(found: Recommendation) -> str:
    """What the recommended threshold is called in tables and plots."""
    return "recommended" if found.met else "nearest"


def labelled_rows(found: Recommendation) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield both settings for each group and the fleet, as tables show them: label, whose, figures."""
    labels = {found.current_s: "now", found.recommended_s: chosen_label(found)}
    for stale_after_s in found.settings_s:
        for name, row in found.rows(stale_after_s).items():
            yield labels[stale_after_s], name, row


def missed_by(found: Recommendation) -> dict[str, float]:
    """By what factor the recommended threshold misses each side of the goal; 1 or less: it meets it."""
    place, frames, goal = row_number(found.fleet, found.recommended_s), found.judged.values(), found.goal
    often = max(float(upper_end(frame)[place]) for frame in frames)
    late = max(float(frame.detection_p99_s.iloc[place]) for frame in frames)
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
        factor = figure(value) if value >= 1.005 else "just over 1"
        return times.format(factor) if math.isfinite(value) else f"{more}, which is 0"

    by = missed_by(found)
    often = told(by["false_stale"], "{} times as often as allowed", "more often than allowed")
    late = told(by["detection"], "after {} times as long as allowed", "later than allowed")
    said = {
        "false_stale": f"false stales may come {often} (upper end of 95%)",
        "detection": f"a dead node is noticed {late}",
    }
    return ", and ".join(text for side, text in said.items() if by[side] > 1)


def effect(found: Recommendation, stale_after_s: float) -> str:
    """What a threshold does to the group that decides."""
    name, row = found.decides(stale_after_s)
    unit = goal_unit(found)
    rate, decides = figure(row["false_stale_per_node_day"] * NODE_DAYS[unit]), ""
    if len(found.groups) > 1:
        decides = " over the fleet" if name == FLEET else f" in group {name}, which decides"
    return (
        f"{rate} false stales per {unit}{decides} (95%: {intervals_text(found, row, NODE_DAYS[unit])}), "
        f"noticed within {figure(row['detection_p99_s'])} s (p99)"
    )


def intervals_text(found: Recommendation, row: Mapping[str, Any], scale: float = 1.0) -> str:
    """Both intervals of the false stales, each with its name; the network's first, if it is known."""
    named = {"network": row["false_stale_network_ci"], counted_in(found): row["false_stale_ci"]}
    return ", ".join(f"{interval_text(ends, scale)} of the {name}" for name, ends in named.items() if ends is not None)


def counted_in(found: Recommendation) -> str:
    """What the false stales were counted in."""
    return "recording" if found.recorded else "simulation"


def interval_text(ends: Sequence[float] | None, scale: float = 1.0) -> str:
    """An interval as people read it; a dash if it is not known."""
    return "–" if ends is None else f"{figure(ends[0] * scale)} to {figure(ends[1] * scale)}"


def deciding_interval(row: Mapping[str, Any]) -> Sequence[float]:
    """The interval by which a threshold is chosen: of the network, or of the simulation if that is not known."""
    interval: Sequence[float] = row["false_stale_network_ci"] or row["false_stale_ci"]
    return interval


def goal_unit(found: Recommendation) -> str:
    """The unit of the goal, in which all rates are told."""
    return unit_of(found.goal.max_false_stale_per_node_day)


def goal_rate(found: Recommendation) -> str:
    """The false stales that are allowed."""
    return rate_text(found.goal.max_false_stale_per_node_day, goal_unit(found))


def goal_text(found: Recommendation) -> str:
    """What was asked."""
    by = "by each group of nodes, " if found.per is Per.GROUP and len(found.groups) > 1 else ""
    rate, seconds = goal_rate(found), f"{found.goal.max_detection_s:g} s"
    return f"{by}at most {rate} called stale while alive, and dead nodes noticed within {seconds} (p99)"


def why(found: Recommendation) -> str:
    """Say from which threshold on false stales are rare enough, and up to which a death is noticed in time."""
    frames = list(found.judged.values())
    thresholds = found.fleet.stale_after_s
    often = np.max([upper_end(each) for each in frames], axis=0)
    late = np.max([each.detection_p99_s for each in frames], axis=0)
    rare = thresholds[often <= found.goal.max_false_stale_per_node_day]
    quick = thresholds[late <= found.goal.max_detection_s]
    first = f"only from {rare.min():g} s on" if len(rare) else f"at no threshold up to {thresholds.max():g} s"
    last = f"only up to {quick.max():g} s" if len(quick) else f"not even at {thresholds.min():g} s"
    return f"False stales can be said to be rare enough {first}; a dead node is noticed in time {last}."


def decided_by(found: Recommendation) -> str:
    """Say of which nodes the figures of both settings are, in brackets; nothing if there is but one group."""
    if len(found.groups) == 1:
        return ""
    names = {s: found.decides(s)[0] for s in found.settings_s}
    if set(names.values()) == {FLEET}:
        return " (over the fleet)"
    if len(set(names.values())) == 1:
        return f" (group {names[found.recommended_s]}, which decides)"
    return f" ({', '.join(f'group {name} at {s:g} s' for s, name in names.items())})"


def as_json(found: Recommendation, evidence: Evidence) -> dict[str, Any]:
    """Everything in plain types; `current` and `recommended` hold the figures of the group that decides."""
    return {
        "schema": "heartbench.tune/2",
        "met": found.met,
        "verdict": sentence(found),
        "misses_by": None if found.met else missed_by(found),
        "goal": {
            "max_false_stale_per_node_day": found.goal.max_false_stale_per_node_day,
            "max_detection_s": found.goal.max_detection_s,
        },
        "per": str(found.per),
        "recorded": found.recorded,
        "source": str(evidence.source),
        "seed": evidence.seed,
        "hours_watched": found.hours_watched(),
        "hours_needed": found.hours_needed(),
        "current": None if found.current_s is None else deciding_json(found, found.current_s),
        "recommended": deciding_json(found, found.recommended_s),
        "groups": {
            name: {**both_settings(found, frame), "hours_watched": found.hours.get(name), "frontier": rows_of(frame)}
            for name, frame in found.groups.items()
        },
        "fleet": both_settings(found, found.fleet),
        "frontier": rows_of(found.fleet),
        "coincidence": found.coincidence,
        "assumptions": [asdict(each) for each in assumptions_of(evidence)],
    }


def deciding_json(found: Recommendation, stale_after_s: float) -> dict[str, Any]:
    """The figures of a threshold for the group that decides, and its name; None if the whole fleet does."""
    name, row = found.decides(stale_after_s)
    return {**row, "group": None if name == FLEET else name}


def both_settings(found: Recommendation, frame: pd.DataFrame) -> dict[str, Any]:
    """The figures of the threshold as it is and of the recommended one."""
    current = None if found.current_s is None else row_of(frame, found.current_s)
    return {"current": current, "recommended": row_of(frame, found.recommended_s)}


def from_json(stored: Mapping[str, Any]) -> Recommendation:
    """The recommendation that `as_json` wrote down."""
    current = stored["current"]
    return Recommendation(
        goal=Goal(stored["goal"]["max_false_stale_per_node_day"], stored["goal"]["max_detection_s"]),
        per=Per(stored["per"]),
        met=stored["met"],
        current_s=None if current is None else current["stale_after_s"],
        recommended_s=stored["recommended"]["stale_after_s"],
        fleet=frame_of(stored["frontier"]),
        groups={name: frame_of(group["frontier"]) for name, group in stored["groups"].items()},
        hours={name: group["hours_watched"] for name, group in stored["groups"].items() if group["hours_watched"]},
        coincidence=stored["coincidence"],
        recorded=stored["recorded"],
    )


def frame_of(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """A frontier from its rows; null is NaN again."""
    frame = pd.DataFrame([dict(row) for row in rows])
    for name in INTERVALS:
        ends = [(math.nan, math.nan) if interval is None else interval for interval in frame.pop(f"{name}_ci")]
        frame[[f"{name}_low", f"{name}_high"]] = ends
    return frame.astype(float)


def env_file(found: Recommendation, evidence: Evidence) -> str:
    """The hub's settings, and above them where they come from and what they rest on."""
    (settings,) = settings_of([found.recommended_s], evidence.hub)
    head = [
        f"Tuned by Heartbench from {evidence.origin}.",
        f"Goal: {goal_text(found)}.",
        *(evidence_line(found, name, row) for name, row in found.rows(found.recommended_s).items()),
        how_sure(found),
        *(f"Assumed: {each.line()}." for each in assumptions_of(evidence)),
    ]
    return "".join(f"# {line}\n" for line in head) + "\n" + settings.to_env()


def evidence_line(found: Recommendation, name: str, row: Mapping[str, Any]) -> str:
    """What a threshold does to some nodes, in a line."""
    rate, seconds = figure(row["false_stale_per_node_day"]), figure(row["detection_p99_s"])
    return f"{name}: {rate} false stales per node-day (95%: {intervals_text(found, row)}), noticed within {seconds} s."
