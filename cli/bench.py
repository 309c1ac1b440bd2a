"""`heartbench bench`: has a revision made any benchmark slower, and how certain is that?

One command with three uses: compare the work tree with a revision (`--against`), measure the gate's own error rates
(`--self-test`), or find lasting changes in stored results (`--history`).
"""

import math
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heartbench.cli import output
from heartbench.cli.errors import CommandError
from heartbench.hub.program import warn

if TYPE_CHECKING:
    from heartbench.benchmarks.gate.compare import Subject
    from heartbench.benchmarks.gate.report import Report
    from heartbench.benchmarks.gate.self_test import Length

SELF_TEST, FILES = "Self-test", "Output"
Minutes = Annotated[
    float,
    typer.Option(rich_help_panel=SELF_TEST, help="Start no repetition after this many minutes.", show_default=False),
]


def bench(
    suite: Annotated[
        list[str] | None, typer.Argument(help="Folders, files or node ids; a plain name is a folder in benchmarks/.")
    ] = None,
    against: Annotated[str | None, typer.Option(metavar="REV", help="Compare the work tree with a revision.")] = None,
    self_test: Annotated[bool, typer.Option("--self-test", help="Measure the gate's error rates.")] = False,
    history: Annotated[Path | None, typer.Option(metavar="DIR", help="Show lasting changes in stored results.")] = None,
    project: Annotated[Path, typer.Option(help="A project with a pytest-benchmark suite.")] = Path(),
    rounds: Annotated[int | None, typer.Option(help="Rounds of fresh processes (default 16).")] = None,
    budget: Annotated[str | None, typer.Option(help="Time limit for extra rounds if undecided (default 10m).")] = None,
    python: Annotated[str | None, typer.Option(help="The project's interpreter.")] = None,
    core: Annotated[int | None, typer.Option(help="CPU core to measure on; default: the last.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the order and of the hash seeds.")] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over; do not resume.")] = False,
    counts: Annotated[bool, typer.Option(help="Count instructions and allocations if the tools are installed.")] = True,
    repetitions: Annotated[int, typer.Option(min=1, rich_help_panel=SELF_TEST, help="Number of repetitions.")] = 5,
    pairs: Annotated[int, typer.Option(min=1, rich_help_panel=SELF_TEST, help="A/A comparisons per repetition.")] = 3,
    minutes: Minutes = math.inf,
    out: Annotated[Path | None, typer.Option(rich_help_panel=FILES, help="Directory for self-test or plots.")] = None,
    markdown: Annotated[Path | None, typer.Option(rich_help_panel=FILES, help="Markdown, for a pull request.")] = None,
    junit: Annotated[Path | None, typer.Option(rich_help_panel=FILES, help="JUnit XML file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", rich_help_panel=FILES, help="Print one JSON object.")] = False,
) -> None:
    """Compare the benchmarks of two revisions, with the error rates of the comparison.

    Exit status: 1 if a benchmark is slower; 0 if no compared benchmark is slower or the
    result is inconclusive; 2 if none could be compared. An interrupted measurement resumes.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if sum((against is not None, self_test, history is not None)) != 1:
        raise CommandError("bench: give exactly one of --against REV, --self-test and --history DIR")
    _check(against, minutes, markdown, junit, out)
    if history is not None:
        _show_history(history, out, as_json)
        return
    from heartbench.benchmarks.gate.compare import compare, subject
    from heartbench.benchmarks.gate.self_test import Length
    from heartbench.benchmarks.gate.settings import load

    settings = load(project, rounds=rounds, budget=budget, python=python)
    chosen = subject(project, against or "HEAD", suite or [], settings, seed)
    if self_test:
        _self_test(chosen, Length(repetitions, pairs, 60 * minutes), core, fresh, out, as_json)
        return
    report = compare(chosen, core=core, fresh=fresh, counting=counts, progress=_progress)
    _show_report(report, markdown, junit, as_json)
    raise typer.Exit(report.status)


def _check(against: str | None, minutes: float, markdown: Path | None, junit: Path | None, out: Path | None) -> None:
    if against == "":
        raise CommandError("--against: '': expected a revision, such as HEAD~1")
    if not minutes > 0:  # also if it is NaN
        raise CommandError(f"--minutes: {minutes:g}: must be more than 0")
    for option, path in (("--markdown", markdown), ("--junit", junit)):
        if path is not None:
            output.check_output(path, option)
    if out is not None and out.exists() and not out.is_dir():
        raise CommandError(f"--out: {out}: is a file; must be a directory")


@contextmanager
def _progress(description: str, total: float) -> Iterator[Callable[[float], None]]:
    """Show a progress bar; in a log, also print a line for each part of the work, because it takes minutes."""
    if not sys.stderr.isatty():
        print(f"{description}: {total:g} processes", file=sys.stderr, flush=True)
    with output.progress(description, total) as advance:
        yield advance


def _show_report(report: "Report", markdown: Path | None, junit: Path | None, as_json: bool) -> None:
    from heartbench.benchmarks.gate import report_formats as reports
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


def _self_test(
    chosen: "Subject", length: "Length", core: int | None, fresh: bool, out: Path | None, as_json: bool
) -> None:
    from heartbench.benchmarks.gate import self_test_report
    from heartbench.benchmarks.gate.self_test import run_self_test

    folder = out or Path("results", "runs", f"gate-exam-{chosen.head[:7]}")
    save = partial(self_test_report.save, directory=folder)
    result = run_self_test(chosen, length, core=core, fresh=fresh, progress=_progress, save=save)
    if as_json:
        output.print_json(self_test_report.summary(result))
    else:
        print(self_test_report.markdown(result))
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
