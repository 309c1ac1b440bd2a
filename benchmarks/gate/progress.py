"""How long work is shown to whoever waits for it, without knowing whether anybody does."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Progress(Protocol):
    """Shows work: what it is and how many steps it has; yields what is to be called with the steps that are done."""

    def __call__(self, description: str, total: float, /) -> AbstractContextManager[Callable[[float], None]]:
        """Begin to show."""
        ...


class _Silent:
    def __call__(self, _description: str, _total: float, /) -> AbstractContextManager[Callable[[float], None]]:
        return nullcontext(lambda _: None)


silent: Progress = _Silent()
"""Shows nothing."""
