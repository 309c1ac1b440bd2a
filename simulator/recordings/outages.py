"""Which probes of a recording an outage lost or held, and what a replay of it lists as outages.

A fit counts outages by a rule of its own, which depends on the losses (`analysis.fit.outages`).

A *run* is a number of consecutive probes that did not pass: each was lost, or held.

    held      held probes come back together: from one to the next the round trip falls by the time between them, so
              that their answers arrive at one moment. A run in which at least two come together is held, with the
              losses within and just before it. A single late answer is jitter.
    outage    a run of at least LEAST_PROBES probes and LEAST_S, from when its first probe left to when the next one did

Shorter runs are outages too short to be told from lost packets.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator.recordings.recording import Recording

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

LEAST_PROBES = 3
LEAST_S = 1.0
MOST_FOR_MEDIAN = 1_000_000
LEAST_HELD = 0.8
"""The first held probe is late by at least this share of the probe interval."""
TOGETHER = 0.2
"""Answers that arrive within this share of the probe interval come together."""
LEAST_LATE = 0.3
"""A probe that is late by less than this share of the probe interval is not counted as held."""


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs of consecutive probes that were lost or held.

    Attributes:
        first: index of the first probe of each.
        count: number of probes in each.
        held: whether the run was held.
    """

    first: Ints
    count: Ints
    held: Flags

    def __len__(self) -> int:
        return len(self.first)

    def chosen(self, those: Flags) -> "Runs":
        """Return some of the runs."""
        return Runs(self.first[those], self.count[those], self.held[those])


def find_runs(recording: Recording) -> Runs:
    """Return all runs, in order; none crosses from one stretch into another."""
    lost = np.isnan(recording.rtt_s)
    held = held_probes(recording, lost)
    first, count = _runs_of(lost | held, recording.stretch)
    total = np.cumsum(held, dtype=np.int32)
    before = np.where(first > 0, total[first - 1], 0)
    return Runs(first, count, total[first + count - 1] > before)


def outages_among(recording: Recording, runs: Runs) -> Runs:
    """Return the runs that are long enough to be outages."""
    return runs.chosen((runs.count >= LEAST_PROBES) & (lengths_s(recording, runs) >= LEAST_S))


def lengths_s(recording: Recording, runs: Runs) -> Floats:
    """Return the length of each run, s: from its first probe to its last, and one probe interval."""
    last = runs.first + runs.count - 1
    return np.asarray(recording.sent_s[last] - recording.sent_s[runs.first] + recording.interval_s)


def held_probes(recording: Recording, lost: Flags) -> Flags:
    """Return which probes a stall held, with those that were lost within it."""
    held = np.zeros(len(lost), bool)
    step = recording.interval_s
    late_s = recording.rtt_s - usual_rtt(recording)
    late = np.flatnonzero(late_s >= LEAST_LATE * step)
    if len(late) < 2:
        return held
    # An answer that arrives with the next one, or after it, was waiting for it; none came between them.
    arrival = recording.sent_s[late] + recording.rtt_s[late]
    losses = np.cumsum(lost, dtype=np.int32)[late]
    next_one = np.diff(losses) == np.diff(late) - 1
    together = (np.diff(arrival) <= TOGETHER * step) & (np.diff(recording.stretch[late]) == 0) & next_one
    first, count = _runs_of(np.append(together, False), recording.stretch[late])
    for begin, links in zip(first, count, strict=True):
        if late_s[late[begin]] >= max(LEAST_HELD * step, late_s[late[begin + links]]):
            held[late[begin] : late[begin + links] + 1] = True
    return held


def usual_rtt(recording: Recording) -> float:
    """Return the median round trip, s, of probes spread evenly over the recording."""
    answered = recording.rtt_s[:: max(1, recording.probes // MOST_FOR_MEDIAN)]
    answered = answered[~np.isnan(answered)]
    return float(np.median(answered)) if len(answered) else np.nan


def _runs_of(those: Flags, stretch: NDArray[np.int32]) -> tuple[Ints, Ints]:
    """Return first index and length of each run of true values within a stretch."""
    if not len(those):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    fresh = np.diff(stretch, prepend=stretch[0]) != 0
    before, after = np.roll(those, 1), np.roll(those, -1)
    before[0] = after[-1] = False
    begins = np.flatnonzero(those & (~before | fresh))
    ends = np.flatnonzero(those & (~after | np.roll(fresh, -1)))
    return begins, ends - begins + 1
