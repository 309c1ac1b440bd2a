"""How Numba treats a kernel that another kernel calls: translated into LLVM's language, and left at that.

Numba would optimise each function on its own and make machine code of it, with all that it calls, and the same again
for each of its callers: half a minute for a fleet. Here the kernel that Python calls is linked with what it needs,
optimised, and made machine code of; all others wait for it. And only parts are inlined: where the optimiser chose, it
would take minutes and gain nothing.

This leans on Numba's inside, which is no promise of Numba's: the versions that it was tried with stand in
pyproject.toml, and the simulator's tests are what another one has to pass.
"""

from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.lowering import Lower
from numba.core.typed_passes import (
    IRLegalization,
    NativeLowering,
    NoPythonBackend,
    NopythonTypeInference,
    PreLowerStripPhis,
)
from numba.core.untyped_passes import (
    FixupArgs,
    GenericRewrites,
    IRProcessing,
    ReconstructSSA,
    RewriteSemanticConstants,
    TranslateByteCode,
)


class _Translated(JITCodeLibrary):
    """Code that waits for the kernel into which it is linked."""

    def finalize(self) -> None:
        self._finalized = True


class _Lower(Lower):
    def pre_lower(self) -> None:
        super().pre_lower()
        if not self.fndesc.inline:
            self.builder.function.attributes.add("noinline")


@register_pass(mutates_CFG=True, analysis_only=False)
class _Translate(NativeLowering):
    """Translate a function, and tell its callers what they have to link."""

    _name = "heartbench_translate"

    @property
    def lowering_class(self) -> type[Lower]:
        return _Lower

    def run_pass(self, state: Any) -> bool:
        context = state.targetctx
        library = state.library = _Translated(context.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True
        super().run_pass(state)
        key = object().__sizeof__  # Numba knows a function by its entry for Python, and insists on a built-in one
        state.cr = state.cr._replace(cfunc=key)
        context.insert_user_function(key, state.cr.fndesc, [library, *library._linking_libraries])
        return True


class Translation(CompilerBase):
    """Numba's steps without those that look for what no kernel has, such as closures: a tenth less time."""

    def define_pipelines(self) -> list[PassManager]:
        """Give the one way in which a function is translated."""
        manager = PassManager("heartbench_translation")
        for step in (
            TranslateByteCode,
            FixupArgs,
            IRProcessing,
            RewriteSemanticConstants,
            GenericRewrites,
            ReconstructSSA,
            NopythonTypeInference,
            PreLowerStripPhis,
            IRLegalization,
            _Translate,
            NoPythonBackend,
        ):
            manager.add_pass(step)
        manager.finalize()
        return [manager]
