"""An answer in words: one sentence of finding, rows of tables, and what would have mended it."""

from collections.abc import Iterator
from itertools import groupby
from math import ceil

from heartbench.analysis.evidence import Evidence
from heartbench.analysis.explain.answer import Answer
from heartbench.analysis.explain.causes import Cause, Kind
from heartbench.analysis.explain.flashes import Flash
from heartbench.analysis.explain.knobs import Knob
from heartbench.analysis.explain.logs import LadderFound
from heartbench.analysis.explain.story import Story
from heartbench.analysis.explain.summary import UNKNOWN, Share, mended_by_cause
from heartbench.analysis.imported_assumptions import some, spans
from heartbench.analysis.readings import SilentAtEnd

MOST_IN_A_ROW = 4


def headline(found: Answer) -> str:
    """Return the finding in one or two sentences."""
    if found.story is not None:
        return _headline_of_one(found.story.flash)
    total, threshold_s = found.total, found.evidence.hub.stale_after_s
    if not total.false_stale:
        return f"At {threshold_s:g} s no node was marked stale while it was up."
    seen = f"{total.false_stale:,} false stales at {threshold_s:g} s, {total.flashes:,} status changes on the dashboard"
    if found.evidence.scenario is None:
        return f"{seen}. A log does not show the link: causes are inferred."
    out, hidden = total.count(Kind.UNREACHABLE), total.count(Kind.HIDDEN)
    return (
        f"{seen}. In {out:,} ({out / total.false_stale:.0%}) the link passed nothing up when the node was marked; in "
        f"{hidden:,} ({hidden / total.false_stale:.0%}) it did, and that was hidden."
    )


def read_as(evidence: Evidence) -> Iterator[str]:
    """Yield how a log was read, as far as that decides what counts as a false stale; nothing for a run."""
    trace, record = evidence.imported, evidence.record
    if trace is None:
        return
    if evidence.current_s is None:
        yield f"The threshold of {evidence.hub.stale_after_s:g} s is our hub's default; --now sets that of yours."
    if trace.known.suspects.node.size:
        taken, other = ("alive", "dead") if evidence.readings[0].silent is SilentAtEnd.ALIVE else ("dead", "alive")
        nodes = f"Nodes silent at the end ({trace.known.suspects.node.size:,})"
        yield f"{nodes} are taken as {taken}; --silent-at-end {other} takes them as {other}."
    if trace.skip_pauses:
        yield (
            f"{trace.seen.left_out:,} of {trace.seen.gaps:,} gaps count for nobody, because the node itself paused, "
            "restarted or died."
        )
    elif record is not None and record.transit:
        yield "Gaps in which the node itself sent nothing count too; --skip-sender-pauses leaves them out."
    if record is not None and record.all_silent:
        when = some(spans(record, record.all_silent))
        yield f"All nodes were silent at once: {when}. If the hub was down then, say so with --hub-down FROM..TO."
    if record is not None and record.step_s is not None:
        yield f"Times are known to within {record.step_s:g} s; gaps are taken as recorded."
    if record is not None and record.statuses_s is not None and evidence.hub.stale_after_s < record.statuses_s:
        yield (
            f"The log has no gap under {record.statuses_s:g} s, so at {evidence.hub.stale_after_s:g} s every gap seems "
            "too long; expected a longer --now."
        )
    yield from record.notes if record is not None else ()


def _headline_of_one(flash: Flash) -> str:
    mark = flash.mark
    of = f"{flash.kind or 'class unknown'}, {flash.cause or 'cause unknown'}{', inferred' if flash.inferred else ''}"
    ended = f"heard again {mark.until_s - mark.at_s:.1f} s later" if mark.heard else "not heard again"
    return f"{flash.name} was marked stale at {mark.at_s:.1f} s ({clock(mark.at_s)}) and {ended}: {of}."


def clock(at_s: float) -> str:
    """Return a time since the start as h:mm:ss."""
    return f"{int(at_s // 3600)}:{int(at_s % 3600 // 60):02d}:{int(at_s % 60):02d}"


def cause_row(share: Share) -> tuple[str, ...]:
    """Return the cells of one class and cause."""
    inferred = "" if not share.inferred else f"{share.inferred:,}"
    hidden = "–" if share.hidden_median_s is None else f"{share.hidden_median_s:.1f} s"
    gaps = f"{share.gap_median_s:.1f} s", f"{share.gap_longest_s:.1f} s"
    return (
        f"{share.kind}: {share.cause}",
        f"{share.count:,}",
        f"{share.share:.1%}",
        f"{share.shown:,}",
        *gaps,
        hidden,
        inferred,
    )


def knob_row(knob: Knob, found: Answer) -> tuple[str, ...]:
    """Return the cells of one knob."""
    before, mends = found.total.false_stale, len(knob.mended)
    new = knob.false_stale - (before - mends)
    causes = sorted(mended_by_cause(knob, found.found).items(), key=lambda each: -each[1])
    of_which = ", ".join(f"{cause} {count:,}" for cause, count in causes)
    return (
        f"{knob.name} = {knob.value_s:.3g} s",
        f"{knob.false_stale:,}",
        f"{knob.false_stale - before:+,}",
        f"{mends:,}",
        f"{new:,}",
        of_which,
    )


def flash_row(flash: Flash) -> tuple[str, ...]:
    """Return the cells of one false stale."""
    mark = flash.mark
    of = f"{flash.kind or UNKNOWN}: {flash.cause or UNKNOWN}"
    return (flash.name, f"{mark.at_s:.1f} s", clock(mark.at_s), of, f"{mark.silence_s:.1f} s", f"{mark.shown}")


def story_rows(story: Story) -> list[tuple[str, str, str]]:
    """Return the events of a story: time since the last sign of life, lane, and what.

    Of many messages in a row the first and the last are told.
    """
    zero_s = story.flash.mark.from_s
    runs = [list(run) for _, run in groupby(story.lines(), key=lambda line: line.lane == "messages")]
    rows = []
    for run in runs:
        skipped = len(run) - 2 if run[0].lane == "messages" and len(run) > MOST_IN_A_ROW else 0
        told = [run[0], run[-1]] if skipped else run
        rows += [(f"{line.at_s - zero_s:+.2f}", line.lane, line.text) for line in told]
        if skipped:
            rows.insert(-1, ("…", "messages", f"{skipped:,} more"))
    return rows


def mended(found: Answer) -> Iterator[str]:
    """Yield what would have mended the false stale of a story."""
    flash = None if found.story is None else found.story.flash
    for mend in () if flash is None else flash.mended_by:
        if mend.how == "gap":
            value_s = ceil(10 * mend.value_s) / 10
            more = f"{value_s - found.evidence.hub.stale_after_s:.1f} s more than now"
            yield f"A stale_after of {value_s:.1f} s would have covered this gap, {more}."
        else:
            knob = f"{mend.knob} = {mend.value_s:.3g} s"
            yield f"With {knob} it would not have been: simulated again, on the same network."
    if found.tried.not_tried:
        yield f"Other settings were not simulated: {found.tried.not_tried}."
    elif flash is not None and not any(mend.how == "simulation" for mend in flash.mended_by):
        names = [f"{knob.name} = {knob.value_s:.3g} s" for knob in found.tried.knobs if knob.how == "simulation"]
        if names:
            yield f"None of these would have mended it, simulated again on the same network: {', '.join(names)}."


def best_knob(found: Answer) -> str:
    """Return the knob that helps most, beside a longer threshold."""
    total = found.total.false_stale
    best = found.tried.helps_most(total)
    if best is None:
        tried = any(knob.how == "simulation" for knob in found.tried.knobs)
        return "No setting of the nodes that was tried helps." if tried else ""
    fewer = (total - best.false_stale) / total
    return (
        f"Of the nodes' settings {best.name} = {best.value_s:.3g} s helps most: {best.false_stale:,} false stales "
        f"instead of {total:,}, {fewer:.0%} fewer, on the same network."
    )


def ladder_sentence(found: LadderFound | None) -> str:
    """Return whether late deliveries lie on a ladder of doubling steps."""
    if found is None:
        return ""
    if not found.is_sure:
        return (
            f"The late deliveries show no ladder of doubling steps (p = {found.by_chance:.2g}): nothing says that "
            "TCP's backoff made them."
        )
    return (
        f"The late deliveries agree on steps of {found.step_s:.2g} s doubled again and again, better than smooth tails "
        f"do (p = {found.by_chance:.2g}): inferred for them as a whole, {Cause.BACKOFF} of TCP."
    )
