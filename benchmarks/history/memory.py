"""What a process holds, by the three who know: the kernel, the C library and Python.

`smaps_rollup` (Linux) counts resident pages; `mallinfo2` (glibc 2.33) what `malloc` took from the kernel and what of it
is in use; `tracemalloc` what Python's objects asked for. Where one is missing, its figure is NaN.
"""

import ctypes
import gc
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

ROLLUP = Path("/proc/self/smaps_rollup")


class Mallinfo2(ctypes.Structure):
    """`struct mallinfo2` of <malloc.h>; bytes."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keep",
        )
    ]


def resident_bytes() -> float:
    """Memory of this process that is in RAM."""
    try:
        lines = ROLLUP.read_text(encoding="ascii").splitlines()
    except OSError:
        return math.nan
    return float(next(line for line in lines if line.startswith("Rss:")).split()[1]) * 1024


def malloc_free_bytes() -> float:
    """What `malloc` holds and nobody uses: what fragmentation and its reserve cost."""
    try:
        mallinfo2 = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError, TypeError):
        return math.nan
    mallinfo2.restype = Mallinfo2
    return float(mallinfo2().fordblks)


@dataclass(slots=True)
class Pauses:
    """How long the garbage collector stopped everything, s, each time."""

    seconds: list[float] = field(default_factory=list)

    @property
    def longest_s(self) -> float:
        """The longest, 0 if there was none."""
        return max(self.seconds, default=0.0)


@contextmanager
def collector_pauses() -> Iterator[Pauses]:
    """Note each run of the garbage collector."""
    pauses, began = Pauses(), 0.0

    def note(phase: str, _: dict[str, int]) -> None:
        nonlocal began
        if phase == "start":
            began = time.perf_counter()
        else:
            pauses.seconds.append(time.perf_counter() - began)

    gc.callbacks.append(note)
    try:
        yield pauses
    finally:
        gc.callbacks.remove(note)


def allocations(work: Callable[[], object], scratch: Path) -> float:
    """How many blocks `work` asks Python's and C's allocators for; NaN without memray."""
    try:
        memray: Any = import_module("memray")
    except ModuleNotFoundError:
        return math.nan
    with memray.Tracker(scratch, trace_python_allocators=True):
        work()
    with memray.FileReader(scratch) as reader:
        given_back = {memray.AllocatorType.FREE, memray.AllocatorType.MUNMAP, memray.AllocatorType.PYMALLOC_FREE}
        return float(sum(each.allocator not in given_back for each in reader.get_allocation_records()))
