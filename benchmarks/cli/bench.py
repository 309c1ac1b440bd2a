"""`heartbench bench`: has a revision made any benchmark slower, and how sure can one be?"""

from pathlib import Path
from typing import Annotated

import typer

from heartbench.benchmarks.cli import output
from heartbench.benchmarks.errors import BenchmarkError


def bench(
    suite: Annotated[
        list[str] | None, typer.Argument(help="Folders, files or node ids; a name is a folder in benchmarks/.")
    ] = None,
    against: Annotated[str | None, typer.Option(help="Compare the work tree with this revision.")] = None,
    project: Annotated[Path, typer.Option(help="A project with a pytest-benchmark suite.")] = Path(),
    rounds: Annotated[int | None, typer.Option(help="Rounds of fresh processes.  [default: 16]")] = None,
    budget: Annotated[str | None, typer.Option(help="Time for more rounds where undecided.  [default: 10m]")] = None,
    python: Annotated[str | None, typer.Option(help="The project's interpreter.")] = None,
    core: Annotated[int | None, typer.Option(help="The core to measure on; the last one if not given.")] = None,
    seed: Annotated[int, typer.Option(help="Decides the order and the hash seeds.")] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Do not go on with an interrupted comparison.")] = False,
    markdown: Annotated[Path | None, typer.Option(help="Write the report for a pull request.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write the report as JUnit XML.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare the benchmarks of two revisions, and say how often such a comparison is wrong.

    Exit status 1 where something is slower, 0 where nothing is or the gate cannot
    tell, 2 where it could not measure.
    """
    from heartbench.benchmarks.gate import output as reports
    from heartbench.benchmarks.gate.compare import compare, subject
    from heartbench.benchmarks.gate.settings import load

    if against is None:
        raise BenchmarkError("--against REV: name the revision to compare with, such as main")
    settings = load(project, rounds=rounds, budget=budget, python=python)
    report = compare(
        subject(project, against, suite or [], settings, seed), core=core, fresh=fresh, progress=output.progress
    )
    if markdown:
        markdown.write_text(reports.markdown(report), "utf-8")
    if junit:
        junit.write_text(reports.junit(report), "utf-8")
    if as_json:
        output.print_json(report.as_json())
    else:
        reports.terminal(report, output.console())
    raise typer.Exit(report.status)
