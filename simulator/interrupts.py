"""Signals that end a run: noted from its start until its record is written, so that no measurement is lost.

While the run loads, when nothing is measured yet, they are raised instead and end it at once:

    with noted() as interrupted:
        with raised():
            ...             # load
        ...                 # measure, ask `interrupted()` now and then, and write
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def noted() -> Iterator[Callable[[], bool]]:
    """Record SIGINT and SIGTERM instead of being interrupted; yields a function that returns whether one came.

    Outside the main thread it always returns False.
    """
    came = threading.Event()
    with _handled_by(lambda *_: came.set()):
        yield came.is_set


@contextmanager
def raised() -> Iterator[None]:
    """Raise KeyboardInterrupt at SIGINT and SIGTERM, so that what was begun is cleaned up.

    A library that calls back into Python can swallow it: LLVM does, and Numba then fails in another way. So it is
    raised again at the end. Outside the main thread nothing is raised.
    """
    came = threading.Event()

    def interrupt(*_: object) -> None:
        came.set()
        raise KeyboardInterrupt

    try:
        with _handled_by(interrupt):
            yield
    except Exception:
        if not came.is_set():
            raise
    if came.is_set():
        raise KeyboardInterrupt


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # where Python handles no signals
        yield
        return
    before = {number: signal.signal(number, handler) for number in ENDING}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
