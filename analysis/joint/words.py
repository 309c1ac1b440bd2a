"""What a search found, as table, sentences and JSON."""

import math
import re
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from heartbench.analysis.assumptions import assumptions_of
from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.evidence import Evidence
from heartbench.analysis.goals import unit_of
from heartbench.analysis.joint.choice import Option, Space
from heartbench.analysis.joint.knobs import Knob, NodeSetting
from heartbench.analysis.joint.search import Found
from heartbench.analysis.tune import DAY_H
from heartbench.analysis.verdict import figure, interval_text, single_heartbeat
from heartbench.hub import HubSettings
from heartbench.simulator.units import NODE_DAYS

BYTES = {"b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9}
NAMES = {
    Knob.INTERVAL: "interval",
    Knob.KEEPALIVE: "keepalive",
    Knob.USER_TIMEOUT: "timeout",
    Knob.RECONNECT: "backoff",
}


def parse_bytes(text: str, key: str) -> float:
    """Return a number of bytes: `2MB`, `800kB`, `1500000`; raise AnalysisError if it is none."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?b)?", text.strip().lower())
    if match and float(match[1]) > 0:
        return float(match[1]) * BYTES[match[2] or "b"]
    raise AnalysisError(f'{key}: "{text}" is not a number of bytes above 0; expected such as 800kB, 2MB or 1GB')


def bytes_text(value: float) -> str:
    """Return a number of bytes with three digits; a dash if it is not known."""
    if not math.isfinite(value):
        return "–"
    unit, size = next(
        ((unit, size) for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)) if value >= size), ("B", 1)
    )
    return f"{value / size:.3g} {unit}"


def hub_text(hub: HubSettings, free: frozenset[Knob]) -> str:
    """Return the hub's part of a setting."""
    text = f"{hub.stale_after_s:g} s" if hub.has_one_timeout else hub.detector
    rule = f"window of {hub.flap_window_s:g} s" if hub.flap_rule == "window" else hub.flap_rule
    return f"{text}, {rule}" if Knob.FLAPS in free else text


def node_text(node: NodeSetting, free: frozenset[Knob]) -> str:
    """Return the nodes' part of a setting: the knobs that are free."""
    parts = []
    for knob, name in NAMES.items():
        value_s = node.value(knob)
        if knob in free and value_s is not None:
            off = "none" if knob is Knob.USER_TIMEOUT else "off"
            parts.append(f"{name} {f'{value_s:g} s' if value_s else off}")
    return ", ".join(parts) or "as they are"


def labelled(found: Found) -> Iterator[tuple[str, Option]]:
    """Yield the settings that the table shows, with their labels."""
    yield "current", found.current
    if found.threshold_alone and len(found.space.nodes) > 1:
        yield "hub alone", found.threshold_alone
    yield "recommended" if found.met else "closest", found.recommended
    if found.next_best:
        yield "next best", found.next_best
    if found.thrifty and found.thrifty.traffic != found.recommended.traffic:
        yield "least traffic", found.thrifty
    for share in found.shares:
        if share.without:
            yield f"without {share.knob}", share.without
        if share.alone:
            yield f"only {share.knob}", share.alone


def table_rows(found: Found) -> Iterator[tuple[str, ...]]:
    """Yield the cells of the table."""
    for label, option in labelled(found):
        row, free = option.figures, found.question.free
        yield (
            label,
            hub_text(option.hub, free),
            node_text(option.node, free),
            figure(row.false_stale_per_node_day),
            interval_text(row.false_stale_network_ci),
            interval_text(row.false_stale_ci),
            f"{figure(row.detection_p99_s)} s",
            figure(row.flashes_per_hour * DAY_H),
            bytes_text(option.traffic.bytes_per_node_day),
        )


def verdict(found: Found) -> str:
    """Return what to set, what to expect, and what it is now."""
    option = found.recommended
    interval_s = option.node.interval_s or found.longest_interval_s
    what = hub_text(option.hub, found.question.free) + at_the_nodes(found, option)
    single = single_heartbeat(option.hub.stale_after_s, interval_s) if option.hub.has_one_timeout else ""
    if not found.met:
        closest = f"The closest is {what}: {expected(found, option)}.{single}"
        return f"No setting meets the goal of {goal_text(found)}. {closest}"
    return (
        f"Set the hub to {what}, to meet the goal of {goal_text(found)}. Expected: {expected(found, option)}.{single} "
        f"Currently: {expected(found, found.current)}."
    )


def at_the_nodes(found: Found, option: Option) -> str:
    """Return the nodes' part of a setting as it follows the hub's; empty if none of it is free."""
    return f", with {node_text(option.node, found.question.free)} at the nodes" if found.question.of_nodes else ""


def goal_text(found: Found) -> str:
    """Return the limits."""
    goal, limit = found.question.goal, found.space.limits.max_bytes_per_node_day
    unit = unit_of(goal)
    text = (
        f"at most {figure(goal.max_false_stale_per_node_day * NODE_DAYS[unit])} false stales per {unit} and a "
        f"detection time (p99) of at most {goal.max_detection_s:g} s"
    )
    if math.isinf(limit):
        return text
    why = ", twice the current" if found.question.max_bytes_per_node_day is None else ""
    return f"{text}, with at most {bytes_text(limit)} per node-day{why}"


def expected(found: Found, option: Option) -> str:
    """Return the figures of a setting in words."""
    row, unit = option.figures, unit_of(found.question.goal)
    scale = NODE_DAYS[unit]
    ends = {"network": row.false_stale_network_ci, "simulation": row.false_stale_ci}
    intervals = ", ".join(f"{interval_text(each, scale)} for the {name}" for name, each in ends.items() if each)
    traffic = option.traffic.bytes_per_node_day
    sent = "" if math.isnan(traffic) else f", {bytes_text(traffic)} per node-day"
    group = f" in {option.group}" if len(found.space.judged[0].frames) > 1 else ""
    return (
        f"{figure(row.false_stale_per_node_day * scale)} false stales per {unit}{group} (95%: {intervals}), detection "
        f"time {figure(row.detection_p99_s)} s (p99){sent}"
    )


def lines_after(found: Found) -> Iterator[str]:
    """Yield the sentences below the table."""
    yield verdict(found)
    yield how_sure(found)
    yield from out_of_sample(found)
    if found.question.of_nodes:
        thresholds = sum(hub.has_one_timeout for hub in found.space.judged[0].hubs)
        yield (
            f"Searched {len(found.space.nodes)} of {found.possible} settings of the nodes, each under {thresholds} "
            f"{'threshold' if thresholds == 1 else 'thresholds'}; {len(found.space.front())} pairs of a setting of the "
            "hub and one of the nodes are on the front."
        )
    for knob, reason in found.stuck.items():
        yield f"{knob}: only the current value was tried, because no other fits: {reason}."
    for share in found.shares:
        if share.reason:
            yield f"{share.knob}: cannot be changed alone; {share.reason}."
    yield from flap_lines(found)


def how_sure(found: Found) -> str:
    """Return what the intervals cover; of a fleet, how long the least observed of its networks was observed."""
    shared = f" But {found.coincidence}." if found.coincidence else ""
    if found.recommended.figures.false_stale_network_ci is None:
        covered = "No network interval is known: the interval covers only the randomness of the simulation."
        return covered + shared
    hours = found.space.judged[0].hours
    watched = hours.get(found.recommended.group, min(hours.values()))
    return (
        f"The network interval covers 95% of the networks that fit {figure(watched)} h of observation, and decides "
        f"whether the goal is met; the simulation interval covers only the randomness of the simulation.{shared}"
    )


def out_of_sample(found: Found) -> Iterator[str]:
    """Yield what half of the nodes in half of the time would choose, and the other half's counts."""
    if found.held_out is None:
        return
    held, free = found.held_out, found.question.free - {Knob.FLAPS}
    yield (
        "Out of sample: with the false stales of half of the nodes in the first half of the time, and all else as "
        f"above, the choice would be {hub_text(held.hub, free)}{at_the_nodes(found, held)}. There it has "
        f"{halves_text(held)}."
    )
    if held.halves != found.recommended.halves:
        yield f"The {'recommended' if found.met else 'closest'} setting has {halves_text(found.recommended)}."


def halves_text(option: Option) -> str:
    """Return the counts in both halves."""
    half = option.halves
    return (
        f"{figure(half['half_rate'])} false stales per node-day, and in the other half of the nodes and of the time "
        f"{figure(half['other_rate'])} (95%: {figure(half['other_low'])} to {figure(half['other_high'])})"
    )


def flap_lines(found: Found) -> Iterator[str]:
    """Yield what each flap rule shows and hides at the recommended setting."""
    if found.flaps is None:
        return
    if found.flaps.reason:
        yield f"Flap rule: not searched, because {found.flaps.reason}."
    for hub, effect in found.flaps.tried:
        chosen = ", chosen" if hub == found.flaps.hub else ""
        rule = hub_text(hub, frozenset({Knob.FLAPS})).partition(", ")[2]
        yield (
            f"  Flap rule {rule}: {effect.shown_per_hour:.3g} of {effect.changes_per_hour:.3g} changes per hour "
            f"visible, {effect.stale_delayed:.2%} of true stale marks hidden at first{chosen}"
        )


def assumption_lines(found: Found, evidence: Evidence) -> list[str]:
    """Return the assumptions, one line each."""
    lines = [each.line() for each in assumptions_of(evidence)]
    if found.question.simulates and evidence.is_live:
        lines.append("live run: its scenario was simulated, so all figures, the current ones too, are simulated")
    if not found.question.of_nodes:
        return lines
    pings = found.question.permitted_ping_s
    permitted = (
        f"one in {pings:g} s; --permitted-pings"
        if pings
        else "any number, as Heartbench's hub; a gRPC server by default permits one in 300 s without data"
    )
    return [
        *lines,
        "traffic: IP packets of the nodes' connections, up and down, lost ones too, without TLS, and without a VPN "
        "unless the scenario has a tunnel; per simulated node-day, while false stales are per node-day up; counted in "
        "the simulation",
        "user timeout: gRPC's keepalive timeout, which it sets as TCP_USER_TIMEOUT on Linux; gRPC",
        f"pings that the hub permits: {permitted}",
    ]


def as_json(found: Found, evidence: Evidence) -> dict[str, Any]:
    """Return all of it as JSON."""
    space = found.space
    limit = space.limits.max_bytes_per_node_day
    return {
        "schema": "heartbench.tune-free/1",
        "met": found.met,
        "verdict": verdict(found),
        "free": sorted(found.question.free),
        "goal": {**asdict(found.question.goal), "max_bytes_per_node_day": limit if math.isfinite(limit) else None},
        "per": str(found.question.per),
        "source": str(evidence.source),
        "seed": evidence.seed,
        "current": option_json(found.current),
        "hub_alone": found.threshold_alone and option_json(found.threshold_alone),
        "recommended": option_json(found.recommended),
        "next_best": found.next_best and option_json(found.next_best),
        "least_traffic": found.thrifty and option_json(found.thrifty),
        "contributions": {
            str(share.knob): {
                "without": share.without and option_json(share.without),
                "alone": share.alone and option_json(share.alone),
                "reason": share.reason or None,
            }
            for share in found.shares
        },
        "out_of_sample": found.held_out
        and {
            "setting": option_json(found.held_out),
            **found.held_out.halves,
            "recommended": found.recommended.halves,
        },
        "searched": {"node_settings": len(space.nodes), "of": found.possible, "rows": len(space.rows)},
        "not_searched": {str(knob): reason for knob, reason in found.stuck.items()},
        "front": front_json(space),
        "assumptions": assumption_lines(found, evidence),
    }


def front_json(space: Space) -> list[dict[str, Any]]:
    """Return the settings of the front, each with what it is on the front for."""
    found = []
    for row, node, hub in space.front():
        upper, detection_s, sent = (float(space.rows[name].iloc[row]) for name in ("upper", "detection_s", "bytes"))
        found.append(
            {
                "stale_after_s": hub.stale_after_s if hub.has_one_timeout else None,
                "detector": hub.detector,
                "node": asdict(node),
                "false_stale_upper_per_node_day": upper,
                "detection_p99_s": detection_s,
                "bytes_per_node_day": sent,
            }
        )
    return found


def option_json(option: Option) -> dict[str, Any]:
    """Return one setting: what to set at the hub and at the nodes, and its figures."""
    hub, traffic = option.hub, option.traffic
    names = ("stale_after_s", "detector", "flap_rule", "flap_window_s", "flap_threshold", "flap_exit", "hold_down")
    return {
        "hub": {name: getattr(hub, name) for name in names},
        "node": asdict(option.node),
        "met": option.met,
        "group": option.group,
        **asdict(option.figures),
        "flashes_per_day": option.figures.flashes_per_hour * DAY_H,
        "bytes_per_node_day": traffic.bytes_per_node_day,
        "traffic": asdict(traffic),
    }
