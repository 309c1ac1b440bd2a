"""The memory of this process, as the kernel, the C library and Python's garbage collector report it.

`smaps_rollup` (Linux) counts resident pages, `mallinfo2` (glibc 2.33) what `malloc` got from the kernel and has in use.
If one is missing, its figure is NaN.
"""

import ctypes
import gc
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

ROLLUP = Path("/proc/self/smaps_rollup")


class Mallinfo2(ctypes.Structure):
    """`struct mallinfo2` of <malloc.h>; bytes."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keep".split()  # noqa: SIM905
    ]


def resident_bytes() -> float:
    """Return the memory of this process that is in RAM."""
    try:
        lines = ROLLUP.read_text(encoding="ascii").splitlines()
    except OSError:
        return math.nan
    return float(next(line for line in lines if line.startswith("Rss:")).split()[1]) * 1024


def malloc_free_bytes() -> float:
    """Return the memory that `malloc` holds but that is not in use: fragmentation and reserve."""
    try:
        mallinfo2 = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError, TypeError):
        return math.nan
    mallinfo2.restype = Mallinfo2
    return float(mallinfo2().fordblks)


@contextmanager
def collector_pauses() -> Iterator[list[float]]:
    """Yield the list to which the duration of each run of the garbage collector is added, in s."""
    pauses_s, start_s = [], 0.0

    def record(phase: str, _: dict[str, int]) -> None:
        nonlocal start_s
        if phase == "start":
            start_s = time.perf_counter()
        else:
            pauses_s.append(time.perf_counter() - start_s)

    gc.callbacks.append(record)
    try:
        yield pauses_s
    finally:
        gc.callbacks.remove(record)


def allocations(work: Callable[[], object], scratch: Path) -> float:
    """Return the number of blocks that `work` requests from Python's and C's allocators; NaN without memray."""
    try:
        memray: Any = import_module("memray")
    except ModuleNotFoundError:
        return math.nan
    with memray.Tracker(scratch, trace_python_allocators=True):
        work()
    with memray.FileReader(scratch) as reader:
        freed = {memray.AllocatorType.FREE, memray.AllocatorType.MUNMAP, memray.AllocatorType.PYMALLOC_FREE}
        return float(sum(each.allocator not in freed for each in reader.get_allocation_records()))
