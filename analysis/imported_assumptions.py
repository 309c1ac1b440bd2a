"""What is assumed about an imported log: what it says, what its user says, and what no log can say."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from heartbench.analysis.evidence import Evidence
from heartbench.analysis.imports.record import ImportRecord, Span
from heartbench.simulator.units import format_duration

SHOWN = 5
"""Names, or times, that a line lists before it only counts."""
THE_LOG = "the log"


def of_a_log(evidence: Evidence, record: ImportRecord) -> Iterator[tuple[str, str, str]]:
    """Yield name, value and source of each assumption."""
    yield (
        "network",
        "as recorded, for as long as the log lasts; of longer gaps what its tail says is judged, if it has one",
        f"{THE_LOG} alone",
    )
    yield "hours observed", "those of the log, which the interval covers", THE_LOG
    if record.transit:
        yield "transit times", "from the senders' clocks; the median node's is used", THE_LOG
    else:
        yield "transit times", "unknown, taken as 0: detection times count from the last sign of life", THE_LOG
    yield "power losses", _deaths(record), "a log does not show true deaths; --dead names them"
    yield from _silent_at_end(evidence, record)
    yield from _left_out(evidence, record)
    yield from _hub_down(evidence, record)
    if record.step_s is not None:
        yield (
            "times",
            f"known to within {record.step_s:g} s; gaps are judged that much shorter and longer, detection times as "
            "recorded",
            THE_LOG,
        )
    if record.statuses_s is not None:
        yield "gaps", f"none under {record.statuses_s:g} s is in the log, so no lower threshold is judged", THE_LOG
    yield "independence", "as recorded; gaps are tested for coincidence", THE_LOG
    yield "hub", "defaults except for its threshold", "a log does not record its settings"
    for note in record.notes:
        yield "note", note.rstrip("."), "the import"


def _deaths(record: ImportRecord) -> str:
    if not record.dead:
        return "none named"
    return some([f"{each.node} from {moment(record, each.at_s)} on" for each in record.dead])


def _left_out(evidence: Evidence, record: ImportRecord) -> Iterator[tuple[str, str, str]]:
    nobodys = "neither time up nor a false stale, whatever caused it"
    if record.restarts:
        yield "restarts of nodes", f"{record.restarts:,}; the gap before each is {nobodys}", THE_LOG
    trace = evidence.imported
    if trace is not None and trace.skip_pauses:
        yield "pauses of nodes", f"a gap in which the node itself sent nothing is {nobodys}", "--skip-sender-pauses"
    elif record.transit:
        yield "pauses of nodes", "count as silence, as would messages that were lost", "--skip-sender-pauses skips them"
    if trace is not None and trace.seen.left_out:
        left_out = f"{trace.seen.left_out:,} of {trace.seen.gaps:,}, {length(trace.seen.left_out_s)} together"
        yield "gaps left out", left_out, f"{THE_LOG}: restarts, pauses and named deaths"


def _silent_at_end(evidence: Evidence, record: ImportRecord) -> Iterator[tuple[str, str, str]]:
    named = {each.node for each in record.dead}
    suspects = [each for each in record.suspects if each.node not in named]
    if not suspects:
        yield "end", "all other nodes were up until the last message", THE_LOG
        return
    names = some([f"{each.node} (for {length(each.silent_s)})" for each in suspects])
    if len({reading.silent for reading in evidence.readings}) == 1:
        yield "silent at the end", f"{names}; taken as {evidence.readings[0].silent}", "--silent-at-end"
        return
    taken = "judged as dead and as alive, and the worse reading decides"
    yield "silent at the end", f"{names}; {taken}", f"{THE_LOG} does not show it; --dead or --silent-at-end does"


def _hub_down(evidence: Evidence, record: ImportRecord) -> Iterator[tuple[str, str, str]]:
    if record.hub_down:
        grace = format_duration(evidence.hub.restart_grace_s)
        yield (
            "hub down",
            f"{some(spans(record, record.hub_down))}; no node is silent then, and each has {grace} to come back",
            "the log or --hub-down; HUB_RESTART_GRACE_S",
        )
    if record.all_silent:
        yield (
            "all silent at once",
            f"{some(spans(record, record.all_silent))}; judged as silence of the nodes and as the hub's downtime, and "
            "the worse reading decides",
            "if the hub was down then, say so with --hub-down FROM..TO",
        )


def spans(record: ImportRecord, found: Sequence[Span]) -> list[str]:
    """Return times of a log as `FROM..TO`, as --hub-down takes them."""
    return [f"{moment(record, from_s)}..{moment(record, to_s)}" for from_s, to_s in found]


def moment(record: ImportRecord, at_s: float) -> str:
    """Return a time of a log in ISO 8601, or in s since its first second if it has no dates."""
    if not record.origin_unix_s:
        return f"{at_s:.1f}"
    return datetime.fromtimestamp(record.origin_unix_s + at_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def length(seconds: float) -> str:
    """Return a length of time with three digits, in the unit that suits it."""
    unit, name = next(
        (each for each in ((86_400.0, "d"), (3600.0, "h"), (60.0, "min")) if seconds >= 2 * each[0]), (1.0, "s")
    )
    return f"{seconds / unit:.3g} {name}"


def some(texts: Sequence[str]) -> str:
    """Return the first SHOWN texts, and how many more there are."""
    more = f" and {len(texts) - SHOWN:,} more" if len(texts) > SHOWN else ""
    return ", ".join(texts[:SHOWN]) + more
