"""Times on the wall clock of moments on the monotonic one."""

from itertools import cycle

import pytest

from heartbench.hub import clock as module
from heartbench.hub.clock import Clock

UNIX_S = 1_796_000_000.0


class Time:
    """A machine on which up to 4 µs pass between two readings of its clocks, and once `held_up_s` more."""

    def __init__(self) -> None:
        self.now_s = 5000.0
        self.offset_s = UNIX_S
        self.held_up_s = 0.0
        self._passes_s = cycle((1e-7, 4e-6, 3e-7, 2.5e-6, 1e-6))

    def time(self) -> float:
        self.now_s += next(self._passes_s) + self.held_up_s
        self.held_up_s = 0.0
        return self.now_s + self.offset_s

    def monotonic(self) -> float:
        self.now_s += next(self._passes_s)
        return self.now_s


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Time:
    machine = Time()
    monkeypatch.setattr(module, "time", machine)
    return machine


def test_one_moment_has_one_time_on_the_wall_clock(machine: Time) -> None:
    clock = Clock()
    assert len({clock.unix(4000.0) for _ in range(1000)}) == 1


def test_a_later_moment_has_no_earlier_time(machine: Time) -> None:
    clock = Clock()
    times_s = [clock.unix(4000.0 + number * 1e-7) for number in range(1000)]
    assert times_s == sorted(times_s)


def test_a_process_that_is_held_up_between_two_readings_moves_no_time(machine: Time) -> None:
    clock = Clock()
    before = clock.unix(4000.0)
    machine.held_up_s = 0.02
    assert clock.unix(4000.0) == before


def test_a_moment_is_the_same_there_and_back(machine: Time) -> None:
    clock = Clock()
    assert clock.at(clock.unix(4000.0)) == pytest.approx(4000.0, abs=3e-7)  # what a float of Unix time resolves


def test_a_clock_that_is_set_is_followed_at_once(machine: Time) -> None:
    clock = Clock()
    for step_s in (3600.0, -7200.0, 1e-3):
        machine.offset_s += step_s
        assert clock.unix(4000.0) == pytest.approx(4000.0 + machine.offset_s, abs=1e-5)
