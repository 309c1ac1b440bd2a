"""The judgement of `watch` in words, and as JSON (`heartbench.watch/1`)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import isinf
from typing import Any

from heartbench.analysis.assumptions import assumptions_of
from heartbench.analysis.evidence import Evidence
from heartbench.analysis.imported_assumptions import length, moment, some, spans
from heartbench.analysis.promise.chart import Rate
from heartbench.analysis.promise.counts import Counts
from heartbench.analysis.promise.judgement import Judgement, Promise, Verdict
from heartbench.analysis.promise.looks import readings_of
from heartbench.analysis.promise.shifts import Kind, Shift, rate_from
from heartbench.analysis.verdict import figure, interval_text

SCHEMA = "heartbench.watch/1"
SHARED = (
    "power losses",
    "end",
    "silent at the end",
    "restarts of nodes",
    "gaps left out",
    "hub",
    "hub down",
    "gaps",
    "note",
)
"""Names of assumptions about a log that hold here too."""
Clock = Callable[[float], str]
"""Returns a time of the log, s after its start, for people."""


def clock_of(evidence: Evidence) -> Clock:
    """Return the clock of a log: its dates, or the time after its start if it has none."""
    record, trace = evidence.record, evidence.imported
    if record is None or trace is None or not record.origin_unix_s:
        return lambda at_s: f"{length(at_s)} after the start"
    begin_s = trace.begin_s
    return lambda at_s: moment(record, begin_s + at_s)


def unix_s(evidence: Evidence, at_s: float) -> float | None:
    """Return the Unix time of a time of the log, s after its start; None if the log has no dates."""
    record, trace = evidence.record, evidence.imported
    known = record is not None and trace is not None and record.origin_unix_s
    return record.origin_unix_s + trace.begin_s + at_s if known and record and trace else None


def title(found: Judgement, evidence: Evidence) -> str:
    """Return what was judged: the source, the recent part, and the setting."""
    counts, clock = found.counts, clock_of(evidence)
    starts_s, end_s = counts.split * counts.block_s, counts.up_days.shape[1] * counts.block_s
    threshold = evidence.current_s
    setting = "the hub's detector" if threshold is None else f"stale_after {threshold:g} s"
    return f"{evidence.source}, {setting}, the last {length(end_s - starts_s)} until {clock(end_s)}"


def rows(found: Judgement, goal: float) -> list[tuple[str, ...]]:
    """Return the cells of each promise: group, false stales, rate, interval, goal and verdict."""
    return [
        (each.group, f"{each.false_stale:,}", figure(each.per_node_day), interval_text(each.interval), figure(goal),
         each.verdict.value)
        for each in found.promises
    ]  # fmt: skip


def lines(found: Judgement, clock: Clock, profile: str | None) -> Iterator[str]:
    """Yield what was found, one line per finding."""
    worst = next((each for each in found.promises if each.verdict is found.promise), None)
    yield f"setting: {found.promise}{setting_text(worst)}"
    yield f"network: {found.network}{network_text(found, profile)}"
    for each in found.shifts:
        yield f"  {shift_text(found.counts, each, clock)}"
    yield f"fleet: {found.fleet_changed}{fleet_text(found)}"
    if found.fleet.restarts:
        yield f"  {shift_text(found.counts, found.fleet.restarts, clock)}"


def setting_text(worst: Promise | None) -> str:
    """Return why the verdict about the setting is what it is; None: no node was up."""
    if worst is None:
        return ": no node was up in the recent part"
    reasons = {
        Verdict.KEPT: ": the whole interval is within the goal",
        Verdict.BROKEN: ": the whole interval is above the goal",
        Verdict.UNSURE: ": the goal is within the interval",
    }
    return f"{reasons[worst.verdict]} ({worst.group})"


def network_text(found: Judgement, profile: str | None) -> str:
    """Return what the network was compared with, and what a look could see."""
    if found.before is None:
        return ": the log has no earlier part to compare with; a longer log or --profile gives one"
    counts = found.counts
    source = f"profile {profile}" if profile else "the log before"
    text = f": {figure(rate_from(counts, Kind.LONG, counts.split))} long gaps per node-day; {rate_text(found.before)} "
    text += f"by {source}"
    if found.network is Verdict.CHANGED:
        return text
    if found.disputed:
        return f"{text}; it depends on where the hub was while all nodes were silent at once"
    if len(found.fleet.intervals) == len(counts):
        return f"{text}, when all nodes sent at another interval"
    if isinf(found.notice_s):
        return f"{text}, which is too low or too uncertain for a doubling to show within the recent part"
    return f"{text}; if it doubled, it would be noticed after about {length(found.notice_s)}"


def shift_text(counts: Counts, shift: Shift, clock: Clock) -> str:
    """Return a change in words."""
    since = clock(shift.from_block * counts.block_s)
    rate = f"{figure(shift.per_node_day)} per node-day, {rate_text(shift.before)} before"
    text = f"{shift.direction} {shift.kind} since {since}: {rate}"
    if shift.cause is None:
        return f"{text}; no node or group alone explains it"
    return f"{text}; without {shift.cause} ({some(shift.names)}) it is not there"


def rate_text(rate: Rate) -> str:
    """Return a rate and its interval."""
    return f"{figure(rate.best)} ({interval_text((rate.low, rate.high))})"


def fleet_text(found: Judgement) -> str:
    """Return what became of the nodes."""
    fleet, parts = found.fleet, [f"{len(found.counts):,} nodes"]
    if fleet.joined:
        parts.append(f"{len(fleet.joined):,} joined ({some(fleet.joined)})")
    if fleet.left:
        parts.append(f"{len(fleet.left):,} left or silent at the end ({some(fleet.left)})")
    if fleet.intervals:
        changes = [f"{name}: {before:.3g} s, now {now:.3g} s" for name, (before, now) in fleet.intervals.items()]
        parts.append(f"{len(changes):,} send at another interval ({some(changes)})")
    return ": " + "; ".join(parts)


def as_json(found: Judgement, evidence: Evidence, goal: float, profile: str | None) -> dict[str, Any]:
    """Return the judgement as JSON."""
    counts = found.counts
    starts_s, end_s = counts.split * counts.block_s, counts.up_days.shape[1] * counts.block_s
    return {
        "schema": SCHEMA,
        "source": str(evidence.source),
        "good": found.is_good,
        "stale_after_s": evidence.current_s,
        "goal_per_node_day": goal,
        "recent": {
            "hours": (end_s - starts_s) / 3600,
            "from_unix_s": unix_s(evidence, starts_s),
            "to_unix_s": unix_s(evidence, end_s),
        },
        "earlier_hours": starts_s / 3600,
        "promise": {"verdict": found.promise, "groups": [promise_json(each) for each in found.promises]},
        "network": {
            "verdict": found.network,
            "compared_with": profile or "log",
            "long_gaps_per_node_day": rate_from(counts, Kind.LONG, counts.split),
            "before_per_node_day": rate_json(found.before),
            "hours_to_notice_doubling": found.notice_s / 3600,
            "changes": [shift_json(each, counts, evidence) for each in found.shifts],
        },
        "fleet": {
            "verdict": found.fleet_changed,
            "nodes": len(counts),
            "joined": found.fleet.joined,
            "left": found.fleet.left,
            "intervals_s": found.fleet.intervals,
            "restarts": found.fleet.restarts and shift_json(found.fleet.restarts, counts, evidence),
        },
        "assumptions": assumptions(evidence, profile),
    }


def promise_json(promise: Promise) -> dict[str, Any]:
    """Return a group's promise as JSON."""
    return {
        "group": promise.group,
        "verdict": promise.verdict,
        "false_stale": promise.false_stale,
        "node_days": promise.node_days,
        "false_stale_per_node_day": promise.per_node_day,
        "false_stale_ci": promise.interval,
    }


def rate_json(rate: Rate | None) -> dict[str, Any] | None:
    """Return a rate and its interval as JSON."""
    if rate is None:
        return None
    return {"rate": rate.best, "ci": (rate.low, rate.high), "dispersion": rate.dispersion}


def shift_json(shift: Shift, counts: Counts, evidence: Evidence) -> dict[str, Any]:
    """Return a change as JSON."""
    return {
        "of": shift.kind,
        "direction": shift.direction,
        "from_unix_s": unix_s(evidence, shift.from_block * counts.block_s),
        "per_node_day": shift.per_node_day,
        "before_per_node_day": rate_json(shift.before),
        "without": shift.cause,
        "names": shift.names,
    }


def assumptions(evidence: Evidence, profile: str | None) -> list[str]:
    """Return what was assumed, a line each."""
    silent, record = readings_of(evidence)[0], evidence.record
    read = replace(evidence, readings=(silent,))
    found = [each.line() for each in assumptions_of(read) if each.name in SHARED and evidence.imported]
    if record is not None and record.all_silent:
        found.append(
            f"all silent at once: {some(spans(record, record.all_silent))}; read as silence of the nodes and as the "
            "hub's downtime, and only what holds by both is an alarm; if the hub was down, say so with --hub-down "
            "FROM..TO"
        )
    if record is not None and record.step_s:
        found.append(f"times: known to within {record.step_s:g} s; false stales are counted both ways")
    if profile:
        found.append(
            f"profile {profile}: all nodes send every {evidence.usual_gap_s:g} s, without keepalive and tunnel"
        )
    return found
