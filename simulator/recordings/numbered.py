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

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.recordings.coarse import is_coarse, spread
from heartbench.simulator.recordings.lines import Block
from heartbench.simulator.recordings.recording import Recording, Seconds, usual_interval
from heartbench.simulator.recordings.wrapping import steps_between

PAUSE_STEPS = 3.0
"""A pause is longer than the numbers account for by this many intervals, each taken as at least 1 s: with `ping -A` the
interval is a round trip while answers come, and 1 s while none does."""
SLACK = 0.1
"""`ping` keeps its interval to within a few percent (1.04 s in one of the logs that tests read)."""
MOST_PROBES = 100_000_000
"""Of one log; a greater number is a damaged one."""
PACE_LINES = 10
RESTARTED = "another start of ping without its PING line"
BACK_S = 1.0
"""A line is printed a little after the answer came: times may fall by this much."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What the lines of one run of a prober say, in the order of the lines."""

    number: NDArray[np.int32]
    """Of the probe, from 0."""
    printed_s: Seconds
    """When the line was printed, in s since 1970; NaN: not known."""
    rtt_s: Seconds
    """NaN: the line says that there is no answer yet, or an error, or that the answer came again."""

    @property
    def left_s(self) -> Seconds:
        """When each probe left, in s since 1970, as far as its line says; one without an answer left earlier."""
        return self.printed_s - np.nan_to_num(self.rtt_s)


class Lines:
    """The lines of one run that are about probes, a piece for each block: joined, ten million would take a gigabyte."""

    def __init__(self) -> None:
        self.pieces: list[Answers] = []

    def __bool__(self) -> bool:
        return bool(self.pieces)

    def add(self, block: Block, found: Answers, begin: int, end: int) -> None:
        """Add the lines of a block from `begin` to before `end`; one with a negative number is about no probe.

        Raise if the time of day goes back.
        """
        about = begin + np.flatnonzero(found.number[begin:end] >= 0)
        if not len(about):
            return
        printed_s = found.printed_s[about]
        if not np.any(np.nan_to_num(printed_s) % 1) and is_coarse(printed_s):
            printed_s = spread(printed_s)
        piece = Answers(found.number[about], printed_s, found.rtt_s[about])
        before = self.pieces[-1].printed_s[-1:] if self else piece.printed_s[:1]
        times = np.append(before, piece.printed_s)
        back = np.flatnonzero(np.diff(times) < -BACK_S)
        if len(back):
            step_s = float(times[back[0]] - times[back[0] + 1])
            wrong = f"the time goes back by {step_s:.3f} s; cut the log there into two files"
            raise block.error(int(about[back[0]]), wrong)
        self.pieces.append(piece)

    def unwrap(self, period: int, source: str) -> None:
        """Count on where the numbers start again at 0; raise if they do so for another reason."""
        pace_s = self.pace_s
        number_before, left_before_s = self.pieces[0].number[:1], np.array([np.nan])
        last = int(number_before[0])
        for piece in self.pieces:
            number = np.concatenate((number_before, piece.number)).astype(np.int64)
            left_s = np.concatenate((left_before_s, piece.left_s))
            steps, unexplained = steps_between(number, left_s, np.append(np.nan, piece.rtt_s), period, pace_s)
            for at in np.flatnonzero(unexplained).tolist():
                goes = f"icmp_seq goes from {number[at]} to {number[at + 1]}"
                raise SimulatorError(f"{source}: {goes}: {RESTARTED}; cut the log there into two files")
            counted = last + np.cumsum(steps)
            if np.abs(counted).max() > MOST_PROBES:
                raise SimulatorError(f"{source}: more than {MOST_PROBES} probes by its times of day")
            last, number_before, left_before_s = int(counted[-1]), piece.number[-1:].copy(), left_s[-1:]
            piece.number[:] = counted

    def count_from(self, first: int) -> None:
        """Make `first` number 0, and leave out the lines of smaller ones."""
        for place, piece in enumerate(self.pieces):
            kept = piece.number >= first
            if not kept.all():
                self.pieces[place] = Answers(piece.number[kept], piece.printed_s[kept], piece.rtt_s[kept])
            self.pieces[place].number[:] -= np.int32(first)
        self.pieces = [piece for piece in self.pieces if len(piece.number)]

    @property
    def first_of_cut(self) -> int:
        """Number with which lines begin whose beginning was cut off: of the first line, or without a gap before it.

        What comes late after a gap belongs to before the cut: so do, then, the probes in the gap.
        """
        first = int(self.pieces[0].number[0])
        before = np.unique(np.concatenate([piece.number[piece.number < first] for piece in self.pieces]))
        return first - int(np.count_nonzero(before == first - np.arange(len(before), 0, -1)))

    @property
    def first(self) -> int:
        """Smallest number of a probe."""
        return min(int(piece.number.min()) for piece in self.pieces)

    @property
    def last(self) -> int:
        """Greatest number of a probe."""
        return max(int(piece.number.max()) for piece in self.pieces)

    @property
    def pace_s(self) -> float | None:
        """Usual time between two probes, in s, by lines that are some lines apart; None if no times are known.

        Errors come several at once, and coarse clocks give several lines one time.
        """
        paces = []
        for piece in self.pieces:
            apart = min(PACE_LINES, len(piece.number) - 1)
            probes = piece.number[apart:] - piece.number[: len(piece.number) - apart]
            took_s = piece.left_s[apart:] - piece.left_s[: len(piece.number) - apart]
            paces.append((took_s / np.maximum(probes, 1))[(probes > 0) & (took_s > 0)])
        known = np.concatenate(paces)
        return float(np.median(known)) if len(known) else None

    @property
    def answered_twice(self) -> int | None:
        """Smallest number with two answers; None if there is none."""
        answered = np.zeros(self.last + 1, bool)
        answers = 0
        for piece in self.pieces:
            numbers = piece.number[~np.isnan(piece.rtt_s)]
            answered[numbers] = True
            answers += len(numbers)
        if answers == np.count_nonzero(answered):
            return None
        numbers = np.concatenate([piece.number[~np.isnan(piece.rtt_s)] for piece in self.pieces])
        return int(np.flatnonzero(np.bincount(numbers) > 1)[0])

    @property
    def last_answered(self) -> int:
        """Greatest number of a probe with an answer; -1 if none has one."""
        answered = (piece.number[~np.isnan(piece.rtt_s)] for piece in self.pieces)
        return max((int(numbers.max()) for numbers in answered if len(numbers)), default=-1)

    def began_unanswered_s(self, interval_s: float) -> float | None:
        """Return when probe 0 left, in s since 1970, if its run has no answer; None if the log does not say.

        A line that says so is printed as the next probe leaves.
        """
        for piece in self.pieces:
            for line in np.flatnonzero(~np.isnan(piece.printed_s))[:1].tolist():
                return float(piece.printed_s[line] - (piece.number[line] + 1) * interval_s)
        return None

    def take(self, probes: int) -> tuple[Seconds, Seconds]:
        """Return when each probe left, in s since 1970, and its round-trip time; NaN where it has no answer.

        Of duplicates the first counts. The lines are not kept.
        """
        left_s, rtt_s = np.full(probes, np.nan), np.full(probes, np.nan)
        while self.pieces:
            piece = self.pieces.pop()
            answered = np.flatnonzero(~np.isnan(piece.rtt_s))[::-1]
            number = piece.number[answered]
            rtt_s[number] = piece.rtt_s[answered]
            left_s[number] = piece.printed_s[answered] - piece.rtt_s[answered]
        return left_s, rtt_s


def usual_step(left_s: Seconds) -> float | None:
    """Return the median time between two successive probes, in s; None if no two are known."""
    steps = np.diff(left_s)
    steps = steps[~np.isnan(steps)]
    return max(float(np.median(steps)), 1e-6) if len(steps) else None


def fill(left_s: Seconds, interval_s: float) -> NDArray[np.int32]:
    """Fill in when lost probes left, and return the stretch of each probe: a pause begins a new one.

    Lost probes before a pause belong to the time before it.
    """
    least_s = max(interval_s, 1.0)
    begins = [1 + np.flatnonzero(np.diff(left_s) > least_s * (1 + SLACK + PAUSE_STEPS))]
    lost = np.flatnonzero(np.isnan(left_s))
    if len(lost):
        new = np.diff(lost, prepend=-2) > 1
        before = lost[new] - 1
        after = lost[np.append(new[1:], True)] + 1
        inner = (before >= 0) & (after < len(left_s))
        anchor = np.where(before >= 0, before, after)
        steps = np.where(inner, after - before, 1)
        took_s = np.where(inner, left_s[np.minimum(after, len(left_s) - 1)] - left_s[before], interval_s)
        paused = took_s > least_s * (steps * (1 + SLACK) + PAUSE_STEPS)
        step_s = np.where(paused | ~inner, interval_s, took_s / steps)
        burst = np.cumsum(new) - 1
        left_s[lost] = left_s[anchor][burst] + (lost - anchor[burst]) * step_s[burst]
        begins.append(after[paused & inner])
    np.maximum.accumulate(left_s, out=left_s)
    stretch = np.zeros(len(left_s), np.int32)
    stretch[np.concatenate(begins)] = 1
    return np.cumsum(stretch, out=stretch)


def recording(lines: Lines, lost_at_end: int, source: str, interval_s: float, *assumptions: str) -> Recording:
    """Return the recording of one run, whose numbers begin with 0.

    `lost_at_end` is how many probes more than the lines tell of were sent, as far as the log says it. The interval and
    what is assumed of it count where the lines have no time of day. The last probe is left out if it has no answer.
    """
    probes = lines.last + 1 + lost_at_end
    if probes > MOST_PROBES:
        raise SimulatorError(f"{source}: {probes} probes; a log has at most {MOST_PROBES}")
    if lines.last_answered < probes - 1:
        probes = max(probes - 1, lines.last_answered + 1, 1)
    if pace_s := lines.pace_s:
        interval_s, assumptions = pace_s, ()
    began = lines.began_unanswered_s(interval_s)
    left_s, rtt_s = lines.take(max(probes, lines.last + 1))
    left_s, rtt_s = left_s[:probes], rtt_s[:probes]
    if np.isnan(left_s).all():
        sent_s, stretch = np.arange(probes, dtype=np.float64) * interval_s, np.zeros(probes, np.int32)
    else:
        sent_s, stretch = left_s, fill(left_s, usual_step(left_s) or interval_s)
        began = float(sent_s[0])
        sent_s -= began
        interval_s, assumptions = usual_interval(sent_s, stretch), ()
    return Recording(source, sent_s, rtt_s, None, None, stretch, interval_s, began, assumptions)
