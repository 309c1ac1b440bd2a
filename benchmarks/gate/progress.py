"""Progress reporting: the work reports its steps, and the caller decides whether to show them."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Progress(Protocol):
    """Shows a piece of work with a number of steps; yields a function to call with the number of steps done."""

    def __call__(self, description: str, total: float, /) -> AbstractContextManager[Callable[[float], None]]:
        """Start to show `description`."""
        ...


class _Silent:
    def __call__(self, _description: str, _total: float, /) -> AbstractContextManager[Callable[[float], None]]:
        return nullcontext(lambda _: None)


silent: Progress = _Silent()
"""A progress that is not shown."""
