"""`heartbench explain`: why nodes that were up were marked stale, in sum or as the story of one case."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from heartbench.cli.errors import CommandError
from heartbench.cli.goal_options import JSON, NOW
from heartbench.cli.log_options import (
    DEAD,
    HUB_DOWN,
    INTERVAL,
    NODE_COLUMN,
    SENT,
    SILENT_AT_END,
    SKIP_SENDER_PAUSES,
    TIME,
    as_trace,
    log_options,
    positive,
)
from heartbench.cli.output import check_output, console, print_json, print_table, progress

if TYPE_CHECKING:
    from heartbench.analysis.explain.answer import Answer, Question

FORMATS = (".png", ".svg", ".pdf", ".html")
OUT_HELP = "Write a picture, of the one false stale or of all by cause: .png, .svg, .pdf or .html."
SOURCE = typer.Argument(metavar="RUN|LOG|DIR", help="Run, log, or import to explain. Default: the newest run.")
NODE = typer.Option(metavar="NODE", help="Tell the story of this node's false stale: number or name.")
AT = typer.Option(metavar="TIME", help="The one nearest to this time since the start, such as 2h30m.")


def explain(
    source: Annotated[Path | None, SOURCE] = None,
    node: Annotated[str | None, NODE] = None,
    at: Annotated[str | None, AT] = None,
    now: Annotated[str | None, NOW] = None,
    silent_at_end: Annotated[Literal["dead", "alive"] | None, SILENT_AT_END] = None,
    skip_sender_pauses: Annotated[bool, SKIP_SENDER_PAUSES] = False,
    time: Annotated[str | None, TIME] = None,
    node_column: Annotated[str | None, NODE_COLUMN] = None,
    sent: Annotated[str | None, SENT] = None,
    interval: Annotated[str | None, INTERVAL] = None,
    hub_down: Annotated[list[str] | None, HUB_DOWN] = None,
    dead: Annotated[list[str] | None, DEAD] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help=OUT_HELP)] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Explain why live nodes were marked stale.

    A false stale is *unreachable* if the link passed nothing up when the node was
    marked, and *hidden* if it did, and something kept that from being seen:
    TCP's backoff, a reconnect, a tunnel, a queue, or the hub. Nodes of a virtual
    run are simulated again to see what they waited for, and the whole fleet with
    other settings, to see what these would mend. A log does not show the link:
    causes are inferred from its gaps, and the class stays unknown. The options
    about a log are those of `heartbench tune`; pass the same ones to both.
    """
    from heartbench.analysis.explain.answer import Question
    from heartbench.analysis.readings import SilentAtEnd
    from heartbench.simulator.run_directory import RunDirectory
    from heartbench.simulator.units import parse_duration

    if out is not None:
        check_picture(out)
    path = RunDirectory.newest().path if source is None else source
    now_s = positive(now, "--now")
    at_s = None if at is None else parse_duration(at, "--at")
    silent = None if silent_at_end is None else SilentAtEnd(silent_at_end)
    options = log_options(time=time, node=node_column, sent=sent, interval=interval, hub_down=hub_down, dead=dead)
    with as_trace(path, options) as trace:
        found = answer(Question(trace, node, at_s, now_s, path, silent, skip_sender_pauses))
    if out is not None:
        draw(found, out)
    if as_json:
        print_json(found.to_json())
    else:
        show(found)
        if out is not None:
            print(out)


def check_picture(out: Path) -> None:
    """Raise an error for a picture that cannot be written."""
    if out.suffix.lower() not in FORMATS:
        raise CommandError(f"--out: {out}: must be a file that ends in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")
    check_output(out)


def answer(question: "Question") -> "Answer":
    """Return the answer, with progress on standard error."""
    from heartbench.analysis.explain.answer import answer_to

    with progress("Explaining", 1.0) as advance:
        return answer_to(question, advance)


def draw(found: "Answer", out: Path) -> None:
    """Write the picture."""
    from heartbench.analysis.explain.page import write_picture

    write_picture(found, out)


CAUSES = (
    "class: cause",
    "false\nstales",
    "share",
    "changes\nshown",
    "gap,\nmedian",
    "gap,\nlongest",
    "heard after\nthe link was\nback, median",
    "inferred",
)
KNOBS = ("setting", "false\nstales", "change", "mended", "new", "mended, by cause")
CASES = ("node", "stale at", "h:mm:ss", "class: cause", "gap", "changes\nshown")


def show(found: "Answer") -> None:
    """Print the finding, then the tables of the whole, or the story."""
    from heartbench.analysis.explain.words import best_knob, cause_row, headline, knob_row, ladder_sentence, read_as

    total, lines = found.total, console()
    lines.print(f"{found.evidence.origin}. {headline(found)}")
    for sentence in read_as(found.evidence):
        lines.print(sentence)
    if found.story is not None:
        tell(found)
        return
    if total.by_cause:
        print_table("", CAUSES, [cause_row(share) for share in total.by_cause], rest(found))
    for sentence in (ladder_sentence(found.ladder), best_knob(found)):
        if sentence:
            lines.print(sentence)
    if found.tried.knobs:
        print_table(
            "What other settings would make of it", KNOBS, [knob_row(knob, found) for knob in found.tried.knobs]
        )
    if found.tried.not_tried:
        lines.print(f"Settings of the nodes were not tried: {found.tried.not_tried}.")
    if found.found.not_repeated:
        many = len(found.found.not_repeated)
        lines.print(f"{many:,} nodes could not be run again, so their hidden causes are inferred from the record.")


def tell(found: "Answer") -> None:
    """Print the cases of the node if there are several, the story of one, and what would have mended it."""
    from heartbench.analysis.explain.words import flash_row, mended, story_rows

    if found.story is None:
        return
    if len(found.found.each) > 1:
        print_table("False stales of this node", CASES, [flash_row(flash) for flash in found.found.each])
    rows = story_rows(found.story)
    print(f"\nTimes in s since the last sign of life, at {found.story.flash.mark.from_s:.2f} s.\n")
    for at, lane, text in rows:
        print(f"{at:>9}  {lane:<11} {text}")
    print()
    for sentence in mended(found):
        console().print(sentence)


def rest(found: "Answer") -> str:
    """Return what else the dashboard showed."""
    total = found.total
    down, left = total.of_nodes_down, total.of_leaving
    if not total.nodes_down and not left:
        return ""
    why = "in gaps that count for nobody" if found.evidence.imported else "of nodes that were down"
    others = f", {down:,} of {total.nodes_down:,} marks {why}" if total.nodes_down else ""
    others += f", {left:,} of nodes that said Goodbye" if left else ""
    return f"{total.flashes:,} status changes were shown: {total.flashes - down - left:,} of these{others}"
