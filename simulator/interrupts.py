"""Signals that end a run: noted from its start until its record is written, so that none loses what was measured.

Only while the run loads, and nothing is measured yet, are they raised, and end it at once:

    with noted() as interrupted:
        with raised():
            ...             # load
        ...                 # measure, ask `interrupted` now and then, and write
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def noted() -> Iterator[Callable[[], bool]]:
    """Let SIGINT and SIGTERM interrupt nothing; yields a function that says whether one came.

    Outside the main thread, where Python knows no signals, none ever comes.
    """
    came = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield came.is_set
        return
    with _handled_by(lambda *_: came.set()):
        yield came.is_set


@contextmanager
def raised() -> Iterator[None]:
    """Let SIGINT and SIGTERM raise KeyboardInterrupt, so that what was begun is cleared away.

    Outside the main thread none is ever raised.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _handled_by(signal.default_int_handler):
        yield


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in ENDING}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
