"""How Numba compiles kernels: the one that Python calls whole, once, with all the kernels that it calls.

Numba would optimise each function on its own and make machine code of it, with all that it calls, and the same again
for each of its callers: half a minute for a fleet. Here a kernel that another kernel calls is translated into LLVM's
language and left at that; the one that Python calls is linked with what it needs, optimised, and made machine code of.
And only parts are inlined: where the optimiser chose, it would take minutes and gain nothing.

This leans on Numba's inside, which is no promise of Numba's: the versions that it was tried with stand in
pyproject.toml, and the simulator's tests are what another one has to pass.
"""

import gc
import operator
from functools import cache
from typing import Any

from numba.core import types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase
from numba.core.compiler_machinery import CompilerPass, PassManager, register_pass
from numba.core.errors import UnsupportedError
from numba.core.lowering import Lower
from numba.core.targetconfig import ConfigStack
from numba.core.typed_passes import NativeLowering, NoPythonBackend, NopythonTypeInference, PreLowerStripPhis
from numba.core.untyped_passes import FixupArgs, ReconstructSSA, TranslateByteCode

OPERATORS = frozenset(value for value in vars(operator).values() if callable(value))


class _Library(JITCodeLibrary):
    """Code that is optimised with all that is linked into it, and not each function before that as well."""

    def _optimize_functions(self, module: Any) -> None:
        module.data_layout = self._codegen._data_layout  # as Numba does in this place

    def _optimize_final_module(self) -> None:
        # Once: Numba's first round is for references, which no kernel has, and for vector loops, which none gains from.
        passes, builder = self._codegen._module_pass_manager()
        passes.run(self._final_module, builder)


class _Waiting(_Library):
    """Code that waits for the kernel into which it is linked."""

    def finalize(self) -> None:
        self._finalized = True


class _Lower(Lower):
    def pre_lower(self) -> None:
        super().pre_lower()
        if not self.fndesc.inline:
            self.builder.function.attributes.add("noinline")


class _Remembering:
    """Numba's typing context, which remembers what an operator gives: else it tries dozens of rules for each sum.

    Of functions nothing is remembered: code of others in this process can give them other code, by other rules.
    """

    def __init__(self, context: Any) -> None:
        self._context = context
        self._found: dict[Any, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def resolve_function_type(self, function: Any, args: Any, kws: Any) -> Any:
        if not isinstance(function, types.Function) or function.typing_key not in OPERATORS:
            return self._context.resolve_function_type(function, args, kws)
        asked = function, tuple(args)
        if asked not in self._found:
            self._found[asked] = self._context.resolve_function_type(function, args, kws)
        return self._found[asked]


_remembering = cache(_Remembering)


@register_pass(mutates_CFG=True, analysis_only=False)
class _InferTypes(NopythonTypeInference):
    """Infer types; what Numba itself compiles for that, such as `max`, is the same for parts and for other kernels."""

    _name = "heartbench_infer_types"

    def run_pass(self, state: Any) -> bool:
        context, flags = state.typingctx, state.flags.copy()
        state.typingctx, flags.forceinline = _remembering(context), False
        with ConfigStack().enter(flags):
            super().run_pass(state)
        state.typingctx = context
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class _StripPhis(PreLowerStripPhis):
    """Put assignments in the place of φ, and leave out when a variable lives: nothing is freed."""

    _name = "heartbench_strip_phis"

    def run_pass(self, state: Any) -> bool:
        state.func_ir = self._strip_phi_nodes(state.func_ir)
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class _Translate(NativeLowering):
    """Translate a function, and tell its callers what they have to link."""

    _name = "heartbench_translate"

    @property
    def lowering_class(self) -> type[Lower]:
        return _Lower

    def run_pass(self, state: Any) -> bool:
        context = state.targetctx
        library = state.library = _Waiting(context.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True
        super().run_pass(state)
        key = object().__sizeof__  # Numba knows a function by its entry for Python, and insists on a built-in one
        state.cr = state.cr._replace(cfunc=key)
        context.insert_user_function(key, state.cr.fndesc, [library, *library._linking_libraries])
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class _Link(NativeLowering):
    """Translate a function, and make machine code of it and all that it calls."""

    _name = "heartbench_link"

    def run_pass(self, state: Any) -> bool:
        state.library = _Library(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        super().run_pass(state)
        return True


class _Steps(PassManager):
    """Steps one after the other. Numba would take time after each to look whether it left all in order."""

    def run(self, state: Any) -> None:
        for step, _ in self.passes:
            step().run_pass(state)


class _Compiler(CompilerBase):
    """Numba's steps without those for what kernels go without; `kernel` says what that is."""

    last: type[CompilerPass]
    """The step that makes code of it."""

    def define_pipelines(self) -> list[PassManager]:
        """Give the one way in which a function is compiled.

        Raises:
            UnsupportedError: it is a generator, which would come out wrong.
        """
        if self.state.func_id.is_generator:
            raise UnsupportedError(f"{self.state.func_id.func_qualname}: a kernel cannot yield")
        steps = _Steps("heartbench")
        for step in (TranslateByteCode, FixupArgs, ReconstructSSA, _InferTypes, _StripPhis, self.last, NoPythonBackend):
            steps.add_pass(step)
        return [steps]


class ForKernels(_Compiler):
    """A kernel as others call it."""

    last = _Translate


class ForPython(_Compiler):
    """A kernel as Python calls it."""

    last = _Link

    def compile_extra(self, func: Any) -> Any:
        """Compile a function; looking for garbage all the while would take a fifteenth of the time."""
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            return super().compile_extra(func)
        finally:
            if was_enabled:
                gc.enable()
