"""Measure the suites and write their results: tables, plots, pytest-benchmark's file, and the provenance."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from matplotlib.axes import Axes

from heartbench.analysis.report import profile_costs as profiles
from heartbench.analysis.report import style
from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.executors import compare as executors
from heartbench.benchmarks.history import compare as histories
from heartbench.benchmarks.provenance import provenance
from heartbench.benchmarks.scaling import measure as scaling
from heartbench.benchmarks.suites import tables
from heartbench.benchmarks.suites.results import PROVENANCE, Results, SuiteProvenance, write_frame

Say = Callable[[str], None]
BENCHMARKS = "benchmarks.json"
PYTEST = ["--benchmark-enable", "--benchmark-only", "--benchmark-max-time=0.2", "--benchmark-columns=median,iqr,rounds"]
SEED = profiles.SEED


def operations(folder: Path, say: Say) -> None:
    """Run every benchmark of pytest-benchmark, and add the provenance to its file.

    Raises:
        BenchmarkError: a benchmark failed.
    """
    say("operations: pytest-benchmark")
    path = folder / BENCHMARKS
    source = Path(__file__).resolve().parent.parent
    words = [sys.executable, "-m", "pytest", str(source), f"--rootdir={source.parent}", *PYTEST]
    done = subprocess.run(  # noqa: S603  (the arguments are ours)
        [*words, f"--benchmark-json={path}"], stdout=sys.stderr, check=False
    )
    if done.returncode:
        raise BenchmarkError(f"pytest {source}: exit status {done.returncode}; see above")
    written = json.loads(path.read_text("utf-8"))
    written["heartbench"] = asdict(provenance_of())
    path.write_text(json.dumps(written, indent=1) + "\n", "utf-8")


def growth(folder: Path, say: Say) -> None:
    """Measure how costs grow with size."""
    found = scaling.measure_scaling(progress=say)
    write_frame(found, folder, "scaling")
    write_frame(scaling.fit_slopes(found), folder, "slopes")


def history(folder: Path, say: Say) -> None:
    """Measure histories."""
    write_frame(histories.compare(progress=say), folder, "history")
    write_frame(histories.left_out(), folder, "left_out")


SUITES: dict[str, Callable[[Path, Say], None]] = {
    "thresholds": lambda folder, say: write_frame(profiles.compare_profiles(progress=say), folder, "thresholds"),
    "history": history,
    "executors": lambda folder, say: write_frame(executors.compare(progress=say), folder, "executors"),
    "scaling": growth,
    "operations": operations,
}
"""By name; they take about 0.25, 1.5, 3, 1.5 and 3 minutes."""


def provenance_of() -> SuiteProvenance:
    """Return what makes the results now."""
    made, load = provenance("make bench"), os.getloadavg()[0]
    remark = f"The machine was in use before the start (load average {load:.1f}): compare figures with each other."
    today, remark = f"{datetime.now(UTC):%Y-%m-%d}", remark if load >= 0.5 else ""
    return SuiteProvenance(
        made.command, made.revision, made.machine, made.versions, SEED, today, round(load, 2), remark
    )


def measure(folder: Path, suites: Sequence[str], say: Say) -> list[str]:
    """Run suites one after the other and return those that failed; each writes its files before the next starts."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PROVENANCE).write_text(json.dumps(asdict(provenance_of()), indent=1) + "\n", "utf-8")
    failed = []
    for suite in suites:
        try:
            SUITES[suite](folder, say)
        except BenchmarkError as error:  # the results of the others are useful; the caller gets the failures
            say(f"{suite} failed: {error}")
            failed.append(suite)
    return failed


def draw(results: Results) -> None:
    """Draw all plots and write the complete tables, from the results alone."""
    plots: dict[str, Axes] = {
        "history/append": histories.plot_append(results.history),
        "history/memory": histories.plot_memory(results.history),
        "executors/heartbeats": executors.plot_heartbeats(results.executors),
        "executors/waiting": executors.plot_waiting(results.executors),
        "executors/waits": executors.plot_waits(results.executors),
        "thresholds/profiles": profiles.plot_profiles(results.thresholds),
        "scaling/scaling": scaling.plot_scaling(results.scaling),
    }
    kind = {"thresholds": "simulated"}
    for name, ax in plots.items():
        suite = name.split("/")[0]
        made = results.provenance
        style.caption(ax, f"{kind.get(suite, 'measured')} · {made.command} · seed {made.seed}")
        style.save(ax, results.folder / f"{name}.svg")
    for suite, text in whole_tables(results).items():
        (results.folder / suite / "tables.md").write_text(text, "utf-8")


def whole_tables(results: Results) -> dict[str, str]:
    """Return the complete tables in Markdown, by suite."""
    loads = [
        f"## Load {executors.tick(load)}\n\n{tables.executors(results.executors, load)}"
        for load in results.executors.load.unique()
    ]
    return {
        "history": "# Histories\n\nCPU time, measured.\n\n"
        + tables.history_times(results.history)
        + "\nMemory and the garbage collector, measured; nodes in turn, then a build log in 64 KiB chunks.\n\n"
        + tables.history_memory(results.history)
        + "\nNot measured, because it would not fit into memory (estimated).\n\n"
        + tables.left_out(results.left_out),
        "executors": "# Executors\n\nMeasured. Load: arriving messages as a share of the capacity.\n\n"
        + "\n".join(loads),
        "thresholds": "# Thresholds\n\nFalse stales per node-day (95% interval), simulated.\n\n"
        + tables.thresholds(results.thresholds),
        "scaling": "# Growth\n\nMeasured.\n\n" + tables.scaling(results.scaling) + "\n" + tables.slopes(results.slopes),
    }
