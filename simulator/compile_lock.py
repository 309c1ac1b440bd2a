"""One process compiles a kernel; others that call it meanwhile wait, and load what it cached."""

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from numba.core import compiler_lock

_threads: Any = compiler_lock.global_compiler_lock  # whose annotations are missing


def compile_once(compiled: Any, folder: Path) -> None:
    """Change `compiled`, a kernel that is cached in `folder`, so that one process at a time compiles it."""
    compile_it, code = compiled.compile, compiled.py_func.__code__
    lock = folder / f"{compiled.py_func.__module__}.{code.co_qualname}-{code.co_firstlineno}.lock"

    def compile_in_turn(signature: Any) -> Any:
        # Numba's own lock first: two threads of a process would otherwise wait for each other.
        with _threads, _held(lock):
            return compile_it(signature)

    compiled.compile = compile_in_turn


@contextmanager
def _held(lock: Path) -> Iterator[None]:
    """Hold a lock among processes; without one if no file can be written, as Numba then caches nothing."""
    with ExitStack() as stack:
        with suppress(OSError):
            lock.parent.mkdir(parents=True, exist_ok=True)  # it may have been deleted for its age
            fcntl.flock(stack.enter_context(lock.open("w")), fcntl.LOCK_EX)
        yield
