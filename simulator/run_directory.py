"""The results of a run in one directory: `run.json`, `trace/`, `nodes.parquet`, `truth.parquet`, `transitions.parquet`.

A run directory is created empty, and is complete once it holds `run.json`, which is written last and whole. A run that
keeps no trace has `run.json` alone, in which `trace` is false.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from heartbench.simulator.errors import SimulatorError

SCHEMA = "heartbench.run/1"
RUNS = Path("results/runs")


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """A directory with the results of one run."""

    path: Path

    @classmethod
    def create(cls, path: Path | None, scenario: str, engine: str) -> Self:
        """Create an empty run directory: at `path`, or the next free `results/runs/<scenario>-<engine>-<n>`.

        Raises:
            SimulatorError: `path` is not empty, or cannot be created.
        """
        if path is None:
            return cls(_next_free(RUNS, f"{_file_name(scenario)}-{engine}"))
        try:
            path.mkdir(parents=True, exist_ok=True)
            taken = any(path.iterdir())
        except OSError as error:
            raise SimulatorError(f"{path}: cannot be used as a run directory ({error.strerror})") from error
        if taken:
            raise SimulatorError(f"{path}: is not empty; use a new or empty directory")
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Return the finished run in `path`.

        Raises:
            SimulatorError: there is no finished run in it.
        """
        if not path.exists():
            raise SimulatorError(f"{path}: no such directory")
        if not (path / "run.json").is_file():
            raise SimulatorError(f"{path}: not a run directory, it has no run.json; `heartbench run` makes one")
        return cls(path)

    @classmethod
    def newest(cls, folder: Path = RUNS) -> Self:
        """Return the run in `folder` that was finished last.

        Raises:
            SimulatorError: there are no runs.
        """
        records = sorted(folder.glob("*/run.json"), key=lambda record: record.stat().st_mtime_ns)
        if not records:
            raise SimulatorError(f"{folder}: no run yet; `heartbench run` makes one")
        return cls(records[-1].parent)

    @property
    def record_file(self) -> Path:
        """`run.json`: schema, engine, seed, settings, counts; `heartbench run` adds command, revision and figures."""
        return self.path / "run.json"

    @property
    def trace(self) -> Path:
        """The folder of the trace's parts."""
        return self.path / "trace"

    @property
    def nodes(self) -> Path:
        """The group and the name of each node."""
        return self.path / "nodes.parquet"

    @property
    def truth(self) -> Path:
        """What really happened to nodes and hub."""
        return self.path / "truth.parquet"

    @property
    def transitions(self) -> Path:
        """Status changes of the hub; live engine only."""
        return self.path / "transitions.parquet"

    @property
    def observer(self) -> Path:
        """The hub's own record of messages and changes; live engine only."""
        return self.path / "observer.jsonl"

    def write_record(self, record: Mapping[str, Any]) -> None:
        """Write `run.json`, whole or not at all, with its schema version."""
        unfinished = self.path / "run.json.unfinished"
        with unfinished.open("w", encoding="utf-8") as file:
            json.dump({"schema": SCHEMA, **record}, file, indent=2, allow_nan=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self.record_file)

    def read_record(self) -> dict[str, Any]:
        """Return the content of `run.json`.

        Raises:
            SimulatorError: it is damaged, or of another schema version.
        """
        try:
            record = json.loads(self.record_file.read_text(encoding="utf-8"))
        except (ValueError, OSError, RecursionError) as error:
            reason = error.strerror if isinstance(error, OSError) else f"it is not JSON: {error}"
            raise SimulatorError(f"{self.record_file}: cannot be read: {reason}") from error
        found = record.get("schema") if isinstance(record, dict) else None
        if found != SCHEMA:
            raise SimulatorError(f"{self.record_file}: schema: {found!r}; expected {SCHEMA}")
        return dict(record)


def _next_free(folder: Path, stem: str) -> Path:
    """Create and return `folder`/`stem`-n, where n is one more than the largest that exists."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        numbers = [int(match[1]) for path in folder.iterdir() if (match := re.fullmatch(rf"{stem}-(\d+)", path.name))]
        number = max(numbers, default=0) + 1
        while True:
            try:
                (folder / f"{stem}-{number}").mkdir()
            except FileExistsError:
                number += 1  # another run has just begun
            else:
                return folder / f"{stem}-{number}"
    except OSError as error:
        raise SimulatorError(f"{folder}: cannot create a run directory in it ({error.strerror})") from error


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-") or "run"
