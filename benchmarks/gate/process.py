"""One fresh process of the project's interpreter that runs the suite in one worktree.

Pinned, because two processes on two cores of a shared machine differ by twenty times what two on one core do. The
hash seed is given, because dictionaries that collide differently differ by more than what is looked for.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import Any

from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.gate import samples
from heartbench.benchmarks.gate.samples import Sample
from heartbench.benchmarks.gate.settings import Settings
from heartbench.benchmarks.gate.worktrees import Tree

PROBE = "heartbench_gate_probe"
COUNTING_PROBE = "heartbench_gate_counting"
"""The names of the probes in the project's interpreter."""
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Threads of numerical libraries would only share the one core."""
RAN = (0, 1, 5)
"""Exit statuses of pytest after which the probe's report can be read: passed, some failed, nothing collected."""
LAST_LINES = 3
MIN_ROUNDS = 3
"""Calls at least that pytest-benchmark takes the median of, in each pass."""


@contextmanager
def pinned(core: int | None = None) -> Iterator[int | None]:
    """Keep this process, and all that it starts, on one core; yields which, or None where that is not possible."""
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    allowed = os.sched_getaffinity(0)
    chosen = max(allowed) if core is None else core
    if chosen not in allowed:
        raise BenchmarkError(f"--core {chosen}: allowed: {', '.join(map(str, sorted(allowed)))}")
    os.sched_setaffinity(0, {chosen})
    try:
        yield chosen
    finally:
        os.sched_setaffinity(0, allowed)


def interpreter(project: Path, settings: Settings) -> Path:
    """The Python that runs the suite: as set, else the project's own environment, else this one.

    Raises:
        BenchmarkError: it cannot be run, or has no pytest-benchmark.
    """
    own = project / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    # Not resolved: the link in an environment is what makes it that environment.
    chosen = (project / Path(settings.python)) if settings.python else (own if own.exists() else Path(sys.executable))
    try:
        done = subprocess.run([chosen, "-c", "import pytest_benchmark"], capture_output=True, check=False)
    except OSError as error:
        raise BenchmarkError(f"python = {chosen}: cannot be run: {error.strerror}") from None
    if done.returncode:
        raise BenchmarkError(f"python = {chosen}: has no pytest-benchmark; install it there, or name another python")
    return chosen.absolute()


def hash_seed(seed: int, number: int) -> int:
    """PYTHONHASHSEED of a round: the same for all of its arms, another in the next."""
    return random.Random(f"hash {seed} {number}").randrange(1, 2**32)


@dataclass(frozen=True, slots=True)
class Order:
    """What one process is to measure: benchmarks (all of the suite where empty) and, in an exam, how much slower."""

    tree: Tree
    hash_seed: int
    benchmarks: Sequence[str] = ()
    turns: Mapping[str, float] | None = None
    warm_up: bool = False
    """Run each benchmark as briefly as can be: to compile, and to see what there is."""


@dataclass(frozen=True, slots=True)
class Measurer:
    """Starts processes, one at a time; keeps what they print in `directory`."""

    python: Path
    suite: Sequence[str]
    settings: Settings
    directory: Path

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        for name, file in ((PROBE, "probe.py"), (COUNTING_PROBE, "counting_probe.py")):
            copyfile(Path(__file__).with_name(file), self.directory / f"{name}.py")

    def collect(self, tree: Tree) -> list[str]:
        """The names of the benchmarks in a worktree, none of them run."""
        seen = self.run(Order(tree, hash_seed=1, warm_up=True), "collect", ["--collect-only"])[0]
        return list(seen["benchmarks"])

    def measure(self, order: Order, name: str) -> Sample:
        """Measure, and say what came of it.

        Raises:
            BenchmarkError: the process crashed, hung, or imported the project from elsewhere than its worktree.
        """
        start = time.monotonic()
        results = self.directory / f"{name}.json"
        results.unlink(missing_ok=True)
        seen, log = self.run(order, name, [f"--benchmark-json={results}", *self._timing(order)])
        if seen["strangers"]:
            raise BenchmarkError(
                f"{order.tree.project}: not measured here: {'; '.join(seen['strangers'][:LAST_LINES])}; "
                "allowed: modules of the worktree (see pythonpath and prepare in the docs)"
            )
        document = json.loads(results.read_text("utf-8")) if results.exists() else {}
        results.unlink(missing_ok=True)
        log.unlink()
        times = samples.from_pytest_benchmark(document, seen["failures"])
        wall_s = time.monotonic() - start
        return Sample(times, seen["failures"], seen["benchmarks"], seen["python"], wall_s)

    def _timing(self, order: Order) -> list[str]:
        if order.warm_up:
            return ["--benchmark-max-time=0.000001", "--benchmark-min-rounds=1", "--benchmark-min-time=0.000001"]
        return [
            f"--benchmark-max-time={self.settings.max_time / self.settings.passes:f}",
            f"--benchmark-min-time={self.settings.min_time:f}",
            f"--benchmark-min-rounds={MIN_ROUNDS}",
        ]

    def run(
        self,
        order: Order,
        name: str,
        arguments: Sequence[str],
        prefix: Sequence[str] = (),
        told: Mapping[str, Any] | None = None,
    ) -> tuple[dict[str, Any], Path]:
        """Run pytest, under the command `prefix` if there is one; what the probe saw, and where the output is.

        Raises:
            BenchmarkError: pytest did not get as far as running tests.
        """
        message, report, log = (self.directory / f"{name}.{kind}" for kind in ("told", "seen", "log"))
        roots = [str(order.tree.project / folder) for folder in self.settings.pythonpath]
        what: dict[str, Any] = {"report": str(report), "roots": roots, "only": self._only(order), **(told or {})}
        if order.turns is not None:
            what["turns"] = dict(order.turns)
        message.write_text(json.dumps(what), "utf-8")
        report.unlink(missing_ok=True)
        status = self._start([*prefix, *self._command(order, arguments)], order, message, log)
        if status in RAN and report.exists():
            seen = json.loads(report.read_text("utf-8"))
            message.unlink()
            report.unlink()
            return seen, log
        raise BenchmarkError(f"{order.tree.project}: pytest ended with status {status}: {_tail(log)} (see {log})")

    def _command(self, order: Order, arguments: Sequence[str]) -> list[str]:
        project = order.tree.project
        return [
            str(self.python), "-m", "pytest", "-q", *arguments, f"--rootdir={project}", "-p", PROBE,
            "-p", "no:cacheprovider", "--benchmark-enable", "--benchmark-only", "--continue-on-collection-errors",
            "--keep-duplicates", *self.settings.pytest_args, *self._paths(order),
        ]  # fmt: skip

    def _paths(self, order: Order) -> list[str]:
        """The files and folders of the suite, as often as there are passes over them."""
        nodes = order.benchmarks or self.suite
        return paths_of(nodes) * (1 if order.warm_up else self.settings.passes)

    def _only(self, order: Order) -> list[str]:
        nodes = order.benchmarks or self.suite
        return list(nodes) if any("::" in node for node in nodes) else []

    def _start(self, command: Sequence[str], order: Order, told: Path, log: Path) -> int:
        folders = [order.tree.project / folder for folder in self.settings.pythonpath]
        path = [str(self.directory), *(str(folder) for folder in folders if folder.is_dir())]
        environment = {
            **os.environ,
            **{key: os.environ.get(key, value) for key, value in ONE_THREAD.items()},
            "PYTHONPATH": os.pathsep.join(path),
            "PYTHONHASHSEED": str(order.hash_seed),
            "HEARTBENCH_GATE": str(told),
        }
        with log.open("wb") as output:
            child = subprocess.Popen(
                command,
                cwd=order.tree.project,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                return child.wait(self.settings.process_timeout)
            except subprocess.TimeoutExpired:
                raise BenchmarkError(
                    f"{order.tree.project}: pytest took longer than process_timeout = "
                    f"{self.settings.process_timeout:g} s (see {log})"
                ) from None
            finally:
                _end(child)


def paths_of(suite: Sequence[str]) -> list[str]:
    """The files and folders that node ids are in."""
    return list(dict.fromkeys(node.partition("::")[0] for node in suite))


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started; they are a session of their own."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _tail(log: Path) -> str:
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    return " / ".join(lines[-LAST_LINES:])
