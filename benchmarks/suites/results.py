"""Results as they lie on disk: a folder a suite with its table (CSV to compute with, Markdown to read) and its plots.

provenance.json        command, revision, machine, versions, seed, when, and what else the machine did
history/               append.csv, left_out.csv, tables.md, append.svg, memory.svg
executors/             open_loop.csv, tables.md, heartbeats.svg, waiting.svg, waits.svg
thresholds/            profiles.csv, tables.md, profiles.svg
scaling/               scaling.csv, slopes.csv, tables.md, scaling.svg
benchmarks.json        of pytest-benchmark, with the provenance in it
"""

import json
from collections.abc import Iterable, Sequence
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
    """What made the results of the suites, when, from which seed, and the machine's load before."""

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
    """Read what `make bench` wrote, or what is committed under results/reference.

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
    """Files without which there is no page."""
    return [file for file in (*TABLES.values(), PROVENANCE) if not (folder / file).is_file()]


def read_frame(path: Path) -> pd.DataFrame:
    """A table of TABLES; a load such as 0.5 is a name."""
    return pd.read_csv(path, dtype={"load": str}, keep_default_na=False, na_values=[""])


def write_frame(frame: pd.DataFrame, folder: Path, name: str) -> None:
    """Write a table of TABLES; six figures are more than any of them means."""
    path = folder / TABLES[name]
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False, float_format="%.6g")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown; the first column to the left, the others to the right."""
    lines = ["| " + " | ".join(columns) + " |", "| --- |" + " ---: |" * (len(columns) - 1)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"
