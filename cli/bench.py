"""`heartbench bench`: has a revision made any benchmark slower, and how sure can one be?

One command with three uses, told apart by what is compared: the work tree with a revision (`--against`), the gate with
the truth (`--self-test`), or stored results with each other (`--history`).
"""

import math
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heartbench.cli import output
from heartbench.cli.errors import CommandError
from heartbench.hub.program import warn

if TYPE_CHECKING:
    from heartbench.benchmarks.gate.exam import Exam
    from heartbench.benchmarks.gate.report import Report

EXAM, FILES = "Exam", "Output"


def bench(
    suite: Annotated[
        list[str] | None, typer.Argument(help="Folders, files or node ids; a bare name is a folder in benchmarks/.")
    ] = None,
    against: Annotated[str | None, typer.Option(metavar="REV", help="Compare the work tree with a revision.")] = None,
    self_test: Annotated[bool, typer.Option("--self-test", help="Examine the gate: slow the suite for real.")] = False,
    history: Annotated[Path | None, typer.Option(metavar="DIR", help="Show stored results and their changes.")] = None,
    project: Annotated[Path, typer.Option(help="A project with a pytest-benchmark suite.")] = Path(),
    rounds: Annotated[int | None, typer.Option(help="Rounds of fresh processes (default 16).")] = None,
    budget: Annotated[str | None, typer.Option(help="Time for more rounds where undecided (default 10m).")] = None,
    python: Annotated[str | None, typer.Option(help="The project's interpreter.")] = None,
    core: Annotated[int | None, typer.Option(help="The core to measure on; the last if not given.")] = None,
    seed: Annotated[int, typer.Option(help="Decides the order and the hash seeds.")] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Do not go on with an interrupted measurement.")] = False,
    counts: Annotated[bool, typer.Option(help="Count instructions and allocations where the tools are there.")] = True,
    repetitions: Annotated[int, typer.Option(min=1, rich_help_panel=EXAM, help="How often all of it is done.")] = 5,
    pairs: Annotated[int, typer.Option(min=1, rich_help_panel=EXAM, help="Pairs of the same code in each.")] = 3,
    minutes: Annotated[
        float, typer.Option(rich_help_panel=EXAM, help="Begin no repetition later.", show_default=False)
    ] = math.inf,
    out: Annotated[Path | None, typer.Option(rich_help_panel=FILES, help="Folder for an exam or for plots.")] = None,
    markdown: Annotated[Path | None, typer.Option(rich_help_panel=FILES, help="File for a pull request.")] = None,
    junit: Annotated[Path | None, typer.Option(rich_help_panel=FILES, help="File in JUnit XML.")] = None,
    as_json: Annotated[bool, typer.Option("--json", rich_help_panel=FILES, help="Print one JSON object.")] = False,
) -> None:
    """Compare the benchmarks of two revisions, and say how often such a comparison is wrong.

    Exit status: 1 if a benchmark is slower; 0 if none of those compared is, or the
    gate cannot tell; 2 if none could be compared. An interrupted measurement resumes.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if sum((against is not None, self_test, history is not None)) != 1:
        raise CommandError("bench: give exactly one of --against REV, --self-test and --history DIR")
    if against == "":
        raise CommandError("--against: '': must be a revision, such as HEAD~1")
    if not minutes > 0:  # NaN is neither
        raise CommandError(f"--minutes: {minutes:g}: must be more than 0")
    for option, path in (("--markdown", markdown), ("--junit", junit)):
        if path is not None:
            output.check_output(path, option)
    if out is not None and out.exists() and not out.is_dir():
        raise CommandError(f"--out: {out}: is a file; must be a folder")
    if history is not None:
        _show_history(history, out, as_json)
        return
    from heartbench.benchmarks.gate.compare import compare, subject
    from heartbench.benchmarks.gate.exam import Length, examine
    from heartbench.benchmarks.gate.settings import load

    settings = load(project, rounds=rounds, budget=budget, python=python)
    chosen = subject(project, against or "HEAD", suite or [], settings, seed)
    if self_test:
        length = Length(repetitions, pairs, 60 * minutes)
        from heartbench.benchmarks.gate import transcript

        folder = out or Path("results", "runs", f"gate-exam-{chosen.head[:7]}")
        exam = examine(
            chosen,
            length,
            core=core,
            fresh=fresh,
            progress=_progress,
            keep=lambda exam: transcript.save(exam, folder),
        )
        _show_exam(exam, folder, as_json)
        return
    report = compare(chosen, core=core, fresh=fresh, counting=counts, progress=_progress)
    _show_report(report, markdown, junit, as_json)
    raise typer.Exit(report.status)


@contextmanager
def _progress(description: str, total: float) -> Iterator[Callable[[float], None]]:
    """A bar, or where nobody watches (in a CI log) a line for each part of the work: it takes minutes."""
    if not sys.stderr.isatty():
        print(f"{description}: {total:g} processes", file=sys.stderr, flush=True)
    with output.progress(description, total) as advance:
        yield advance


def _show_report(report: "Report", markdown: Path | None, junit: Path | None, as_json: bool) -> None:
    from heartbench.benchmarks.gate import output as reports
    from heartbench.benchmarks.gate.report import Outcome

    if markdown:
        markdown.write_text(reports.markdown(report), "utf-8")
    if junit:
        junit.write_text(reports.junit(report), "utf-8")
    if as_json:
        output.print_json(report.as_json())
        if report.outcome is Outcome.NOTHING_COMPARED:
            warn(reports.headline(report))
    else:
        reports.terminal(report, output.console())


def _show_exam(exam: "Exam", folder: Path, as_json: bool) -> None:
    from heartbench.benchmarks.gate import transcript

    if as_json:
        output.print_json(transcript.summary(exam))
    else:
        print(transcript.markdown(exam))
        print(folder)


def _show_history(directory: Path, out: Path | None, as_json: bool) -> None:
    from heartbench.analysis.report import style
    from heartbench.benchmarks.gate import history, plots

    found = history.read(directory)
    folder = out or directory / "plots"
    folder.mkdir(parents=True, exist_ok=True)
    for number, series in enumerate(found):
        name = re.sub(r"[^\w.-]+", "-", series.benchmark)
        style.save(plots.through_time(series), folder / f"{number:03d}-{name}.svg")
    if as_json:
        output.print_json(history.as_json(found))
        return
    rows = [
        (series.benchmark, len(series.results), change.revision[:10], change.time, f"{change.ratio - 1:+.1%}")
        for series in found
        for change in series.changes
    ]
    title = f"{len(rows)} lasting changes in {len(found)} series (advice, not a verdict)"
    output.print_table(title, ("benchmark", "revisions", "since", "time", "change"), rows, f"plots: {folder}")
