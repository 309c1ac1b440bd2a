"""`heartbench report`: one page with the finding, the plots and the provenance."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from heartbench.cli.errors import CommandError
from heartbench.cli.goal_options import JSON, MAX_DETECTION, MAX_FALSE_STALE, NOW, PER
from heartbench.cli.log_options import is_log, positive
from heartbench.cli.output import check_folder, check_output, print_json, progress, write_whole

if TYPE_CHECKING:
    from heartbench.analysis.evidence import Evidence
    from heartbench.analysis.tune import Recommendation


def report(
    source: Annotated[
        Path | None, typer.Argument(metavar="RUN_DIR|TRACE", help="Run or trace to report on. Default: the newest run.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="HTML file. Default: report.html in the run directory, or here for a trace."),
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder to also write the plots to, as SVG files.")
    ] = None,
    max_false_stale: Annotated[str | None, MAX_FALSE_STALE] = None,
    max_detection: Annotated[str | None, MAX_DETECTION] = None,
    per: Annotated[Literal["group", "fleet"] | None, PER] = None,
    now: Annotated[str | None, NOW] = None,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Write a report on a run: one self-contained HTML file.

    The goal is that of the last `heartbench tune` on this run (not kept for an
    imported trace), else one false stale per node-week and 90 s. Options
    override both. Of an imported log that can be read in several ways, the page
    has the figures of the worst reading and says which that is; `tune` prints all
    of them. All gaps are held in memory.
    """
    from heartbench.analysis.evidence import evidence_of
    from heartbench.analysis.report.page import render, save_plots
    from heartbench.analysis.verdict import sentence
    from heartbench.simulator.run_directory import RunDirectory

    if source is not None and source.exists() and is_log(source):
        raise CommandError(f"{source}: a log; import it first (`heartbench import`), and report on the import")
    evidence = evidence_of(RunDirectory.newest().path if source is None else source, positive(now, "--now"))
    page = out or (evidence.source if evidence.scenario else Path()) / "report.html"
    check_output(page)
    if plots is not None:
        check_folder(plots, "--plots")
    found = recommendation(evidence, max_false_stale, max_detection, per)
    write_whole(page, render(evidence, found))
    if plots is not None:
        save_plots(plots, evidence, found)
    if as_json:
        print_json({"schema": "heartbench.report/1", "report": page, "met": found.met, "verdict": sentence(found)})
    else:
        print(sentence(found))
        print(page)


def recommendation(
    evidence: "Evidence", max_false_stale: str | None, max_detection: str | None, per: str | None
) -> "Recommendation":
    """Return the stored result of `tune`, or a new one if an option changes the goal."""
    from heartbench.analysis.goals import stated_goal
    from heartbench.analysis.networks import nodes_to_simulate
    from heartbench.analysis.study import study
    from heartbench.analysis.tune import DEFAULT_GOAL, Per

    tuned = tuned_before(evidence)
    if tuned is not None and max_false_stale is max_detection is per is None:
        return tuned
    before = DEFAULT_GOAL if tuned is None else tuned.goal
    goal = stated_goal(max_false_stale, max_detection, before)
    with progress("Simulating networks", nodes_to_simulate(evidence)) as advance:
        return study(evidence, goal, Per(per or (tuned.per if tuned else Per.GROUP)), advance)


def tuned_before(evidence: "Evidence") -> "Recommendation | None":
    """Return the stored result of `tune` for this run; None if there is none."""
    from heartbench.analysis.verdict import from_json

    tuned = evidence.source / "tune.json"
    if not tuned.exists():
        return None
    try:
        return from_json(json.loads(tuned.read_text(encoding="utf-8")))
    except (OSError, LookupError, TypeError, ValueError) as error:
        raise CommandError(f"{tuned}: is damaged; run `heartbench tune` to write it again") from error
