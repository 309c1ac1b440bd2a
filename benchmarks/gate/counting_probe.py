"""A pytest plugin that counts some calls of each benchmark instead of timing many: instructions, or allocations.

Loaded before `probe.py`, in the project's interpreter, so it imports nothing of ours. The file named in the environment
(HEARTBENCH_GATE) says under "count" what is counted and in which folder.

Instructions: the process runs under callgrind, which collects only inside `PyNumber_InPlaceMatrixMultiply` and writes
a profile after each return from it. That function is in every build of CPython and nothing but `a @= b` calls it, so
`a @= b` is the switch: the n-th profile is the n-th counted call. On x86-64 callgrind is told to instrument only around
it, by Valgrind's own client request, so that pytest starts eight times as fast.
"""

import ctypes
import gc
import json
import mmap
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

WARM_CALLS = 4
"""Calls before the counted ones: the interpreter adapts its code to what it has seen."""
COUNTED_CALLS = 3
"""A call may be the one that needs a new page of memory; the median of three is not."""

START, STOP = 0x43540004, 0x43540005
"""CALLGRIND_START_INSTRUMENTATION and CALLGRIND_STOP_INSTRUMENTATION of callgrind.h."""
CLIENT_REQUEST = bytes.fromhex("4889f8 31d2 48c1c703 48c1c70d 48c1c73d 48c1c733 4887db 4889d0 c3")
"""valgrind.h for x86-64 as a function of the arguments' address: rotations that come to nothing, and `xchg %rbx,%rbx`,
which Valgrind looks for and the processor passes over."""

with open(os.environ["HEARTBENCH_GATE"], encoding="utf-8") as _file:
    TOLD: dict[str, Any] = json.load(_file)["count"]

counted: list[str] = []
threaded: set[str] = set()
allocations: list[int] = []
_pages: list[mmap.mmap] = []


class Switch:
    """`switch @= None` makes one call of `function` while callgrind collects."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function
        self.result: Any = None

    def __imatmul__(self, _: None) -> "Switch":
        self.result = self.function()
        return self


def count_instructions(name: str, function: Callable[[], Any]) -> Any:
    """Call `function` while callgrind collects."""
    counted.append(name)
    switch = Switch(function)
    request(START)
    switch @= None
    request(STOP)
    return switch.result


def request(code: int) -> None:
    """Tell Valgrind something, where it was started to be told."""
    if TOLD["requests"]:
        arguments = (ctypes.c_ulong * 6)(code)  # a name, so that it lives until the call is over
        _function()(ctypes.addressof(arguments))


@cache
def _function() -> Callable[[int], int]:
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(CLIENT_REQUEST)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    call = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_void_p)(address)
    _pages.append(page)
    return call


def count_allocations(name: str, function: Callable[[], Any]) -> Any:
    """Call `function` while memray counts."""
    memray: Any = import_module("memray")
    counted.append(name)
    profile = Path(TOLD["folder"], "profile.memray")
    with memray.Tracker(profile, trace_python_allocators=True):
        result = function()
    with memray.FileReader(profile) as reader:
        allocations.append(sum(record.n_allocations for record in reader.get_allocation_records()))
    profile.unlink()
    return result


def count_call(
    name: str, function: Callable[..., Any], arguments: Callable[[], Any], after: Callable[..., Any] | None
) -> Any:
    """Call a benchmark until it is warm, then some times counted."""
    counting = count_instructions if TOLD["what"] == "instructions" else count_allocations
    for turn in range(WARM_CALLS + COUNTED_CALLS):
        args, kwargs = arguments()
        gc.collect()
        call = partial(function, *args, **kwargs)
        with threads_noted(name):
            result = counting(name, call) if turn >= WARM_CALLS else call()
        if after:
            after(*args, **kwargs)
    return result


@contextmanager
def threads_noted(name: str) -> Iterator[None]:
    """Note whether a benchmark starts threads: then its counts depend on how they take turns."""
    start = threading.Thread.start

    def noted(thread: threading.Thread) -> None:
        threaded.add(name)
        start(thread)

    threading.Thread.start = noted  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        threading.Thread.start = start  # type: ignore[method-assign]


def _call(self: BenchmarkFixture, function_to_benchmark: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    self._mode = "counting"
    return count_call(self.fullname, function_to_benchmark, lambda: (args, kwargs), None)


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
    return count_call(self.fullname, target, lambda: (setup and setup()) or (args, kwargs or {}), teardown)


for _name, _method in (("__call__", _call), ("pedantic", _pedantic)):
    setattr(BenchmarkFixture, _name, _method)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Write what was counted, and in which order."""
    Path(TOLD["folder"], "counted.json").write_text(
        json.dumps({"counted": counted, "threaded": sorted(threaded), "allocations": allocations}), "utf-8"
    )
