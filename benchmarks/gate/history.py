"""Stored results of many revisions: a series per benchmark, and the lasting changes of its level.

Reads the files that pytest-benchmark writes (`--benchmark-autosave`, `--benchmark-json`). Results of different machines
are different series, because their times cannot be compared. Advisory only: a change point shows where to look.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.gate.changepoints import change_points


@dataclass(frozen=True, slots=True)
class Result:
    """One benchmark's median time, in s, at one revision."""

    revision: str
    time: str
    median_s: float


@dataclass(frozen=True, slots=True)
class Change:
    """A lasting change: the first revision of the new level, and its median time over that of the old level."""

    revision: str
    time: str
    position: int
    ratio: float


@dataclass(frozen=True, slots=True)
class Series:
    """One benchmark on one machine over time, and the changes of its level."""

    benchmark: str
    machine: str
    results: tuple[Result, ...]
    changes: tuple[Change, ...]


def read(directory: Path) -> list[Series]:
    """Return all series in a directory and those below it, by benchmark.

    Raises:
        BenchmarkError: the directory does not exist, or contains no result of pytest-benchmark.
    """
    if not directory.is_dir():
        raise BenchmarkError(f"--history {directory}: no such directory")
    found: dict[tuple[str, str], list[Result]] = {}
    for file in sorted(directory.rglob("*.json")):
        for machine, name, result in _results(file):
            found.setdefault((name, machine), []).append(result)
    if not found:
        raise BenchmarkError(
            f"--history {directory}: no results of pytest-benchmark found (files that --benchmark-json writes)"
        )
    return [series(name, machine, results) for (name, machine), results in sorted(found.items())]


def series(benchmark: str, machine: str, results: Iterable[Result]) -> Series:
    """Return a series in order of time, with its changes."""
    ordered = tuple(sorted(results, key=lambda result: result.time))
    times = [result.median_s for result in ordered]
    starts = change_points(times)
    borders = [0, *starts, len(times)]
    levels = [float(np.median(times[a:b])) for a, b in pairwise(borders)]
    changes = [
        Change(ordered[start].revision, ordered[start].time, start, after / before)
        for start, (before, after) in zip(starts, pairwise(levels), strict=True)
    ]
    return Series(benchmark, machine, ordered, tuple(changes))


def _results(file: Path) -> Iterable[tuple[str, str, Result]]:
    """Yield the results in one file; a JSON file of another kind has none."""
    try:
        document = json.loads(file.read_text("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, IsADirectoryError, RecursionError):
        return
    if not isinstance(document, dict) or not isinstance(document.get("benchmarks"), list):
        return
    try:
        yield from _results_of(document, file)
    except (AttributeError, KeyError, TypeError) as error:
        raise BenchmarkError(
            f"{file}: not a valid result of pytest-benchmark; expected fullname and stats.median for each benchmark"
        ) from error


def _results_of(document: Mapping[str, Any], file: Path) -> Iterable[tuple[str, str, Result]]:
    commit: Mapping[str, Any] = document.get("commit_info") or {}
    info: Mapping[str, Any] = document.get("machine_info") or {}
    cpu = (info.get("cpu") or {}).get("brand_raw", "")
    machine = f"{info.get('node', '')} {cpu} {info.get('python_version', '')}".strip()
    time = str(commit.get("time") or document.get("datetime") or file.name)
    revision = str(commit.get("id") or file.stem)
    for entry in document["benchmarks"]:
        median_s = entry["stats"]["median"]
        if median_s > 0:
            yield machine, str(entry["fullname"]), Result(revision, time, median_s)


def as_json(found: Iterable[Series]) -> dict[str, Any]:
    """Return the object that `--history … --json` prints."""
    rows = [
        {
            "name": each.benchmark,
            "machine": each.machine,
            "revisions": len(each.results),
            "changes": [{"revision": x.revision, "time": x.time, "ratio": x.ratio} for x in each.changes],
        }
        for each in found
    ]
    return {"schema": "heartbench.history/1", "series": rows}
