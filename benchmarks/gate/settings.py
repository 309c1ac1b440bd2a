"""What a project may set for its gate: the table `[tool.heartbench.bench]` of its pyproject.toml.

    [tool.heartbench.bench]
    suite = ["benchmarks"]          # what pytest is given; default: benchmarks/ or tests/benchmarks/
    overlay = ["benchmarks/data"]   # what both sides take from the head besides test files: it is not compared
    rounds = 16
    [tool.heartbench.bench.benchmark."*::test_startup*"]
    margin = 0.02
    least_effect = 0.05

Every key has a default; an unknown key or a value out of range is refused by name.
"""

import tomllib
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.gate.verdict import Rules
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.units import parse_duration

TABLE = "tool.heartbench.bench"
USUAL_SUITES = ("benchmarks", "tests/benchmarks")


def _seconds(value: Any) -> float:
    try:
        return parse_duration(value)
    except SimulatorError as error:
        raise ValueError(str(error)) from None


Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]


class Table(BaseModel):
    """A table of pyproject.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BenchmarkTable(Table):
    """What differs for the benchmarks that a pattern names."""

    margin: Share | None = None
    least_effect: Share | None = None


class Settings(Table):
    """Everything that decides how a comparison is measured and judged."""

    suite: tuple[str, ...] = ()
    """Files, folders or node ids that pytest is given, relative to the project."""
    overlay: tuple[str, ...] = ()
    """Git pathspecs of what both sides take from the head besides the suite's test files and `conftest.py`.

    More files make fewer comparisons: what differs in them is not compared.
    """
    pytest_args: tuple[str, ...] = ()
    """More arguments for pytest, such as `-m quick`."""
    pythonpath: tuple[str, ...] = (".", "src")
    """Folders of a worktree that modules are imported from; those that do not exist are left out."""
    prepare: tuple[str, ...] = ()
    """A command that makes a fresh worktree ready, such as one that compiles extensions in place."""
    python: str = ""
    """The project's interpreter; its `.venv` where it has one, else the one that runs the gate."""
    rounds: int = Field(16, ge=2, le=64)
    """Rounds of fresh processes before the first verdict; as many again for what is undecided then."""
    max_time: Seconds = 0.06
    """Measured time of one benchmark in one process, in s (`--benchmark-max-time`)."""
    min_time: Seconds = 0.0001
    """Least length of one of pytest-benchmark's rounds, in s: long against the clock's resolution."""
    process_timeout: Seconds = 600.0
    """A process of which nothing is heard for longer, in s, is a failed measurement."""
    budget: Seconds = 600.0
    """More rounds for undecided benchmarks are begun only if they are expected to end within this time, in s."""
    level: Share = 0.01
    """Chance of any false red in a comparison, over the whole suite."""
    margin: Share = 0.01
    """By how much of its time a benchmark may be slower before that is evidence."""
    least_effect: Share = 0.02
    """The least estimate that is worth a red."""
    benchmark: dict[str, BenchmarkTable] = {}
    """Other margins for the benchmarks whose name is, or matches (`*`), the key; the last match counts."""

    def rules(self, name: str) -> Rules:
        """The rules for one benchmark."""
        margin, least = self.margin, self.least_effect
        for pattern, table in self.benchmark.items():
            if name == pattern or fnmatchcase(name, pattern.replace("[", "[[]")):
                margin = table.margin or margin
                least = table.least_effect or least
        return Rules(margin, least)

    def rules_for(self, names: Iterable[str]) -> dict[str, Rules]:
        """The rules for each benchmark."""
        return {name: self.rules(name) for name in names}


def load(project: Path, **overrides: Any) -> Settings:
    """Read a project's settings; overrides that are None are ignored.

    Raises:
        BenchmarkError: the file is no TOML, or a value in it (or an override) is not allowed.
    """
    file = project / "pyproject.toml"
    table = _table(file)
    given = {key: value for key, value in overrides.items() if value is not None}
    try:
        return Settings.model_validate({**table, **given})
    except ValidationError as error:
        raise BenchmarkError(_explain(file, error, given)) from None


def _table(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        found: Any = tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BenchmarkError(f"{file}: no TOML: {error}") from None
    for key in TABLE.split("."):
        found = found.get(key, {})
        if not isinstance(found, dict):
            raise BenchmarkError(f"{file}: {TABLE}: must be a table")
    return dict(found)


def _explain(file: Path, error: ValidationError, given: dict[str, Any]) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    where = f"--{key.replace('_', '-')}" if first["loc"][0] in given else f"{file}: {TABLE}.{key}"
    if first["type"] == "extra_forbidden":
        return f"{where}: unknown key; allowed: {', '.join(Settings.model_fields)}"
    said = first["msg"].removeprefix("Value error, ").replace("Input should", "must").partition(", unable to parse")[0]
    return f"{where} = {first['input']!r}: {said}"


def chosen_suite(project: Path, asked: Iterable[str], settings: Settings) -> tuple[str, ...]:
    """What pytest is to be given: what was asked for, else what is set, else the usual folder.

    A name that is no path is looked for in the usual folders: `history` is `benchmarks/history`.

    Raises:
        BenchmarkError: there is no such path, or nothing to choose from.
    """
    wanted = tuple(asked) or settings.suite
    if not wanted:
        wanted = tuple(folder for folder in USUAL_SUITES if (project / folder).is_dir())[:1]
    if not wanted:
        raise BenchmarkError(f"{project}: no suite: name a folder or file, or set {TABLE}.suite in pyproject.toml")
    return tuple(_located(project, name) for name in wanted)


def _located(project: Path, name: str) -> str:
    path, separator, test = name.partition("::")
    for folder in ("", *USUAL_SUITES):
        candidate = Path(folder) / path
        if (project / candidate).exists():
            return f"{candidate.as_posix()}{separator}{test}"
    raise BenchmarkError(f"{name}: no such suite in {project}; allowed: a path, or the name of a folder in benchmarks/")
