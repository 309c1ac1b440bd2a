"""A pytest plugin that counts what a few calls of each benchmark cost, in instructions or allocations, and times none.

It is loaded before `probe.py`, in the project's interpreter, so it may import nothing of ours. The file named in the
environment (HEARTBENCH_GATE) states under "count" what to count, and a folder to work in.

    cost of a call = (cost of 2N calls - cost of N calls) / N

What is spent around the calls is the same in both runs and cancels out: the counting itself, and setups and teardowns,
which run 2N times in each.

Instructions: the process runs under Valgrind's cachegrind, which writes the count of a process when it exits. A forked
child inherits the count so far, so a child that exits at once is a reading. Allocations are those that memray records.
"""

import gc
import json
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

WARM_CALLS = 4
"""Calls before the counted ones: the interpreter adapts its code to what it has seen."""
N = 5
"""What a reading costs varies by some hundred instructions; a fifth of that is left in the count of a call."""

with open(os.environ["HEARTBENCH_GATE"], encoding="utf-8") as _file:
    ORDER: dict[str, Any] = json.load(_file)["count"]
FOLDER = Path(ORDER["folder"])

counts: dict[str, int] = {}
threaded: set[str] = set()


def instructions(run: Callable[[], None]) -> int:
    """Return the instructions of a run, and of one reading."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forks of processes with threads
        start = read_counter()
        run()
        end = read_counter()
    return total(end) - total(start)


def read_counter() -> int:
    """Write the instructions of this process so far to a file; return its name, a process id."""
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    return child


def total(child: int) -> int:
    """Return the instructions in the file that `read_counter` wrote."""
    profile = FOLDER / str(child)
    count = int(profile.read_text("utf-8", "replace").rpartition("summary:")[2])
    profile.unlink()
    return count


def allocations(run: Callable[[], None]) -> int:
    """Return the allocations of a run."""
    memray: Any = import_module("memray")
    profile = FOLDER / "profile.memray"
    with memray.Tracker(profile, trace_python_allocators=True):
        run()
    with memray.FileReader(profile) as reader:
        found = sum(record.n_allocations for record in reader.get_allocation_records())
    profile.unlink()
    return int(found)


COST = {"instructions": instructions, "allocations": allocations}[ORDER["what"]]


def count_calls(
    name: str,
    function: Callable[..., Any],
    arguments: Callable[[], tuple[Any, Any]],
    teardown: Callable[..., Any] | None = None,
) -> Any:
    """Count the cost of a call of a benchmark's function; return what the function returns."""
    result: Any = None

    def run(calls: int) -> None:
        nonlocal result
        for number in range(2 * N):
            args, kwargs = arguments()
            if number < calls:
                result = function(*args, **kwargs)
            if teardown:
                teardown(*args, **kwargs)

    with threads_recorded(name):
        run(WARM_CALLS)
        gc.collect()
        gc.disable()  # a collection in one of the two runs would be counted as the benchmark's
        try:
            once, twice = COST(lambda: run(N)), COST(lambda: run(2 * N))
        finally:
            gc.enable()
    counts[name] = round((twice - once) / N)
    return result


@contextmanager
def threads_recorded(name: str) -> Iterator[None]:
    """Record whether a benchmark starts threads: then its counts depend on how they are scheduled."""
    start = threading.Thread.start

    def recorded(thread: threading.Thread) -> None:
        threaded.add(name)
        start(thread)

    threading.Thread.start = recorded  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        threading.Thread.start = start  # type: ignore[method-assign]


def _call(self: BenchmarkFixture, function_to_benchmark: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    self._mode = "counting"
    return count_calls(self.fullname, function_to_benchmark, lambda: (args, kwargs))


def _pedantic(
    self: BenchmarkFixture,
    target: Callable[..., Any],
    args: Any = (),
    kwargs: Any = None,
    setup: Callable[[], Any] | None = None,
    teardown: Callable[..., Any] | None = None,
    **_: Any,
) -> Any:
    self._mode = "counting"
    return count_calls(self.fullname, target, lambda: (setup and setup()) or (args, kwargs or {}), teardown)


for _name, _method in (("__call__", _call), ("pedantic", _pedantic)):
    setattr(BenchmarkFixture, _name, _method)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Write the counts, without those of benchmarks that start threads."""
    repeatable = {name: count for name, count in counts.items() if name not in threaded}
    (FOLDER / "counts.json").write_text(json.dumps(repeatable), "utf-8")
