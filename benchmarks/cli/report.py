"""`heartbench report`: one page with the finding, the pictures and how it was measured."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heartbench.benchmarks.cli.output import check_folder, check_output, print_json, progress, write_whole
from heartbench.benchmarks.errors import BenchmarkError

if TYPE_CHECKING:
    from heartbench.benchmarks.thresholds.evidence import Evidence
    from heartbench.benchmarks.thresholds.tune import Recommendation


def report(
    source: Annotated[
        Path | None, typer.Argument(metavar="RUN_DIR|TRACE", help="What to report on; the newest run if not given.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the page goes; report.html in the run directory.")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the pictures there too, an SVG file each.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Make a page of what a run showed: one HTML file that needs no other.

    The goal is that of the last `heartbench tune` on this run, else one false
    stale per node-week and 90 s.
    """
    from heartbench.benchmarks.report.page import render, save_plots
    from heartbench.benchmarks.thresholds.evidence import evidence_of
    from heartbench.benchmarks.thresholds.verdict import sentence
    from heartbench.simulator.run_directory import RunDirectory

    evidence = evidence_of(RunDirectory.newest().path if source is None else source)
    page = out or (evidence.source if evidence.scenario else Path()) / "report.html"
    check_output(page)
    if plots is not None:
        check_folder(plots, "--plots")
    found = recommendation(evidence)
    write_whole(page, render(evidence, found))
    if plots is not None:
        save_plots(plots, evidence, found)
    if as_json:
        print_json({"schema": "heartbench.report/1", "report": page, "met": found.met, "verdict": sentence(found)})
    else:
        print(sentence(found))
        print(page)


def recommendation(evidence: "Evidence") -> "Recommendation":
    """What `tune` found, or what it finds for the default goal."""
    from heartbench.benchmarks.thresholds.study import study
    from heartbench.benchmarks.thresholds.tune import DEFAULT_GOAL
    from heartbench.benchmarks.thresholds.verdict import from_json

    tuned = evidence.source / "tune.json"
    if not tuned.is_file():
        with progress("Simulating the other tail", evidence.nodes_to_simulate) as advance:
            return study(evidence, DEFAULT_GOAL, advance)
    try:
        return from_json(json.loads(tuned.read_text(encoding="utf-8")))
    except (KeyError, TypeError, ValueError) as error:
        raise BenchmarkError(f"{tuned}: damaged ({error}); `heartbench tune` writes it anew") from error
