"""A recommendation in words, as JSON, and as the env file that a hub starts with."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from heartbench.analysis import tune
from heartbench.analysis.assumptions import assumptions_of
from heartbench.analysis.evidence import Evidence, settings_at
from heartbench.analysis.goals import goal_from_json, goal_json, unit_of
from heartbench.analysis.readings import reading_named
from heartbench.analysis.tail_assumptions import tail_assumptions
from heartbench.analysis.tune import FLEET, INTERVALS, Interval, Recommendation, ThresholdFigures
from heartbench.simulator.units import NODE_DAYS


def figure(value: float) -> str:
    """Return a figure with three digits and without powers of ten."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}" if value >= 0.001 else f"{value:.1g}"


def sentence(found: Recommendation) -> str:
    """Return the recommendation in words: what to set, its effect, and how certain that is."""
    chosen = effect(found, found.recommended_s)
    if found.met:
        current = (
            "" if found.current_s is None else f" Currently ({found.current_s:g} s): {effect(found, found.current_s)}."
        )
        return (
            f"Set stale_after to {found.recommended_s:g} s to meet the goal of {goal_limits(found)}. Expected: "
            f"{chosen}.{single_heartbeat(found.recommended_s, found.interval_s)}{current} {how_sure(found)}"
        )
    return (
        f"No threshold meets the goal of {goal_limits(found)}. {why(found)} {found.recommended_s:g} s comes closest: "
        f"{missed(found)}. Expected: {chosen}.{single_heartbeat(found.recommended_s, found.interval_s)} "
        f"{how_sure(found)} {what_to_measure(found)}"
    )


def single_heartbeat(stale_after_s: float, interval_s: float | None) -> str:
    """Return that a threshold allows no heartbeat to be missing; empty if it does, or the interval is not known."""
    if interval_s is None or stale_after_s >= 2 * interval_s:
        return ""
    return (
        f" {stale_after_s:g} s is less than two heartbeat intervals of {interval_s:g} s, so a single "
        "heartbeat that is lost or late can mark a node stale."
    )


def how_sure(found: Recommendation) -> str:
    """Return what the intervals cover and what they leave out."""
    _, row = found.decides(found.recommended_s)
    hours = found.hours_watched()
    shared = f" But {found.coincidence}." if found.coincidence else ""
    if hours is None:
        covered = (
            "No outages of this network were counted, so long thresholds cannot be tuned for it: the uncertainty about "
            "it is unknown, and the interval covers only the randomness of the simulation."
        )
    elif row.false_stale_network_ci is not None:
        rest = "the network as it was recorded" if found.recorded else "the randomness of the simulation"
        covered = (
            f"The network interval covers 95% of the networks that fit {figure(hours)} h of observation; the "
            f"{counted_in(found)} interval covers only {rest}."
        )
    else:
        covered = (
            f"The interval covers the network as it was during {figure(hours)} node-hours of recording; it does not "
            "cover outages longer than those recorded."
        )
    return covered + shared + worst_reading(found)


def worst_reading(found: Recommendation) -> str:
    """Return which reading of the log the figures are of; empty if there is only one."""
    if not found.readings:
        return ""
    met = sum(each.met for each in found.readings.values())
    other = "" if found.met or not met else f" The answer depends on it: in {met} of them, a threshold meets the goal."
    return (
        f" The log can be read in {len(found.readings)} ways; these are the figures of the worst, in which "
        f"{reading_named(found.reading).meaning}.{other}"
    )


def reading_lines(found: Recommendation) -> list[str]:
    """Return each reading of a log with its false stales at the recommended threshold, and what it would recommend."""
    unit, lines = unit_of(found.goal), []
    for name, each in found.readings.items():
        _, row = each.decides(found.recommended_s)
        rate = figure(row.false_stale_per_node_day * NODE_DAYS[unit])
        own = f"{each.recommended_s:g} s meets the goal" if each.met else "no threshold meets the goal"
        lines.append(
            f"{reading_named(name).meaning}: at {found.recommended_s:g} s {rate} false stales per {unit} (95%: "
            f"{intervals_text(found, row, NODE_DAYS[unit])}); {own}"
        )
    return lines


def what_to_measure(found: Recommendation) -> str:
    """Return how long to observe the network to show that the goal is met, or why that would not help."""
    _, row = found.decides(found.recommended_s)
    if row.detection_p99_s > found.goal.max_detection_s:
        return "No threshold detects failures fast enough, however well the network is known."
    unit, needed_h = unit_of(found.goal), found.hours_needed()
    rate = figure(row.best_estimate * NODE_DAYS[unit])
    best = f"The best estimate for the network at {found.recommended_s:g} s is {rate} per {unit}"
    if needed_h is None:
        return (
            f"{best}, which misses the goal too; if it is right, no amount of observation will show that the goal is "
            "met."
        )
    nodes = math.ceil(needed_h / tune.DAY_H)
    effort = f"{figure(needed_h)} node-hours ({nodes:,} {'node' if nodes == 1 else 'nodes'} for a day)"
    what = "observing the network" if found.hours_watched() else "simulation"
    return f"{best}; if it is right, about {effort} of {what} will show that the goal is met."


def chosen_label(found: Recommendation) -> str:
    """Return the label of the recommended threshold in tables and plots."""
    return "recommended" if found.met else "closest"


def labelled_rows(found: Recommendation) -> Iterator[tuple[str, str, ThresholdFigures]]:
    """Yield the rows of tables: label of the setting, name of the group or fleet, figures."""
    labels = {found.current_s: "current", found.recommended_s: chosen_label(found)}
    for stale_after_s in found.settings_s:
        for name, row in found.rows(stale_after_s).items():
            yield labels[stale_after_s], name, row


def missed_by(found: Recommendation) -> dict[str, float]:
    """Return the ratio of the recommended threshold to each side of the goal; at most 1 if that side is met."""
    place, frames, goal = tune.row_number(found.fleet, found.recommended_s), found.judged.values(), found.goal
    often = max(float(tune.upper_end(frame)[place]) for frame in frames)
    late = max(float(frame.detection_p99_s.iloc[place]) for frame in frames)
    return {
        side: value / limit if limit else math.inf if value else 1.0
        for side, value, limit in (
            ("false_stale", often, goal.max_false_stale_per_node_day),
            ("detection", late, goal.max_detection_s),
        )
    }


def missed(found: Recommendation) -> str:
    """Return which sides of the goal the recommended threshold misses, and by how much."""

    def excess(multiple: float) -> str:
        if math.isinf(multiple):
            return "above the goal of 0"
        return f"{figure(multiple)} times the goal" if multiple >= 1.005 else "just above the goal"

    by = missed_by(found)
    sides = {
        "false_stale": f"false stales may be {excess(by['false_stale'])} (upper end of the 95% interval)",
        "detection": f"the detection time is {excess(by['detection'])}",
    }
    return ", and ".join(text for side, text in sides.items() if by[side] > 1)


def effect(found: Recommendation, stale_after_s: float) -> str:
    """Return the figures of a threshold for the deciding group, in words."""
    name, row = found.decides(stale_after_s)
    unit = unit_of(found.goal)
    rate, decides = figure(row.false_stale_per_node_day * NODE_DAYS[unit]), ""
    if len(found.groups) > 1:
        decides = " over the fleet" if name == FLEET else f" in group {name}, which decides"
    return (
        f"{rate} false stales per {unit}{decides} (95%: {intervals_text(found, row, NODE_DAYS[unit])}), "
        f"detection time {figure(row.detection_p99_s)} s (p99)"
    )


def intervals_text(found: Recommendation, row: ThresholdFigures, scale: float = 1.0) -> str:
    """Return both intervals of the false stales with their names; the network's first, if it is known."""
    named = {"network": row.false_stale_network_ci, counted_in(found): row.false_stale_ci}
    return ", ".join(f"{interval_text(ends, scale)} for the {name}" for name, ends in named.items() if ends is not None)


def counted_in(found: Recommendation) -> str:
    """Return what the false stales were counted in."""
    return "recording" if found.recorded else "simulation"


def interval_text(ends: Interval | None, scale: float = 1.0) -> str:
    """Return an interval as text; a dash if it is not known."""
    return "–" if ends is None else f"{figure(ends[0] * scale)} to {figure(ends[1] * scale)}"


def goal_limits(found: Recommendation) -> str:
    """Return both limits of the goal."""
    unit = unit_of(found.goal)
    rate = figure(found.goal.max_false_stale_per_node_day * NODE_DAYS[unit])
    return (
        f"at most {rate} false {'stale' if rate == '1' else 'stales'} per {unit} and a detection time (p99) of at most "
        f"{found.goal.max_detection_s:g} s"
    )


def goal_text(found: Recommendation) -> str:
    """Return the goal, and whether it holds for each group."""
    return ("for each group of nodes, " if found.per is tune.Per.GROUP and len(found.groups) > 1 else "") + goal_limits(
        found
    )


def why(found: Recommendation) -> str:
    """Return the range of thresholds that meets each side of the goal."""
    frames = list(found.judged.values())
    thresholds = found.fleet.stale_after_s
    rates = np.max([tune.upper_end(each) for each in frames], axis=0)
    detection_s = np.max([each.detection_p99_s for each in frames], axis=0)
    rare = thresholds[rates <= found.goal.max_false_stale_per_node_day]
    fast = thresholds[detection_s <= found.goal.max_detection_s]
    first = f"only from {rare.min():g} s" if len(rare) else f"at no threshold up to {thresholds.max():g} s"
    last = f"only up to {fast.max():g} s" if len(fast) else f"not even at {thresholds.min():g} s"
    return f"False stales are reliably rare enough {first}; detection is fast enough {last}."


def decided_by(found: Recommendation) -> str:
    """Return, in brackets, which nodes the figures of both settings describe; empty if there is only one group."""
    if len(found.groups) == 1:
        return ""
    names = {s: found.decides(s)[0] for s in found.settings_s}
    if set(names.values()) == {FLEET}:
        return " (over the fleet)"
    if len(set(names.values())) == 1:
        return f" (group {names[found.recommended_s]}, which decides)"
    return f" ({', '.join(f'group {name} at {s:g} s' for s, name in names.items())})"


def as_json(found: Recommendation, evidence: Evidence) -> dict[str, Any]:
    """Return the recommendation as JSON; `current` and `recommended` hold the figures of the deciding group."""
    return {
        "schema": "heartbench.tune/2",
        "met": found.met,
        "verdict": sentence(found),
        "misses_by": None if found.met else missed_by(found),
        "goal": goal_json(found.goal),
        "per": str(found.per),
        "recorded": found.recorded,
        "heartbeat_interval_s": found.interval_s,
        "source": str(evidence.source),
        "seed": evidence.seed,
        "hours_watched": found.hours_watched(),
        "hours_needed": found.hours_needed(),
        "current": None if found.current_s is None else deciding_json(found, found.current_s),
        "recommended": deciding_json(found, found.recommended_s),
        "groups": {
            name: {
                **both_settings(found, frame),
                "hours_watched": found.hours.get(name),
                "frontier": frontier_json(frame),
            }
            for name, frame in found.groups.items()
        },
        "fleet": both_settings(found, found.fleet),
        "frontier": frontier_json(found.fleet),
        "coincidence": found.coincidence,
        "reading": found.reading or None,
        "readings": {name: reading_json(found, each) for name, each in found.readings.items()} or None,
        "assumptions": [asdict(each) for each in (*assumptions_of(evidence), *tail_assumptions(found))],
    }


def reading_json(found: Recommendation, each: Recommendation) -> dict[str, Any]:
    """Return what one reading of a log recommends, and its figures of the settings that all readings together have."""
    return {
        "met": each.met,
        "recommended": deciding_json(each, each.recommended_s),
        "current": None if each.current_s is None else deciding_json(each, each.current_s),
        "at_recommended": deciding_json(each, found.recommended_s),
    }


def frontier_json(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the figures of each threshold."""
    return [asdict(each) for each in tune.figures_of(frame)]


def deciding_json(found: Recommendation, stale_after_s: float) -> dict[str, Any]:
    """Return the figures of a threshold for the deciding group, and its name (None: the whole fleet)."""
    name, row = found.decides(stale_after_s)
    return {**asdict(row), "group": None if name == FLEET else name}


def both_settings(found: Recommendation, frame: pd.DataFrame) -> dict[str, Any]:
    """Return the figures of the current and the recommended threshold."""
    current = None if found.current_s is None else asdict(tune.figures_at(frame, found.current_s))
    return {"current": current, "recommended": asdict(tune.figures_at(frame, found.recommended_s))}


def from_json(stored: Mapping[str, Any]) -> Recommendation:
    """Return the recommendation that `as_json` wrote."""
    current = stored["current"]
    return Recommendation(
        goal=goal_from_json(stored["goal"]),
        per=tune.Per(stored["per"]),
        met=stored["met"],
        current_s=None if current is None else current["stale_after_s"],
        recommended_s=stored["recommended"]["stale_after_s"],
        fleet=frame_of(stored["frontier"]),
        groups={name: frame_of(group["frontier"]) for name, group in stored["groups"].items()},
        hours={name: group["hours_watched"] for name, group in stored["groups"].items() if group["hours_watched"]},
        coincidence=stored["coincidence"],
        recorded=stored["recorded"],
        interval_s=stored.get("heartbeat_interval_s"),
    )


def frame_of(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a frontier from its rows; null becomes NaN."""
    frame = pd.DataFrame([dict(row) for row in rows])
    for name in INTERVALS:
        ends = [(math.nan, math.nan) if interval is None else interval for interval in frame.pop(f"{name}_ci")]
        frame[[f"{name}_low", f"{name}_high"]] = ends
    return frame.astype(float)


def env_file(found: Recommendation, evidence: Evidence) -> str:
    """Return the hub's settings as an env file that begins with their source and assumptions."""
    settings = settings_at(found.recommended_s, evidence.hub)
    head = [
        f"Tuned by Heartbench from {evidence.origin}.",
        f"Goal: {goal_text(found)}.",
        *(
            f"{name}: {figure(row.false_stale_per_node_day)} false stales per node-day (95%: "
            f"{intervals_text(found, row)}), detection time {figure(row.detection_p99_s)} s (p99)."
            for name, row in found.rows(found.recommended_s).items()
        ),
        how_sure(found),
        *(f"If {line}." for line in reading_lines(found)),
        *(f"Assumption: {each.line()}." for each in (*assumptions_of(evidence), *tail_assumptions(found))),
    ]
    return "".join(f"# {line}\n" for line in head) + "\n" + settings.to_env()
