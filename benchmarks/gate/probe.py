"""A pytest plugin that the gate puts into each process it measures: says what ran and from where, and takes turns.

It is copied beside the results and loaded by name in the *project's* interpreter, so it may import nothing but the
standard library and pytest-benchmark. The file named in the environment (HEARTBENCH_GATE) tells it what to do:

    report   where to write what it saw
    roots    the folders of this worktree that modules must come from
    only     the node ids to keep, with all that is below them; everything where empty
    spins    only in an exam: for each benchmark the spins of an empty loop that are added to each call of the
             measured function; 0 puts the same wrapper around it and adds nothing
    line     the file descriptor of the socket on which turns are taken with other processes (`lockstep.py`)

pytest-benchmark asks its timer before and after each of its rounds. Before a round is where a process whose slice is
used up waits for its next turn; so no round is ever interrupted, and no loop of pytest-benchmark is replaced.
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
"""How long a process measures at a stretch: long against the change of processes (50 µs), short against the weather."""

benchmarks: list[str] = []
failures: dict[str, str] = {}


def pytest_configure() -> None:
    """Stand between the benchmarks and pytest-benchmark."""
    for name, method in (("__call__", _watched_call), ("pedantic", _watched_pedantic)):
        setattr(BenchmarkFixture, name, method)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep what was asked for: pytest runs a node id once, however often it is on the command line."""
    if ORDER["only"]:
        chosen = [item for item in items if is_below(item.nodeid, ORDER["only"])]
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note which tests are benchmarks."""
    for item in session.items:
        if "benchmark" in getattr(item, "fixturenames", ()) and item.nodeid not in benchmarks:
            benchmarks.append(item.nodeid)
    if LINE:
        LINE.sendall(f"suite {json.dumps(benchmarks)}\n".encode())


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Note a file that could not be imported."""
    if report.failed:
        failures[report.nodeid] = _last_line(report)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note a benchmark that failed, also after it was measured."""
    if report.failed:
        failures[report.nodeid] = _last_line(report)


def pytest_benchmark_generate_machine_info() -> dict[str, str]:
    """Replace what takes half a second in each process and is the same in all."""
    return {"python": sys.version}


def pytest_benchmark_generate_commit_info() -> dict[str, str]:
    """Replace three calls of git in each process."""
    return {"id": "", "time": ""}


def pytest_benchmark_update_json(output_json: dict[str, Any]) -> None:
    """Leave out the single timings: the gate reads those of the slices."""
    for entry in output_json["benchmarks"]:
        entry["stats"].pop("data", None)


def pytest_sessionfinish() -> None:
    """Write what was seen."""
    seen: dict[str, Any] = {
        "python": sys.version,
        "benchmarks": benchmarks,
        "failures": failures,
        "foreign_modules": foreign_modules([Path(root) for root in ORDER["roots"]]),
    }
    with open(ORDER["report"], "w", encoding="utf-8") as file:
        json.dump(seen, file)


def is_below(node: str, wanted: list[str]) -> bool:
    """Whether a test is one of the wanted, or in a file or class, or a case, of them."""
    return any(node == each or node.startswith((f"{each}::", f"{each}[", f"{each}/")) for each in wanted)


def foreign_modules(roots: list[Path]) -> list[str]:
    """The modules that this worktree has a file for, and that were imported from elsewhere."""
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
    """`function` with `spins` spins of an empty loop after each call; fractions are owed to the next call."""
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
    """Spin an empty loop so many times. In C: in Python it is 40 % slower or quicker as the process's memory lies."""
    NOWHERE.extend(repeat(None, times))


def seconds_a_spin(spins: int = 10_000, tries: int = 15) -> float:
    """What one spin of an empty loop takes now, in s: the median of some tries, under 1 ms in all."""
    taken = []
    for _ in range(tries):
        start = time.perf_counter()
        spin(spins)
        taken.append(time.perf_counter() - start)
    return sorted(taken)[tries // 2] / spins


class Turns:
    """The timer of one benchmark, which lets the other processes measure whenever a slice is used up."""

    def __init__(self, line: socket.socket, timer: Callable[[], float]) -> None:
        self._line, self._timer = line, timer
        self._turn = 0
        self._until, self._within = 0.0, False
        self.rounds: list[int] = []
        """The turn of each round so far, those that calibrate or warm up too."""

    def __call__(self) -> float:
        """The time; before a round it may be long in coming."""
        if self._within:
            now = self._timer()
            self._within = False
            return now
        if self._timer() >= self._until:
            self.wait("over")
        self.rounds.append(self._turn)
        self._within = True
        return self._timer()

    def wait(self, why: str) -> None:
        """Let the others go on, and wait to be let go on."""
        self._line.sendall(f"{why}\n".encode())
        (self._turn,) = struct.unpack("!q", self._line.recv(8, socket.MSG_WAITALL))
        self._until = self._timer() + SLICE_S


LINE = socket.socket(fileno=ORDER["line"]) if ORDER["line"] is not None else None
if LINE:
    LINE.set_inheritable(False)


@contextmanager
def watched(fixture: BenchmarkFixture, function: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """What to measure in place of `function`, while turns are taken."""
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
    """The turns that were measured in, and the median of what each round of it took: the last rounds are those."""
    found: dict[int, list[float]] = {}
    for turn, taken in zip(turns[-len(times) :], times, strict=True):
        found.setdefault(turn, []).append(taken)
    return [(turn, median(taken)) for turn, taken in found.items()]


_measure: Callable[..., Any] = BenchmarkFixture.__call__
_measure_pedantic: Callable[..., Any] = BenchmarkFixture.pedantic


def _watched_call(self: BenchmarkFixture, function_to_benchmark: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    with watched(self, function_to_benchmark) as function:
        return _measure(self, function, *args, **kwargs)


def _watched_pedantic(self: BenchmarkFixture, target: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    with watched(self, target) as function:
        return _measure_pedantic(self, function, *args, **kwargs)


def _last_line(report: pytest.CollectReport | pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(crash.message if crash else report.longrepr).strip()
    return text.splitlines()[0 if crash else -1] if text else "failed"
