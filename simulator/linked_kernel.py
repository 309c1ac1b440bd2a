"""The form in which a kernel is called by other kernels: compiled once, and linked into what Python calls.

Numba compiles a kernel into each of its callers: it optimizes it and emits machine code each time, for the callee and
for all that this calls in turn: 124 of 177 s for the loops of the virtual engine. The linked form is optimized and
emitted with what Python calls alone; nor has it a variant for each constant argument. That leaves 35 s.

This uses internals of Numba (tried with 0.68.0 and 0.68.1). Importing this module raises ImportError if a name is
missing.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numba
from numba.core import types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

if not all(hasattr(JITCodeLibrary, step) for step in ("_optimize_final_module", "_finalize_final_module")):
    raise ImportError("this version of Numba compiles in other steps")

_numba: Any = numba  # whose annotations do not know the options below


def link_calls(compiled: Any, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Change `compiled`, `function` compiled with these options, so that other kernels call its linked form."""
    linked = _numba.njit(pipeline_class=_LinkedCompiler, no_cpython_wrapper=True, **options)(function)
    compiled.get_call_template, compiled.get_overload = _without_literals(linked), linked.get_overload


def _without_literals(linked: Any) -> Callable[..., Any]:
    """Return the method by which a kernel is typed for a call, without a variant for each constant argument."""
    return lambda args, kws: linked.get_call_template(tuple(map(types.unliteral, args)), kws)


class _LinkedLibrary(JITCodeLibrary):
    """The code of a kernel for those that call it: it is optimized and emitted with theirs alone."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalized = True


class _LinkedCompiler(Compiler):
    """Numba's compiler, up to code that other kernels can link."""

    def __init__(self, typing: Any, target: Any, _: Any, *rest: Any) -> None:
        library = _LinkedLibrary(target.codegen(), "linked")  # type: ignore[no-untyped-call]
        target = target.subtarget(get_executable=_no_executable)
        super().__init__(typing, target, library, *rest)  # type: ignore[no-untyped-call]


def _no_executable(*_: Any) -> Callable[[], Any]:
    """Return what stands for an entry point that nobody calls: Numba wants a built-in function, another each time."""
    return [].copy
