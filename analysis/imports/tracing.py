"""The trace of a collected log: parts sorted by node, the list of nodes, and what was found in all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.imports.collecting import Collected, moved, node_named
from heartbench.analysis.imports.options import UNIX_BEGINS_S, ImportOptions
from heartbench.analysis.imports.record import ALL_NODES, Dead, ImportRecord, Span, Suspect
from heartbench.analysis.imports.rows import Floats, Stated
from heartbench.analysis.imports.settle import settle
from heartbench.analysis.imports.silence import Lives, Occupancy, all_silent, joined, lives_of, suspects_of
from heartbench.simulator.engines.sinks import NodesWriter, TraceWriter
from heartbench.simulator.trace import NODES_FILE

OPTIONS_IN_UTC = "The times in options that have no zone were taken for UTC."


@dataclass(frozen=True, slots=True)
class Parts:
    """What was written: the lives of all nodes, and counts."""

    lives: Lives
    heartbeats: int
    restarts: int
    duplicates: int
    disordered: int
    ahead: int


def write_trace(collected: Collected, options: ImportOptions, folder: Path, trace: str) -> ImportRecord:
    """Write `trace/` and `nodes.parquet` into a folder and return the record, in which the trace has the path `trace`.

    Raises:
        AnalysisError: an option names a node or a time that the log does not have.
    """
    origin_s = float(np.floor(collected.first_s)) if collected.first_s > UNIX_BEGINS_S else 0.0
    start_s = collected.first_s - origin_s
    number = collected.store.numbering(len(collected.names))
    names = [name for _, name in sorted(zip(number.tolist(), collected.names, strict=True))]
    restart_node, restart_s = _restarts(collected, options, number, origin_s)
    parts, occupied = _write_parts(collected, folder / "trace", number, origin_s, restart_node, restart_s)
    with NodesWriter(folder / NODES_FILE) as nodes:
        nodes.write(ALL_NODES, dict(enumerate(names)))
    lives = parts.lives
    interval_s = _interval(options, collected.stated, lives)
    ends_s = [each.ended_s - origin_s for each in collected.stated if each.ended_s is not None]
    end_s = max([float(lives.last_s.max()), *ends_s])
    hub_down = _hub_down(options, collected.stated, origin_s, start_s, end_s)
    dead = _dead(collected, options, number, lives, origin_s)
    statuses_s = next((each.statuses_s for each in collected.stated if each.statuses_s), None)
    gone = {each.node for each in dead}
    suspects = tuple(
        Suspect(names[lives.node[place]], float(lives.last_s[place]), end_s - float(lives.last_s[place]))
        for place in suspects_of(lives, end_s, interval_s, hub_down, statuses_s is not None)
        if names[lives.node[place]] not in gone
    )
    return ImportRecord(
        format=collected.format,
        nodes=len(names),
        heartbeats=parts.heartbeats,
        hours=(end_s - float(lives.first_s.min())) / 3600,
        restarts=parts.restarts,
        hub_down=hub_down,
        suspects=suspects,
        dead=dead,
        all_silent=tuple(all_silent(occupied, lives, hub_down)),
        trace=trace,
        origin_unix_s=origin_s,
        interval_s=interval_s,
        step_s=max((each.step_s for each in collected.stated if each.step_s), default=None),
        transit=collected.has_sent,
        statuses_s=statuses_s,
        ended_s=end_s if ends_s else None,
        notes=(*_notes(collected, parts, origin_s), *([OPTIONS_IN_UTC] if options.lacks_zone else [])),
        sources=tuple(source.name for source in collected.sources),
    )


def _write_parts(
    collected: Collected,
    folder: Path,
    number: NDArray[np.int32],
    origin_s: float,
    restart_node: NDArray[np.int32],
    restart_s: Floats,
) -> tuple[Parts, Occupancy]:
    """Write the parts of a trace, one bucket at a time."""
    folder.mkdir()
    writer = TraceWriter(folder)
    latest_s = collected.last_s + float(collected.shifts_s.max())
    occupied = Occupancy(collected.first_s - origin_s, latest_s - origin_s)
    lives: list[Lives] = []
    counts = np.zeros(5, np.int64)
    for index, kept in enumerate(collected.store.buckets()):
        moved(kept, collected.shifts_s, origin_s)
        kept["node"] = number[kept["node"]]
        settled = settle(kept, restart_node, restart_s)
        messages = settled.messages
        writer.write_part(index, messages)
        lives.append(lives_of(messages))
        occupied.add(messages.arrived_s)
        ends = np.append(np.diff(messages.node) != 0, True)
        counts += (len(messages), messages.boot[ends].sum(), settled.duplicates, settled.disordered, settled.ahead)
    return Parts(joined(lives), *map(int, counts)), occupied


def _restarts(
    collected: Collected, options: ImportOptions, number: NDArray[np.int32], origin_s: float
) -> tuple[NDArray[np.int32], Floats]:
    """Return the restarts that the user named: nodes, and times in s."""
    node, at_s = [], []
    for each in options.restarted:
        if each.at is None:
            raise AnalysisError(f"--restart: {each.node!r}: expected NAME@TIME")
        node.append(number[node_named(each.node, collected.names, "--restart")])
        at_s.append(each.at.since(origin_s))
    return np.array(node, np.int32), np.array(at_s, np.float64)


def _interval(options: ImportOptions, stated: Sequence[Stated], lives: Lives) -> float:
    """Return the usual heartbeat interval, s: what the user says, what the log says, or the median."""
    if options.interval_s:
        return options.interval_s
    said = [each.interval_s for each in stated if each.interval_s]
    if said:
        return float(np.median(said))
    positive = lives.gaps_s[lives.gaps_s > 0]
    return float(np.median(positive)) if len(positive) else 1.0


def _hub_down(
    options: ImportOptions, stated: Sequence[Stated], origin_s: float, start_s: float, end_s: float
) -> tuple[Span, ...]:
    """Return when the hub was down, in s since the origin, by the user and by the log; overlapping times joined."""
    spans = [(begin - origin_s, end - origin_s) for each in stated for begin, end in each.hub_down]
    for begin, end in options.hub_down:
        span = begin.since(origin_s), end.since(origin_s)
        if span[1] < start_s or span[0] > end_s:
            raise AnalysisError(
                f"--hub-down: {begin.at_s:g}..{end.at_s:g}: the log holds {_held(origin_s, start_s, end_s)}"
            )
        spans.append(span)
    merged: list[Span] = []
    for begin_s, until_s in sorted(spans):
        if merged and begin_s <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], until_s)
        else:
            merged.append((round(begin_s, 6), round(until_s, 6)))
    return tuple(merged)


def _held(origin_s: float, start_s: float, end_s: float) -> str:
    return f"Unix {origin_s + start_s:.0f} to {origin_s + end_s:.0f}" if origin_s else f"{start_s:g} to {end_s:g} s"


def _dead(
    collected: Collected,
    options: ImportOptions,
    number: NDArray[np.int32],
    lives: Lives,
    origin_s: float,
) -> tuple[Dead, ...]:
    """Return the nodes that the user says are gone, and since when."""
    dead = []
    for each in options.dead:
        last_s = float(lives.last_s[number[node_named(each.node, collected.names, "--dead")]])
        dead.append(Dead(each.node, last_s if each.at is None else each.at.since(origin_s)))
    return tuple(dead)


def _notes(collected: Collected, parts: Parts, origin_s: float) -> list[str]:
    """Return what the user must know, in sentences."""
    notes = list(collected.notes)
    if not origin_s:
        notes.append("The times are no dates: they count from an unknown moment.")
    if collected.whole_seconds and origin_s and not any(each.step_s for each in collected.stated):
        notes.append("All times are whole seconds, so gaps are known to within 1 s.")
    if parts.duplicates:
        notes.append(f"Rows that were there twice, and count once: {parts.duplicates:,}.")
    if parts.disordered:
        notes.append(f"Rows that were out of order for their node, and were sorted: {parts.disordered:,}.")
    if parts.ahead:
        notes.append(
            f"The clocks of {parts.ahead:,} nodes are ahead of the hub's: their sending times were moved back."
        )
    if not collected.has_sent:
        notes.append("The log has no sending times: how long messages travelled is not known.")
    said = [each.interval_s for each in collected.stated if each.interval_s]
    usual_s = float(np.nanmedian(parts.lives.median_gap_s)) if np.isfinite(parts.lives.median_gap_s).any() else 0.0
    if said and usual_s > 1.5 * np.median(said):
        notes.append(
            f"The log states an interval of {np.median(said):g} s, but heartbeats are {usual_s:g} s apart: some may be "
            "missing from it."
        )
    return notes
