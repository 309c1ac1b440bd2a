"""Fresh processes of the project's interpreter that run the suite, each in a worktree, interleaved or alone.

They are pinned, because two processes on two cores of a shared machine differ by twenty times as much as two on one
core. The hash seed is set, because different collisions in dictionaries cost more than the differences of interest.
"""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile

from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.gate import samples
from heartbench.benchmarks.gate.lockstep import Line, conduct
from heartbench.benchmarks.gate.samples import Sample
from heartbench.benchmarks.gate.settings import TABLE, Settings
from heartbench.benchmarks.gate.worktrees import Tree

PROBE = "heartbench_gate_probe"
CALL_COUNTER = "heartbench_gate_counter"
"""The names of the two pytest plugins in the project's interpreter."""
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""Threads of numerical libraries would only compete for the one core."""
RAN = (0, 1, 5)
"""Exit statuses of pytest with a report of the probe: all passed, some failed, nothing collected."""
NOTHING_MEASURED = "ignore::pytest_benchmark.logger.PytestBenchmarkWarning"
"""It warns if all benchmarks fail; where warnings are errors, that would end pytest before the probe's report."""
LAST_LINES = 3
MIN_ROUNDS = 3
"""Minimum number of rounds that pytest-benchmark measures."""


@contextmanager
def pinned(core: int | None = None) -> Iterator[int]:
    """Pin this process, and all that it starts, to one core (None: the last); yield its number."""
    allowed = os.sched_getaffinity(0)
    chosen = max(allowed) if core is None else core
    if chosen not in allowed:
        raise BenchmarkError(f"--core {chosen}: not available; allowed: {', '.join(map(str, sorted(allowed)))}")
    os.sched_setaffinity(0, {chosen})
    try:
        yield chosen
    finally:
        os.sched_setaffinity(0, allowed)


def interpreter(project: Path, settings: Settings) -> Path:
    """Return the Python that runs the suite: the configured one, else that of the project's environment, else this one.

    Raises:
        BenchmarkError: it cannot be run, or has no pytest-benchmark.
    """
    own = project / ".venv" / "bin" / "python"
    # Not resolved: Python finds its environment by the path of the link.
    chosen = (project / Path(settings.python)) if settings.python else (own if own.exists() else Path(sys.executable))
    try:
        done = subprocess.run([chosen, "-c", "import pytest_benchmark"], capture_output=True, check=False)
    except OSError as error:
        raise BenchmarkError(f"python = {chosen}: cannot be run: {error.strerror}") from None
    if done.returncode:
        raise BenchmarkError(f"python = {chosen}: pytest-benchmark is not installed; install it, or set another python")
    return chosen.absolute()


def hash_seed(seed: int, number: int) -> int:
    """Return the PYTHONHASHSEED of a round: the same for all of its arms, and another in the next round."""
    return random.Random(f"hash {seed} {number}").randrange(1, 2**32)


@dataclass(frozen=True, slots=True)
class Order:
    """What one process is to measure: benchmarks (empty: the whole suite) and, in a self-test, the spins to add."""

    tree: Tree
    hash_seed: int
    benchmarks: Sequence[str] = ()
    spins: Mapping[str, float] | None = None
    warm_up: bool = False
    """Run each benchmark as briefly as possible: to compile, and to find out which benchmarks there are."""
    count: Mapping[str, str] | None = None
    """What `call_counter.py` is to count (`what`: instructions or allocations), and the `folder` that it works in."""


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What `probe.py` writes: Python's version, the collected benchmarks, failures by node id, and foreign modules."""

    python: str
    benchmarks: Sequence[str]
    failures: Mapping[str, str]
    foreign_modules: Sequence[str]


@dataclass(frozen=True, slots=True)
class Running:
    """A process that runs the suite, with the files of the probe's report and of its output (`log`)."""

    child: subprocess.Popen[bytes]
    project: Path
    report: Path
    log: Path
    silence_s: float

    def result(self) -> ProbeReport:
        """Wait until the process ends; return what the probe wrote.

        Raises:
            BenchmarkError: pytest did not end, or did not get as far as running tests.
        """
        try:
            status = self.child.wait(self.silence_s)
        except subprocess.TimeoutExpired:
            raise self.hang() from None
        if status not in RAN or not self.report.exists():
            raise BenchmarkError(
                f"{self.project}: pytest ended with status {status}: {_tail(self.log)} (see {self.log})"
            )
        found = ProbeReport(**json.loads(self.report.read_text("utf-8")))
        self.report.unlink()
        return found

    def hang(self) -> BenchmarkError:
        """Return the error to raise if the process does not respond."""
        limit = f"process_timeout = {self.silence_s:g} s"
        return BenchmarkError(f"{self.project}: pytest was silent for longer than {limit} (see {self.log})")


@dataclass(frozen=True, slots=True)
class Measurer:
    """Starts processes; `directory` holds their output."""

    python: Path
    suite: Sequence[str]
    settings: Settings
    directory: Path

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        for name, file in ((PROBE, "probe.py"), (CALL_COUNTER, "call_counter.py")):
            copyfile(Path(__file__).with_name(file), self.directory / f"{name}.py")

    def collect(self, tree: Tree) -> list[str]:
        """Return the names of the benchmarks in a worktree without running them."""
        return list(self.run(Order(tree, hash_seed=1, warm_up=True), "collect", ["--collect-only"]).benchmarks)

    def measure(self, orders: Mapping[str, Order], seed: str) -> dict[str, Sample]:
        """Measure interleaved, one process per order; return their samples by the names of the orders.

        Raises:
            BenchmarkError: a process crashed, hung, or imported the project from elsewhere than its worktree.
        """
        start = time.monotonic()
        drawn = random.Random(seed).sample(list(orders), len(orders))
        # Files are named by position: names of different lengths would shift the stack of a process.
        places = {name: f"{place:02d}" for place, name in enumerate(drawn)}
        with ExitStack() as stack:
            both = {name: stack.enter_context(self._interleaved(orders[name], places[name])) for name in drawn}
            conduct([line for _, line in both.values()], seed)
            reports = {name: running.result() for name, (running, _) in both.items()}
        wall_s = (time.monotonic() - start) / len(orders)
        return {name: self._sample(places[name], order, reports[name], wall_s) for name, order in orders.items()}

    def run(self, order: Order, name: str, arguments: Sequence[str], prefix: Sequence[str] = ()) -> ProbeReport:
        """Run one pytest process alone, under the command `prefix` if there is one; return what the probe wrote.

        Raises:
            BenchmarkError: pytest did not get as far as running tests.
        """
        with self._started(order, name, [*prefix, *self._command(order, arguments)]) as running:
            return running.result()

    @contextmanager
    def _interleaved(self, order: Order, name: str) -> Iterator[tuple[Running, Line]]:
        ours, theirs = socket.socketpair()
        arguments = [f"--benchmark-json={self.directory / name}.json", *self._timing(order)]
        command = self._command(order, arguments)
        with ours, theirs, self._started(order, name, command, theirs.fileno()) as running:
            theirs.close()
            with closing(Line(ours, running.silence_s, running.hang)) as line:
                yield running, line

    def _sample(self, name: str, order: Order, report: ProbeReport, wall_s: float) -> Sample:
        if report.foreign_modules:
            raise BenchmarkError(
                f"{order.tree.project}: modules were imported from outside the worktree: "
                f"{'; '.join(report.foreign_modules[:LAST_LINES])}; set pythonpath or prepare in {TABLE}"
            )
        results = self.directory / f"{name}.json"
        document = json.loads(results.read_text("utf-8")) if results.exists() else {}
        for file in (results, results.with_suffix(".log")):
            file.unlink(missing_ok=True)
        times = samples.from_pytest_benchmark(document, report.failures)
        return Sample(times, report.failures, report.benchmarks, report.python, wall_s)

    def _timing(self, order: Order) -> list[str]:
        longest_s, least_s, rounds = self.settings.max_time, self.settings.min_time, MIN_ROUNDS
        if order.warm_up:
            longest_s, least_s, rounds = 1e-6, 1e-6, 1
        times = [f"--benchmark-max-time={longest_s:f}", f"--benchmark-min-time={least_s:f}"]
        return [*times, f"--benchmark-min-rounds={rounds}"]

    @contextmanager
    def _started(self, order: Order, name: str, command: Sequence[str], line: int | None = None) -> Iterator[Running]:
        """Start a process; end it, with all that it started, when the block is left."""
        message, report, log = (self.directory / f"{name}.{kind}" for kind in ("order", "report", "log"))
        (self.directory / f"{name}.json").unlink(missing_ok=True)
        report.unlink(missing_ok=True)
        roots = [str(order.tree.project / folder) for folder in self.settings.pythonpath]
        nodes = order.benchmarks or self.suite
        only = list(nodes) if any("::" in node for node in nodes) else []
        to_probe = {"report": str(report), "roots": roots, "only": only, "spins": order.spins}  # see `probe.py`
        message.write_text(json.dumps(to_probe | {"line": line, "count": order.count}), "utf-8")
        with log.open("wb") as output:
            child = subprocess.Popen(
                command,
                cwd=order.tree.project,
                env=self._environment(order, message),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[] if line is None else [line],
            )
        try:
            yield Running(child, order.tree.project, report, log, self.settings.process_timeout)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)  # all that it started shares its session
            child.wait()
            message.unlink(missing_ok=True)

    def _environment(self, order: Order, message: Path) -> dict[str, str]:
        folders = [order.tree.project / folder for folder in self.settings.pythonpath]
        path = [str(self.directory), *(str(folder) for folder in folders if folder.is_dir())]
        return {
            **os.environ,
            **{key: os.environ.get(key, value) for key, value in ONE_THREAD.items()},
            "PYTHONPATH": os.pathsep.join(path),
            "PYTHONHASHSEED": str(order.hash_seed),
            "HEARTBENCH_GATE": str(message),
        }

    def _command(self, order: Order, arguments: Sequence[str]) -> list[str]:
        project = order.tree.project
        return [
            str(self.python), "-m", "pytest", "-q", *arguments, f"--rootdir={project}", "-p", PROBE,
            "-W", NOTHING_MEASURED, "-p", "no:cacheprovider", "-p", "no:randomly",
            "--benchmark-enable", "--benchmark-only", "--continue-on-collection-errors",
            *self.settings.pytest_args, *paths_of(order.benchmarks or self.suite),
        ]  # fmt: skip


def paths_of(suite: Sequence[str]) -> list[str]:
    """Return the files and folders that contain the given node ids."""
    return list(dict.fromkeys(node.partition("::")[0] for node in suite))


def _tail(log: Path) -> str:
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    return " / ".join(lines[-LAST_LINES:])
