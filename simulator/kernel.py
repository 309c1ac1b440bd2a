"""How the simulator's hot loops are compiled.

A kernel is a plain Python function that Numba compiles at its first call and keeps on disk. `kernel.py_func` is that
function: what is read and tested. With NUMBA_DISABLE_JIT=1 everything runs as plain Python.

Numba looks only at a kernel's own file to see whether what it kept is still good, though kernels of other files are
compiled into it. So what is kept stands under a digest of all of the simulator's sources.
"""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba import types

Function = TypeVar("Function", bound=Callable[..., Any])


def _cache_folder() -> Path:
    sources = sorted(Path(__file__).parent.rglob("*.py"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "heartbench" / digest


_config: Any = numba.config
_OPTIONS: Any = {"cache": True, "nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}

if "NUMBA_CACHE_DIR" not in os.environ:
    _config.CACHE_DIR = str(_cache_folder())


def kernel(function: Function) -> Function:
    """Compile `function` with Numba, releasing the interpreter lock while it runs."""
    return _compiled(function)


def part(function: Function) -> Function:
    """Compile a kernel into those that call it: it is tiny, or called in one place. A call costs about 5 ns."""
    return _compiled(function, forceinline=True)


def _compiled(function: Function, **options: Any) -> Function:
    compiled = numba.njit(**_OPTIONS, **options)(function)
    if not _config.DISABLE_JIT:
        _compile_once_for_all_constants(compiled)
    return cast("Function", compiled)


def _compile_once_for_all_constants(compiled: Any) -> None:
    """Keep Numba from compiling a kernel again for each constant that another kernel calls it with."""
    template = compiled.get_call_template
    unliteral: Any = types.unliteral

    def without_literals(args: Sequence[types.Type], kws: Mapping[str, types.Type]) -> Any:
        return template(tuple(map(unliteral, args)), {name: unliteral(arg) for name, arg in kws.items()})

    compiled.get_call_template = without_literals
