"""Results on disk: one folder per suite with its table (CSV to compute with, Markdown to read) and its plots.

provenance.json        command, revision, machine, versions, seed, date, and other load on the machine
history/               append.csv, left_out.csv, tables.md, append.svg, memory.svg
executors/             open_loop.csv, tables.md, heartbeats.svg, waiting.svg, waits.svg
thresholds/            profiles.csv, tables.md, profiles.svg
scaling/               scaling.csv, slopes.csv, tables.md, scaling.svg
benchmarks.json        by pytest-benchmark, with the provenance
"""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.provenance import Machine, Provenance

TABLES = {
    "history": "history/append.csv",
    "left_out": "history/left_out.csv",
    "executors": "executors/open_loop.csv",
    "thresholds": "thresholds/profiles.csv",
    "scaling": "scaling/scaling.csv",
    "slopes": "scaling/slopes.csv",
}
PROVENANCE = "provenance.json"


@dataclass(frozen=True, slots=True)
class SuiteProvenance(Provenance):
    """The provenance of the suites' results, with date, seed, and the load of the machine before."""

    seed: int
    when: str
    load_average: float
    remark: str


@dataclass(frozen=True, slots=True)
class Results:
    """The results of all suites as frames, and their provenance."""

    folder: Path
    history: pd.DataFrame
    left_out: pd.DataFrame
    executors: pd.DataFrame
    thresholds: pd.DataFrame
    scaling: pd.DataFrame
    slopes: pd.DataFrame
    provenance: SuiteProvenance


def read_results(folder: Path) -> Results:
    """Read the results that `make bench` wrote, or those committed under results/reference.

    Raises:
        BenchmarkError: a file is missing or damaged.
    """
    try:
        frames = {name: read_frame(folder / file) for name, file in TABLES.items()}
        document = json.loads((folder / PROVENANCE).read_text("utf-8"))
        provenance = SuiteProvenance(**{**document, "machine": Machine(**document["machine"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BenchmarkError(f"{folder}: {error}; `make bench` writes all of them") from error
    return Results(folder=folder, provenance=provenance, **frames)


def missing(folder: Path) -> list[str]:
    """Return the missing files that the page needs."""
    return [file for file in (*TABLES.values(), PROVENANCE) if not (folder / file).is_file()]


def read_frame(path: Path) -> pd.DataFrame:
    """Read a table of TABLES; a load such as 0.5 is a name."""
    return pd.read_csv(path, dtype={"load": str}, keep_default_na=False, na_values=[""])


def write_frame(frame: pd.DataFrame, folder: Path, name: str) -> None:
    """Write a table of TABLES with six digits, more than any measurement supports."""
    path = folder / TABLES[name]
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False, float_format="%.6g")
