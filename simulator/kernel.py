"""Compilation of the simulator's hot loops with Numba.

A kernel is a plain Python function that Numba compiles at its first call and caches on disk; of processes that call it
at the same time, one compiles it (`compile_lock.py`). `kernel.py_func` is that function, which is what we read and
test. With NUMBA_DISABLE_JIT=1 everything runs as plain Python.

Kernels call each other by a second form (`linked_kernel.py`), because it is compiled in a fifth of the time. It is made
of internals of Numba; with a version that lacks them, kernels are compiled into each other, as Numba does it.

Kernels allocate nothing: callers pass the arrays that they fill. They are therefore compiled without reference
counting, which took two fifths of the time.

Numba checks only a kernel's own file to see whether a cached kernel is still valid, although kernels of other files are
compiled into it. The cache is therefore kept under a digest of all sources of the simulator and, for kernels of another
room, of that room, in NUMBA_CACHE_DIR, XDG_CACHE_HOME or ~/.cache; a kernel that uses a constant of a third room takes
it as an argument. Digests of older sources are deleted in time. If nothing can be written, nothing is cached and each
process compiles for itself: Numba would otherwise use another folder, without the digest.
"""

import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core import event

from heartbench.simulator.compile_lock import compile_once

try:
    from heartbench.simulator.linked_kernel import link_calls
except ImportError:
    link_calls = None  # type: ignore[assignment]

Function = TypeVar("Function", bound=Callable[..., Any])

KEPT = 4  # digests that are kept, whatever their age
KEPT_S = 7 * 86400.0  # a process may run this long on the cache that it found
REPORTED_FROM_S = 2.0  # time to compile that is worth a line

_numba: Any = numba  # whose annotations do not know the options below
_event: Any = event
_SIMULATOR = Path(__file__).parent


def kernel(function: Function) -> Function:
    """Compile `function` with Numba; it releases the interpreter lock while it runs."""
    return _compiled(function, inline=False)


def part(function: Function) -> Function:
    """Compile a kernel into its callers, because it is tiny or has one caller. A call costs about 5 ns."""
    return _compiled(function, inline=True)


def _compiled(function: Function, inline: bool) -> Function:
    folder = _cache_folder(_room(function.__module__))
    if folder is not None:
        _numba.config.CACHE_DIR = str(folder)
    has_file = not function.__code__.co_filename.startswith("<")  # else Numba cannot cache it
    options = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True, "_nrt": False, "forceinline": inline}
    compiled = _numba.njit(cache=folder is not None and has_file, **options)(function)
    if compiled is function:  # with NUMBA_DISABLE_JIT=1
        return function
    if folder is not None and has_file:
        compile_once(compiled, folder)
    if link_calls is not None:
        link_calls(compiled, function, options)
    return cast("Function", compiled)


def _room(module: str) -> Path:
    """Return the folder of the room that a module is in; modules outside the package count as the simulator's."""
    package, _, rest = module.partition(".")
    return _SIMULATOR.parent / rest.partition(".")[0] if package == "heartbench" else _SIMULATOR


@cache
def _cache_folder(room: Path) -> Path | None:
    """Return the folder for kernels of `room` as its sources are now, or None if nothing can be cached."""
    sources = sorted({*_SIMULATOR.rglob("*.py"), *room.resolve().rglob("*.py")})
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    try:
        home = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(home) / "heartbench" / digest
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()  # it is writable
        os.utime(folder)  # it was used now
    except (OSError, RuntimeError):  # there is no home
        return None
    _delete_old(folder.parent)
    return folder


def _delete_old(home: Path) -> None:
    """Delete the digests that were not used for a week, except the newest few."""
    with suppress(OSError):  # another process may be deleting them too
        used_s = {folder: folder.stat().st_mtime for folder in home.glob("[0-9a-f]" * 16)}
        for folder in sorted(used_s, key=lambda folder: used_s[folder])[:-KEPT]:
            if time.time() - used_s[folder] > KEPT_S:
                shutil.rmtree(folder, ignore_errors=True)


class _Announcement(event.Listener):
    """Reports on standard error that the first use of these sources compiles them, and how long that takes."""

    def __init__(self) -> None:
        self._depth = 0  # kernels are compiled inside others
        self._is_first: bool | None = None

    def on_start(self, started: Any) -> None:
        """Report it, once in a process, if Numba begins to compile one of our kernels and has cached none."""
        self._depth += 1
        module = started.data["dispatcher"].py_func.__module__
        if self._depth == 1:
            self._began_s = time.perf_counter()
        if self._is_first is None and module.startswith("heartbench."):
            folder = _cache_folder(_room(module))
            self._is_first = folder is None or not any(folder.rglob("*.nbi"))
            if self._is_first:
                how_often = "once for this version" if folder else "with no folder to cache them in"
                sys.stderr.write(f"heartbench: compiling its loops, {how_often}\n")

    def on_end(self, _: Any) -> None:
        """Report how long it took, if it was announced and took a while."""
        self._depth -= 1
        took_s = time.perf_counter() - self._began_s
        if self._is_first and self._depth == 0 and took_s >= REPORTED_FROM_S:
            sys.stderr.write(f"heartbench: compiled in {took_s:.0f} s\n")


_event.register("numba:compile", _Announcement())
