"""A pytest plugin that the gate loads into each measured process: reports what ran, and interleaves the processes.

It is copied beside the results and loaded by name in the *project's* interpreter, so it may import only the standard
library and pytest-benchmark. The file named in the environment (HEARTBENCH_GATE) contains its order:

    report   the file to write its report to
    roots    the folders of this worktree that modules must come from
    only     the node ids to keep, with everything below them; empty: all
    spins    only in a self-test (else null): for each benchmark the spins of an empty loop that are added to each call
             of the measured function; 0 adds the same wrapper and no spins
    line     the file descriptor of the socket for taking turns with other processes (`lockstep.py`), or null
    count    for `call_counter.py`

pytest-benchmark calls its timer before and after each of its rounds. A process whose slice is used up waits for its
next turn in the call before a round; so no round is ever interrupted, and no loop of pytest-benchmark is replaced.
"""

import json
import os
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from itertools import repeat
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

with open(os.environ["HEARTBENCH_GATE"], encoding="utf-8") as _file:
    ORDER: dict[str, Any] = json.load(_file)

NOWHERE: deque[None] = deque(maxlen=0)
SLICE_S = 0.002
"""Length of a slice: long against a switch between processes (50 µs), short against disturbances."""

benchmarks: list[str] = []
failures: dict[str, str] = {}


def pytest_configure() -> None:
    """Wrap the calls of pytest-benchmark."""
    for name, method in (("__call__", _interleaved_call), ("pedantic", _interleaved_pedantic)):
        setattr(BenchmarkFixture, name, method)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the requested tests: pytest gets files, because it runs each once however often it is named."""
    if ORDER["only"]:
        chosen = [item for item in items if is_below(item.nodeid, ORDER["only"])]
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen


def pytest_collection_finish(session: pytest.Session) -> None:
    """Record which tests are benchmarks."""
    for item in session.items:
        if "benchmark" in getattr(item, "fixturenames", ()) and item.nodeid not in benchmarks:
            benchmarks.append(item.nodeid)
    if LINE:
        LINE.sendall(f"suite {json.dumps(benchmarks)}\n".encode())


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Record a file that could not be imported."""
    if report.failed:
        failures[report.nodeid] = _last_line(report)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Record a benchmark that failed, even if it was measured before."""
    if report.failed:
        failures[report.nodeid] = _last_line(report)


def pytest_benchmark_generate_machine_info() -> dict[str, str]:
    """Skip collecting information that takes half a second and is the same in all processes."""
    return {"python": sys.version}


def pytest_benchmark_generate_commit_info() -> dict[str, str]:
    """Skip three calls of git."""
    return {"id": "", "time": ""}


def pytest_benchmark_update_json(output_json: dict[str, Any]) -> None:
    """Remove the single timings: the gate reads those of the slices."""
    for entry in output_json["benchmarks"]:
        entry["stats"].pop("data", None)


def pytest_sessionfinish() -> None:
    """Write the report."""
    report = {
        "python": sys.version,
        "benchmarks": benchmarks,
        "failures": failures,
        "foreign_modules": foreign_modules([Path(root) for root in ORDER["roots"]]),
    }
    with open(ORDER["report"], "w", encoding="utf-8") as file:
        json.dump(report, file)


def is_below(node: str, wanted: list[str]) -> bool:
    """Return whether a test is one of the wanted node ids, or below one of them."""
    return any(node == each or node.startswith((f"{each}::", f"{each}[", f"{each}/")) for each in wanted)


def foreign_modules(roots: list[Path]) -> list[str]:
    """Return the modules that this worktree has a file for, but that were imported from elsewhere."""
    found = []
    for name, module in list(sys.modules.items()):
        origin = getattr(module, "__file__", None)
        if not origin or name.split(".")[0] in sys.stdlib_module_names or name == __name__:
            continue
        inside = any(Path(origin).resolve().is_relative_to(root.resolve()) for root in roots)
        if not inside and any(_has(root, name) for root in roots):
            found.append(f"{name} from {origin}")
    return found


def _has(root: Path, name: str) -> bool:
    path = root.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def slowed(function: Callable[..., Any], spins: float) -> Callable[..., Any]:
    """Return `function` with `spins` spins of an empty loop after each call; fractions carry over to the next call."""
    owed = 0.0

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal owed
        result = function(*args, **kwargs)
        owed += spins
        now = int(owed)
        owed -= now
        spin(now)
        return result

    return call


def spin(times: int) -> None:
    """Spin an empty loop in C. In Python its speed varies by 40% with the memory layout of the process."""
    NOWHERE.extend(repeat(None, times))


def seconds_a_spin(spins: int = 10_000, tries: int = 15) -> float:
    """Return the current time of one spin of an empty loop, in s: the median of some tries, under 1 ms in total."""
    taken = []
    for _ in range(tries):
        start = time.perf_counter()
        spin(spins)
        taken.append(time.perf_counter() - start)
    return sorted(taken)[tries // 2] / spins


class Turns:
    """A timer of one benchmark that yields to the other processes when its slice is used up."""

    def __init__(self, line: socket.socket, timer: Callable[[], float]) -> None:
        self._line, self._timer = line, timer
        self._turn = 0
        self._until, self._within = 0.0, False
        self.rounds: list[int] = []
        """The turn of each round so far, including calibration and warm-up."""

    def __call__(self) -> float:
        """Return the time; before a round, wait for a turn if the slice is used up."""
        if self._within:
            now = self._timer()
            self._within = False
            return now
        if self._timer() >= self._until:
            self.wait("over")
        self.rounds.append(self._turn)
        self._within = True
        return self._timer()

    def wait(self, message: str) -> None:
        """Yield to the others, and wait for the next turn."""
        self._line.sendall(f"{message}\n".encode())
        (self._turn,) = struct.unpack("!q", self._line.recv(8, socket.MSG_WAITALL))
        self._until = self._timer() + SLICE_S


LINE = socket.socket(fileno=ORDER["line"]) if ORDER["line"] is not None else None
if LINE:
    LINE.set_inheritable(False)


@contextmanager
def interleaved(fixture: BenchmarkFixture, function: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """Yield what to measure in place of `function`, interleaved with the other processes."""
    if LINE is None:
        yield function
        return
    timer = fixture._timer
    turns = Turns(LINE, timer)
    fixture._precisions[turns] = fixture._get_precision(timer)  # type: ignore[index]
    turns.wait(f"begin {json.dumps(fixture.fullname)}")
    fixture._timer = turns
    try:
        if ORDER["spins"] is not None:
            fixture.extra_info["heartbench_spin_s"] = seconds_a_spin()
            function = slowed(function, ORDER["spins"].get(fixture.fullname, 0.0))
        yield function
        fixture.extra_info["heartbench_slices"] = slices(turns.rounds, fixture.stats.stats.data)  # type: ignore[union-attr]
    finally:
        fixture._timer = timer
        fixture._precisions.pop(turns)  # type: ignore[call-overload]
        turns.wait("end")


def slices(turns: Sequence[int], times: Sequence[float]) -> list[tuple[int, float]]:
    """Return each turn with the median time of its rounds; the last rounds of `turns` are the measured ones."""
    found: dict[int, list[float]] = {}
    for turn, taken in zip(turns[-len(times) :], times, strict=True):
        found.setdefault(turn, []).append(taken)
    return [(turn, median(taken)) for turn, taken in found.items()]


_measure: Callable[..., Any] = BenchmarkFixture.__call__
_measure_pedantic: Callable[..., Any] = BenchmarkFixture.pedantic


def _interleaved_call(
    self: BenchmarkFixture, function_to_benchmark: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    with interleaved(self, function_to_benchmark) as function:
        return _measure(self, function, *args, **kwargs)


def _interleaved_pedantic(self: BenchmarkFixture, target: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    with interleaved(self, target) as function:
        return _measure_pedantic(self, function, *args, **kwargs)


def _last_line(report: pytest.CollectReport | pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(crash.message if crash else report.longrepr).strip()
    return text.splitlines()[0 if crash else -1].removeprefix("E ").strip() if text else "failed"
