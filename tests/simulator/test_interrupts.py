"""Signals that end a run."""

import os
import signal
import threading
from contextlib import suppress

import pytest

from heartbench.simulator.interrupts import ENDING, noted, raised


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_is_noted_and_interrupts_nothing(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with noted() as came:
        assert not came()
        os.kill(os.getpid(), number)
        assert came()
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_is_raised(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt), raised():
        os.kill(os.getpid(), number)


def swallow_a_signal(error: Exception | None) -> None:
    with raised():
        with suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        if error:
            raise error


@pytest.mark.parametrize("error", [None, RuntimeError("no compiled object yet")])
def test_a_signal_that_a_library_swallows_is_raised_at_the_end(error: Exception | None) -> None:
    with pytest.raises(KeyboardInterrupt):
        swallow_a_signal(error)


def test_another_error_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError), raised():
        raise RuntimeError


def test_what_loads_while_signals_are_noted_is_ended_and_what_comes_then_is_noted() -> None:
    with noted() as came:
        with pytest.raises(KeyboardInterrupt), raised():
            os.kill(os.getpid(), signal.SIGINT)
        assert not came()
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        assert came()


def test_outside_the_main_thread_none_ever_comes() -> None:
    came: list[bool] = []

    def look() -> None:
        with noted() as interrupted, raised():
            came.append(interrupted())

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert came == [False]
