"""Measure the suites and write what they found: tables, plots, pytest-benchmark's file, and where it all comes from."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from heartbench.analysis.report import profile_costs as profiles
from heartbench.analysis.report import style
from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.executors import compare as executors
from heartbench.benchmarks.history import compare as histories
from heartbench.benchmarks.provenance import provenance
from heartbench.benchmarks.scaling import measure as scaling
from heartbench.benchmarks.suites import tables
from heartbench.benchmarks.suites.results import PROVENANCE, Results, write_frame

Say = Callable[[str], None]
BENCHMARKS = "benchmarks.json"
PYTEST = ["--benchmark-enable", "--benchmark-only", "--benchmark-max-time=0.2", "--benchmark-columns=median,iqr,rounds"]
SEED = profiles.SEED


def history(folder: Path, say: Say) -> None:
    """The histories, and what was left out."""
    write_frame(histories.compare(progress=say), folder, "history")
    write_frame(histories.left_out(), folder, "left_out")


def blocking(folder: Path, say: Say) -> None:
    """The executors."""
    write_frame(executors.compare(progress=say), folder, "executors")


def stale(folder: Path, say: Say) -> None:
    """The thresholds."""
    write_frame(profiles.compare_profiles(progress=say), folder, "thresholds")


def growth(folder: Path, say: Say) -> None:
    """How costs grow."""
    found = scaling.measure_scaling(progress=say)
    write_frame(found, folder, "scaling")
    write_frame(scaling.fit_slopes(found), folder, "slopes")


def operations(folder: Path, say: Say) -> None:
    """Every benchmark of pytest-benchmark, with the provenance put into its file.

    Raises:
        BenchmarkError: One of them failed.
    """
    say("operations: pytest-benchmark")
    path = folder / BENCHMARKS
    source = Path(__file__).resolve().parent.parent
    words = [sys.executable, "-m", "pytest", str(source), f"--rootdir={source.parent}", *PYTEST]
    done = subprocess.run(  # noqa: S603  (the words are ours)
        [*words, f"--benchmark-json={path}"], stdout=sys.stderr, check=False
    )
    if done.returncode:
        raise BenchmarkError(f"pytest {source}: exit status {done.returncode}; see above")
    written = json.loads(path.read_text("utf-8"))
    written["heartbench"] = provenance_of()
    path.write_text(json.dumps(written, indent=1) + "\n", "utf-8")


SUITES: dict[str, Callable[[Path, Say], None]] = {
    "thresholds": stale,
    "history": history,
    "executors": blocking,
    "scaling": growth,
    "operations": operations,
}
"""By name; about a quarter of a minute, a minute and a half, three, one and a half, and three."""


def provenance_of(remark: str = "") -> dict[str, Any]:
    """What made the results, when, from which seed, and how busy the machine was before."""
    busy = os.getloadavg()[0]
    return {
        **provenance("make bench"),
        "seed": SEED,
        "when": f"{datetime.now(UTC):%Y-%m-%d}",
        "load_average": round(busy, 2),
        "remark": remark or shared(busy),
    }


def shared(busy: float) -> str:
    """A word of warning where others used the machine."""
    if busy < 0.5:
        return ""
    return f"The machine was in use before it began (load average {busy:.1f}): compare figures with each other."


def measure(folder: Path, suites: Sequence[str], say: Say) -> list[str]:
    """Run suites one after the other and return those that failed; each leaves its files before the next begins."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PROVENANCE).write_text(json.dumps(provenance_of(), indent=1) + "\n", "utf-8")
    failed = []
    for suite in suites:
        try:
            SUITES[suite](folder, say)
        except BenchmarkError as error:  # the others are worth having; whoever called is told
            say(f"{suite} failed: {error}")
            failed.append(suite)
    return failed


def draw(results: Results) -> None:
    """All plots and the whole tables, from the results alone."""
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
        style.caption(ax, f"{kind.get(suite, 'measured')} · {made['command']} · seed {made['seed']}")
        style.save(ax, results.folder / f"{name}.svg")
    for suite, text in whole_tables(results).items():
        (results.folder / suite / "tables.md").write_text(text, "utf-8")


def whole_tables(results: Results) -> dict[str, str]:
    """By suite, everything in Markdown."""
    loads = [
        f"## Load {executors.tick(load)}\n\n{tables.executors(results.executors, load)}"
        for load in results.executors.load.unique()
    ]
    return {
        "history": "# Histories\n\nCPU time, measured.\n\n"
        + tables.history_times(results.history)
        + "\nMemory and the garbage collector, measured; nodes in turn, then a build log in 64 KiB chunks.\n\n"
        + tables.history_memory(results.history)
        + "\nWould not fit into the memory that is allowed (estimated).\n\n"
        + tables.left_out(results.left_out),
        "executors": "# Executors\n\nMeasured. Load: messages that come, as a share of what can be done.\n\n"
        + "\n".join(loads),
        "thresholds": "# Thresholds\n\nFalse stales per node-day (95% interval), simulated.\n\n"
        + tables.thresholds(results.thresholds),
        "scaling": "# Growth\n\nMeasured.\n\n" + tables.scaling(results.scaling) + "\n" + tables.slopes(results.slopes),
    }
