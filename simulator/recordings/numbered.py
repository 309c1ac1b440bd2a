"""Probes that carry a number, as `ping` prints them, as a recording.

A log has a line for an answer, so that a lost probe is seen by a number that is missing. The prober counts on while
nothing answers; it does not count while it does not run.

    answered   left at: when its line was printed, minus its round-trip time
    lost       left at: between its neighbours, in equal steps
    pause      the clock went on for longer than the numbers account for: a new stretch

Without times of day, probe n left at n × interval.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator.recordings.lines import Block, bad_line
from heartbench.simulator.recordings.recording import Recording, Seconds, usual_interval

Number = TypeVar("Number", bound=np.generic)
PAUSE_STEPS = 3.0
"""A pause is longer than the numbers account for by this many intervals, each taken as at least 1 s: with `ping -A` the
interval is a round trip while answers come, and 1 s while none does."""
SLACK = 0.1
"""`ping` keeps its interval to within a few percent (1.04 s in one of the logs that tests read)."""
BACK_S = 1.0
"""A line is printed a little after the answer came: times may fall by this much."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What the lines of one run of a prober say, in the order of the lines."""

    number: NDArray[np.int64]
    """Of the probe, from 0."""
    printed_s: Seconds
    """When the line was printed, in s since 1970; NaN: not known."""
    rtt_s: Seconds
    """NaN: the line says that there is no answer yet, or an error."""

    def part(self, begin: int, end: int) -> "Answers":
        """Return the lines from `begin` to before `end`."""
        return Answers(self.number[begin:end], self.printed_s[begin:end], self.rtt_s[begin:end])


class Lines:
    """The lines of a log that are about probes, collected block by block."""

    def __init__(self) -> None:
        self.numbers: list[NDArray[np.int32]] = []
        self.printed_s: list[Seconds] = []
        self.rtt_s: list[Seconds] = []
        self.lines: list[NDArray[np.int32]] = []

    def __bool__(self) -> bool:
        return bool(self.lines)

    def add(self, block: Block, found: Answers, begin: int, end: int) -> None:
        """Add the lines of a block from `begin` to before `end`; one with a negative number is about no probe."""
        about = begin + np.flatnonzero(found.number[begin:end] >= 0)
        if len(about):
            self.numbers.append(found.number[about].astype(np.int32))
            self.printed_s.append(found.printed_s[about])
            self.rtt_s.append(found.rtt_s[about])
            self.lines.append((about + block.first_line).astype(np.int32))

    def joined(self) -> tuple[Answers, NDArray[np.int32]]:
        """Return all answers and the number of the line of each; the lines are not kept."""
        answers = Answers(
            concatenate(self.numbers).astype(np.int64), concatenate(self.printed_s), concatenate(self.rtt_s)
        )
        return answers, concatenate(self.lines)


def concatenate(arrays: list[NDArray[Number]]) -> NDArray[Number]:
    """Return arrays as one and forget them: of ten million probes, two copies of everything would be too much."""
    joined = np.concatenate(arrays)
    arrays.clear()
    return joined


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
    answered = np.flatnonzero(~np.isnan(answers.rtt_s) & (answers.number < probes))[::-1]
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


def check_clock(path: Path, line: NDArray[np.int32], answers: Answers) -> None:
    """Raise if the times of day go back."""
    back = np.flatnonzero(np.diff(answers.printed_s) < -BACK_S)
    if len(back):
        at = int(back[0]) + 1
        step_s = float(answers.printed_s[at - 1] - answers.printed_s[at])
        raise bad_line(path, int(line[at]), f"the time goes back by {step_s:.3f} s; cut the log there into two files")


def recording(
    answers: Answers, sent: int, source: str, interval_s: float, *assumptions: str, complete: bool = False
) -> Recording:
    """Return the recording of one run.

    `sent` is how many probes the log says were sent, 0 if it does not. The interval and what is assumed of it count
    where the lines have no time of day. The last probe is left out if it has no answer, unless the log is `complete`.
    """
    probes = max(int(answers.number.max()) + 1, sent)
    answered = answers.number[~np.isnan(answers.rtt_s)]
    if not complete and (answered.max() if len(answered) else -1) < probes - 1 > 0:
        probes -= 1
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
