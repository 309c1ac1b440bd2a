"""`heartbench sweep`: simulate a scenario for all combinations of some settings, and tabulate what each does."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heartbench.cli.goal_options import JSON
from heartbench.cli.output import check_folder, console, plain, print_json, print_table, progress, write_whole
from heartbench.cli.scheduler_option import Scheduler
from heartbench.hub.program import warn

if TYPE_CHECKING:
    import pandas as pd

    from heartbench.analysis.sweep import Store, Sweep

SWEEPS = Path("results/sweeps")
TABLE, PLOT = "sweep.parquet", "sweep.svg"
MOST_ROWS = 40
FAILED = 1
INTERRUPTED = 130

Vary = Annotated[
    list[str] | None,
    typer.Option(
        "--vary", metavar="KEY=V1,V2,…", help="Values of a key, or KEY=FROM..TO:STEPS. Several: all combinations."
    ),
]


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a sweep's cells: figures by number, how many were found finished, why others have none."""

    figures: dict[int, Any]
    found: int
    failed: dict[int, str]


def sweep(
    context: typer.Context,
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO|FILE", help="A shipped scenario, or a TOML file.")],
    vary: Vary = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="1..5", help="Seeds of each combination, or 1,2,7. Default: the scenario's.")
    ] = None,
    stale_after: Annotated[
        str | None,
        typer.Option(metavar="30s,60s,…", help="Thresholds to judge in each run. Default: as the scenario's hub."),
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the scenario in all runs.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Where results go; results/sweeps/SCENARIO.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes for the runs; one per core.")] = None,
    scheduler: Scheduler = None,
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Simulate a scenario for all combinations of values, each with all seeds.

    Keys are those of `heartbench run --set`, also of the hub, such as
    hub.stale_after_s. DIR gets sweep.parquet, with one row per run, threshold
    and group; sweep.svg; sweep.json; and a file for each finished run, so that
    the same command resumes a sweep that was interrupted. Exit status 1: a run
    failed; the table has all others.
    """
    from heartbench.analysis.sweep import Store

    planned = plan(scenario, vary or [], seeds, stale_after, overrides or [])
    folder = out or SWEEPS / file_name(planned.name)
    check_folder(folder, "--out")
    store = Store(folder / "cells")
    done = run_and_keep(planned, store, scheduler, workers)
    if done is None:
        return INTERRUPTED
    warn(*failures(planned, done))
    table = write_results(planned, done, folder)
    result = record(planned, done, folder)
    if table is not None:
        write_record(folder / "sweep.json", result, context.obj)
    if as_json:
        print_json(result)
    elif table is not None:
        show(planned, table, folder)
    return FAILED if done.failed else 0


def file_name(name: str) -> str:
    """Return a scenario's name as that of a folder."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name).strip("-") or "sweep"


def plan(scenario: str, vary: list[str], seeds: str | None, stale_after: str | None, overrides: list[str]) -> "Sweep":
    """Return the sweep that the options describe, with every run checked."""
    from heartbench.analysis.sweep import parse_seeds, parse_vary, plan_sweep
    from heartbench.simulator.units import parse_duration

    thresholds = [] if stale_after is None else [parse_duration(x, "--stale-after") for x in stale_after.split(",")]
    chosen = () if seeds is None else parse_seeds(seeds)
    return plan_sweep(scenario, [parse_vary(text) for text in vary], chosen, overrides, thresholds)


def run_and_keep(planned: "Sweep", store: "Store", scheduler: str | None, workers: int | None) -> Done | None:
    """Run the cells that are not finished, and keep each as it comes; None if that was interrupted."""
    from heartbench.analysis.sweep import Failure, made_by, run_cells
    from heartbench.simulator.interrupts import raised

    digests = [cell.digest(made_by()) for cell in planned.cells]
    figures = {number: kept for number, digest in enumerate(digests) if (kept := store.read(digest)) is not None}
    done = Done(figures, len(figures), {})
    left = [cell for cell in planned.cells if cell.number not in figures]
    if done.found:
        warn(f"{done.found} of {len(planned.cells)} runs are finished already; {store.folder} has them")
    try:
        with (
            raised(),
            progress("Simulating", len(left)) as advance,
            closing(run_cells(left, scheduler, workers)) as runs,
        ):
            for cell, outcome in runs:
                if isinstance(outcome, Failure):
                    done.failed[cell.number] = outcome.reason
                else:
                    store.write(digests[cell.number], outcome.figures)
                    done.figures[cell.number] = outcome.figures
                advance(1)
    except KeyboardInterrupt:
        count = f"{len(done.figures)} of {len(planned.cells)}"
        warn(f"interrupted: {count} runs are finished, and kept in {store.folder}; the same command does the rest")
        return None
    return done


def failures(planned: "Sweep", done: Done) -> Iterator[str]:
    """Yield each reason for which runs failed, with the first of them."""
    for reason, count in Counter(done.failed.values()).items():
        first = next(number for number, why in done.failed.items() if why == reason)
        label = " ".join(planned.labels(planned.cells[first]))
        yield f"{count} of {len(planned.cells)} runs failed: {reason}; first: {label}"


def write_results(planned: "Sweep", done: Done, folder: Path) -> "pd.DataFrame | None":
    """Write table and plot, and return the table; None if no cell has figures."""
    if not done.figures:
        return None
    from heartbench.analysis.report.style import svg
    from heartbench.analysis.sweep import table_of, write_table
    from heartbench.analysis.sweep.plot import plot_sweep

    table = table_of(planned, done.figures)
    write_table(folder / TABLE, table)
    frame = table.to_pandas()
    write_whole(folder / PLOT, svg(plot_sweep(planned, frame)))
    return frame


def record(planned: "Sweep", done: Done, folder: Path) -> dict[str, Any]:
    """Return what `sweep.json` and --json have; table and plot are null if no cell has figures."""
    failed = ({"run": planned.labels(planned.cells[n]), "reason": why} for n, why in sorted(done.failed.items()))
    return {
        "schema": "heartbench.sweep/1",
        "scenario": planned.name,
        "varied": {each.key: each.values for each in planned.varied},
        "seeds": planned.seeds,
        "stale_after_s": planned.stale_after_s,
        "table": folder / TABLE if done.figures else None,
        "plot": folder / PLOT if done.figures else None,
        "rows": sum(map(len, done.figures.values())),
        "runs": len(planned.cells),
        "found": done.found,
        "failed": list(failed),
    }


def write_record(path: Path, result: dict[str, Any], command: str) -> None:
    """Write what was asked for and found, with command, revision and machine."""
    from heartbench.benchmarks.provenance import provenance

    write_whole(path, json.dumps(plain({**result, **asdict(provenance(command))}), indent=2) + "\n")


def show(planned: "Sweep", frame: "pd.DataFrame", folder: Path) -> None:
    """Print the combinations with their seeds taken together, and where the table is."""
    from heartbench.analysis.sweep.summary import dimensions, finding, summary_of

    summary = summary_of(planned, frame)
    shown = [each for each in dimensions(planned, frame) if each.column != "group" or len(each.texts) > 1]
    spread = "95% interval,\nsimulation" if len(planned.seeds) == 1 else "lowest and\nhighest seed"
    figures = ["false stales\nper node-day", spread, "detection\ntime (p50)", "detection\ntime (p99)"]
    columns = [*(each.name for each in shown), *figures, "visible flaps\nper hour"]
    rows = [
        (*(each.texts[row[each.column]] for each in shown), *cells(row))
        for row in summary.head(MOST_ROWS).to_dict("records")
    ]
    seeds = f"seed {planned.seeds[0]}" if len(planned.seeds) == 1 else f"{len(planned.seeds)} seeds"
    print_table(f"{planned.name}, {seeds}", columns, rows)
    if len(summary) > MOST_ROWS:
        print(f"{MOST_ROWS} of {len(summary)} rows; the table has all.")
    console().print(finding(planned, summary))
    print(f"Wrote {folder / TABLE} and {folder / PLOT}")


def cells(row: dict[Any, Any]) -> tuple[str, ...]:
    """Return the figures of one combination."""
    from heartbench.analysis.cases.run import text_of

    return (
        text_of(row["false_stale_per_node_day"]),
        f"{text_of(row['false_stale_low'])} to {text_of(row['false_stale_high'])}",
        f"{text_of(row['detection_p50_s'])} s",
        f"{text_of(row['detection_p99_s'])} s",
        text_of(row["flashes_per_hour"]),
    )
