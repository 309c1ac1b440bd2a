"""Round-trip estimates, the timeout made of them, and the granularity of the timer wheel."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbench.simulator.record import new
from heartbench.simulator.tcp import timers
from heartbench.simulator.tcp.flow import Flow, reset
from heartbench.simulator.tcp.timers import RTO_MAX_S, TICK_S

PHASE_S = st.floats(0.0, 4096 * TICK_S)
sample = timers.sample.py_func  # type: ignore[attr-defined]


def flow() -> Any:
    made: Any = new(Flow)
    reset(made)
    return made


def after(samples: list[float]) -> Any:
    """A flow that took `samples` of the round-trip time, each in a round trip of its own."""
    made = flow()
    for m in samples:
        made.snd_una += 1
        made.snd_nxt += 1
        sample(made, m)
    return made


@pytest.mark.parametrize(("rtt_s", "rto_s"), [(0.001, 0.204), (0.085, 0.288), (0.1, 0.3), (0.3, 0.9), (0.6, 1.8)])
def test_the_first_timeout_is_the_round_trip_and_twice_that_or_200_ms_in_whole_ticks(
    rtt_s: float, rto_s: float
) -> None:
    assert after([rtt_s]).rto_s == pytest.approx(rto_s)


def test_the_variance_that_a_long_round_trip_began_with_fades_to_200_ms() -> None:
    timeouts = [float(after([0.6] * count).rto_s) for count in (1, 5, 10, 20, 40)]
    assert timeouts == sorted(timeouts, reverse=True)
    assert timeouts[-1] == pytest.approx(0.8, abs=0.005)


@given(st.lists(st.floats(0.001, 2.0), min_size=1, max_size=40))
def test_the_timeout_is_at_least_200_ms_more_than_the_smoothed_round_trip(samples: list[float]) -> None:
    made = after(samples)
    assert min(samples) - 1e-9 <= made.srtt_s <= max(samples) + 1e-9
    assert made.srtt_s + 0.2 - 1e-6 <= made.rto_s <= RTO_MAX_S


def test_a_round_trip_that_jumps_up_raises_the_timeout_at_once() -> None:
    assert after([0.1] * 20 + [1.0]).rto_s > 3.0 * after([0.1] * 20).rto_s


@given(st.floats(0.0, 1e5), st.floats(0.004, 130.0), PHASE_S)
def test_a_timer_fires_on_a_tick_not_before_its_time_and_late_by_a_notch_of_the_wheel_at_most(
    now: float, wait: float, phase: float
) -> None:
    late = timers.fires(now, wait, phase) - (now + wait)
    notch = next(step for step, below in NOTCHES if wait < below)
    assert -TICK_S <= late <= notch + TICK_S + 1e-6


# A notch of the wheel, s, and the waits that it serves (kernel/time/timer.c at 250 ticks a second).
NOTCHES = [
    (0.004, 0.252 - TICK_S),
    (0.032, 2.016 - TICK_S),
    (0.256, 16.128 - TICK_S),
    (2.048, 129.024 - TICK_S),
    (16.384, 1e9),
]


@given(st.floats(0.0, 1e4), st.floats(0.004, 100.0), st.floats(0.0, 30.0), PHASE_S)
def test_a_longer_wait_does_not_fire_sooner(now: float, wait: float, more: float, phase: float) -> None:
    assert timers.fires(now, wait, phase) <= timers.fires(now, wait + more, phase)
