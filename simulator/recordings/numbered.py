"""Probes that carry a number, as `ping` prints them, as a recording.

A log has a line for an answer, so that a lost probe is seen by a number that is missing. The prober counts on while
nothing answers; it does not count while it does not run.

    answered   left at: when its line was printed, minus its round-trip time
    lost       left at: between its neighbours, in equal steps
    pause      the clock went on for longer than the numbers account for: a new stretch

Without times of day, probe n left at n × interval.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator.recordings.recording import Recording, Seconds, usual_interval

PAUSE_STEPS = 3.0
"""A pause is longer than the numbers account for by this many intervals, each taken as at least 1 s: with `ping -A` the
interval is a round trip while answers come, and 1 s while none does."""
SLACK = 0.1
"""`ping` keeps its interval to within a few percent (1.04 s in one of the logs that tests read)."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What the lines of one run of a prober say, in the order of the lines."""

    number: NDArray[np.int64]
    """Of the probe, from 0."""
    printed_s: Seconds
    """When the line was printed, in s since 1970; NaN: not known."""
    rtt_s: Seconds
    """NaN: the line says that there is no answer yet, or an error."""


def unwrap(numbers: NDArray[np.int64], period: int) -> NDArray[np.int64]:
    """Return numbers that count on where the given ones start again at 0; a step is at most half a `period`."""
    steps = np.diff(numbers)
    steps += period // 2
    steps %= period
    steps -= period // 2
    return np.concatenate((numbers[:1], numbers[0] + np.cumsum(steps)))


def round_trips(answers: Answers, probes: int) -> Seconds:
    """Return the round-trip time of each probe, NaN where it has no answer; of a duplicate, the first counts."""
    rtt_s = np.full(probes, np.nan)
    answered = np.flatnonzero(~np.isnan(answers.rtt_s))[::-1]
    rtt_s[answers.number[answered]] = answers.rtt_s[answered]
    return rtt_s


def departures(answers: Answers, probes: int) -> Seconds:
    """Return when each probe with an answer left, in s since 1970; NaN where this is not known."""
    left_s = np.full(probes, np.nan)
    known = np.flatnonzero(~np.isnan(answers.rtt_s) & ~np.isnan(answers.printed_s))[::-1]
    left_s[answers.number[known]] = answers.printed_s[known] - answers.rtt_s[known]
    return left_s


def usual_step(left_s: Seconds) -> float | None:
    """Return the median time between two successive probes, in s; None if no two are known."""
    steps = np.diff(left_s)
    steps = steps[~np.isnan(steps)]
    return max(float(np.median(steps)), 1e-6) if len(steps) else None


def fill(left_s: Seconds, interval_s: float) -> tuple[Seconds, NDArray[np.int32]]:
    """Return when each probe left, also the lost ones, and the stretch of each: a pause begins a new one."""
    known = np.flatnonzero(~np.isnan(left_s))
    steps, took_s = np.diff(known), np.diff(left_s[known])
    at_least_s = max(interval_s, 1.0)
    paused = np.flatnonzero(took_s > at_least_s * (steps * (1 + SLACK) + PAUSE_STEPS))
    before, after = known[paused], known[paused + 1]  # around a pause, lost probes belong to the time before it
    lost = after - 1 > before
    at = np.concatenate((known, (after - 1)[lost]))
    times = np.concatenate((left_s[known], (left_s[before] + (after - 1 - before) * interval_s)[lost]))
    order = np.argsort(at, kind="stable")
    at, times = at[order], times[order]
    numbers = np.arange(len(left_s))
    filled = np.interp(numbers, at, times)
    filled[: at[0]] -= (at[0] - numbers[: at[0]]) * interval_s
    filled[at[-1] + 1 :] += (numbers[at[-1] + 1 :] - at[-1]) * interval_s
    stretch = np.zeros(len(left_s), np.int32)
    stretch[after] = 1
    return np.maximum.accumulate(filled), np.cumsum(stretch, dtype=np.int32)


def recording(answers: Answers, probes: int, source: str, interval_s: float, *assumptions: str) -> Recording:
    """Return the recording of one run; `interval_s` counts where the lines have no time of day."""
    rtt_s, left_s = round_trips(answers, probes), departures(answers, probes)
    began = None
    if np.isnan(left_s).all():
        sent_s, stretch = np.arange(probes, dtype=np.float64) * interval_s, np.zeros(probes, np.int32)
    else:
        sent_s, stretch = fill(left_s, usual_step(left_s) or interval_s)
        began = float(sent_s[0])
        sent_s -= began
        interval_s, assumptions = usual_interval(sent_s, stretch), ()
    return Recording(source, sent_s, rtt_s, None, None, stretch, interval_s, began, assumptions)
