"""How the simulator's hot loops are compiled.

A kernel is a plain Python function that Numba compiles at its first call and keeps on disk. `kernel.py_func` is that
function: what is read and tested. With NUMBA_DISABLE_JIT=1 everything runs as plain Python.

What Python calls is compiled whole, once, with all that it calls; see `translation`. Kernels allocate nothing: what
they fill is handed to them. So they count no references, which took two fifths of the time. Nor do they raise, assert
or yield, or have `with`, closures and lambdas, which are refused: the steps that those take are left out, so that
compiling is quicker.

Numba looks only at a kernel's own file to see whether what it kept is still good, though kernels of other files are
compiled into it. So what is kept stands under a digest of all of the simulator's sources, in NUMBA_CACHE_DIR,
XDG_CACHE_HOME or ~/.cache; what older sources left there is deleted in time. Where nothing can be written nothing is
kept, and each process compiles for itself: Numba would go elsewhere, without the digest.
"""

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba import types

from heartbench.simulator.translation import ForKernels, ForPython

Function = TypeVar("Function", bound=Callable[..., Any])


KEPT = 3  # digests that are kept, however old
KEPT_S = 7 * 86400.0  # a process may live so long on what it found


def _cache_folder() -> Path | None:
    """Give the folder of what was compiled of these sources; None where nothing can be kept."""
    sources = sorted(Path(__file__).parent.rglob("*.py"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    try:
        home = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(home) / "heartbench" / digest
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()  # it is writable
        os.utime(folder)  # it was used now
    except (OSError, RuntimeError):  # there is no home
        return None
    _forget_old(folder.parent)
    return folder


def _forget_old(home: Path) -> None:
    """Delete the digests that were not used for a week, but for the newest few."""
    with suppress(OSError):  # another process may be at it as well
        used_s = {folder: folder.stat().st_mtime for folder in home.glob("[0-9a-f]" * 16)}
        for folder in sorted(used_s, key=lambda folder: used_s[folder])[:-KEPT]:
            if time.time() - used_s[folder] > KEPT_S:
                shutil.rmtree(folder, ignore_errors=True)


_config: Any = numba.config
_OPTIONS: Any = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True, "_nrt": False}
_FOR_PYTHON: Any = {"pipeline_class": ForPython, **_OPTIONS}
_FOR_KERNELS: Any = {"pipeline_class": ForKernels, "no_cpython_wrapper": True, **_OPTIONS}
_FOLDER = _cache_folder()
if _FOLDER is not None:
    _config.CACHE_DIR = str(_FOLDER)


def kernel(function: Function) -> Function:
    """Compile `function` with Numba, releasing the interpreter lock while it runs."""
    return _compiled(function, inline=False)


def part(function: Function) -> Function:
    """Compile a kernel into those that call it: it is tiny, or called in one place. A call costs about 5 ns."""
    return _compiled(function, inline=True)


def _compiled(function: Function, inline: bool) -> Function:
    from_python = numba.njit(cache=_FOLDER is not None, **_FOR_PYTHON)(function)
    if not _config.DISABLE_JIT:
        from_kernels = numba.njit(forceinline=inline, **_FOR_KERNELS)(function)
        from_python.get_call_template = _without_literals(from_kernels.get_call_template)
        from_python.get_overload = from_kernels.get_overload
    return cast("Function", from_python)


def _without_literals(template: Any) -> Any:
    """Keep Numba from compiling a kernel again for each constant that another kernel calls it with."""
    unliteral: Any = types.unliteral

    def call_template(args: Sequence[types.Type], kws: Mapping[str, types.Type]) -> Any:
        return template(tuple(map(unliteral, args)), {name: unliteral(arg) for name, arg in kws.items()})

    return call_template
