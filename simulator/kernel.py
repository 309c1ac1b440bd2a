"""How the simulator's hot loops are compiled.

A kernel is a plain Python function that Numba compiles at its first call and caches on disk. `kernel.py_func` is the
same function uncompiled: what is read and tested.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile `function` with Numba, releasing the interpreter lock while it runs."""
    return cast("Function", numba.njit(cache=True, nogil=True, error_model="numpy")(function))
