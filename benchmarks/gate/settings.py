"""The settings of a project's gate: the table `[tool.heartbench.bench]` of its pyproject.toml.

    [tool.heartbench.bench]
    suite = ["benchmarks"]          # passed to pytest; default: benchmarks/ or tests/benchmarks/
    overlay = ["benchmarks/data"]   # files that both sides take from the head besides test files: not compared
    rounds = 16
    [tool.heartbench.bench.benchmark."*::test_startup*"]
    margin = 0.02
    least_effect = 0.05

Every key has a default; an unknown key or a value out of range is an error that names it.
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
    """Settings of the benchmarks that match a pattern."""

    margin: Share | None = None
    least_effect: Share | None = None


class Settings(Table):
    """How a comparison is measured and judged."""

    suite: tuple[str, ...] = ()
    """Files, folders or node ids that pytest is given, relative to the project."""
    overlay: tuple[str, ...] = ()
    """Git pathspecs of files that both sides take from the head besides the suite's test files and `conftest.py`.

    Changes of these files are not compared.
    """
    pytest_args: tuple[str, ...] = ()
    """More arguments for pytest, such as `-m quick`."""
    pythonpath: tuple[str, ...] = (".", "src")
    """Folders of a worktree that modules are imported from; missing ones are ignored."""
    prepare: tuple[str, ...] = ()
    """A command that prepares a fresh worktree, for instance compiles extensions in place."""
    python: str = ""
    """The project's interpreter; default: that of its `.venv`, or the one that runs the gate if there is none."""
    rounds: int = Field(16, ge=2, le=64)
    """Rounds of fresh processes before the first verdict; undecided benchmarks get as many again."""
    max_time: Seconds = 0.06
    """Measured time of one benchmark in one process, in s (`--benchmark-max-time`)."""
    min_time: Seconds = 0.0001
    """Least length of one of pytest-benchmark's rounds, in s: long against the clock's resolution."""
    process_timeout: Seconds = 600.0
    """Longest time without a message from a process, in s; then the measurement fails."""
    budget: Seconds = 600.0
    """More rounds for undecided benchmarks are started only if they are expected to end within this time, in s."""
    level: Share = 0.01
    """Probability of any false *slower* in a comparison, over the whole suite."""
    margin: Share = 0.01
    """Fraction of its time by which a benchmark may be slower before that counts as evidence."""
    least_effect: Share = 0.02
    """The least estimated slowdown that is reported as *slower*."""
    benchmark: dict[str, BenchmarkTable] = {}
    """Other margins for benchmarks whose name equals the key or matches it (`*`); the last match counts."""

    def rules(self, name: str) -> Rules:
        """Return the rules for one benchmark."""
        margin, least = self.margin, self.least_effect
        for pattern, table in self.benchmark.items():
            if name == pattern or fnmatchcase(name, pattern.replace("[", "[[]")):
                margin = table.margin or margin
                least = table.least_effect or least
        return Rules(margin, least)

    def rules_for(self, names: Iterable[str]) -> dict[str, Rules]:
        """Return the rules for each benchmark."""
        return {name: self.rules(name) for name in names}


def load(project: Path, **overrides: Any) -> Settings:
    """Read a project's settings; overrides that are None are ignored.

    Raises:
        BenchmarkError: the file is not valid TOML, or a value in it (or an override) is not allowed.
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
        raise BenchmarkError(f"{file}: not valid TOML: {error}") from None
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
    message = first["msg"].removeprefix("Value error, ").partition(", unable to parse")[0]
    return f"{where} = {first['input']!r}: {message.replace('Input should', 'must')}"


def chosen_suite(project: Path, asked: Iterable[str], settings: Settings) -> tuple[str, ...]:
    """Return the suite to pass to pytest: the requested one, else the configured one, else the usual folder.

    A name that is not a path is searched for in the usual folders: `history` is `benchmarks/history`.

    Raises:
        BenchmarkError: the path does not exist, or there is no suite.
    """
    usual = tuple(folder for folder in USUAL_SUITES if (project / folder).is_dir())[:1]
    wanted = tuple(asked) or settings.suite or usual
    if not wanted:
        raise BenchmarkError(f"{project}: no suite found; name a folder or file, or set suite in {TABLE}")
    return tuple(_located(project, name) for name in wanted)


def _located(project: Path, name: str) -> str:
    path, separator, test = name.partition("::")
    for folder in ("", *USUAL_SUITES):
        candidate = Path(folder) / path
        if (project / candidate).exists():
            return f"{candidate.as_posix()}{separator}{test}"
    raise BenchmarkError(f"{name}: not found in {project}; expected a path, or the name of a folder in benchmarks/")
