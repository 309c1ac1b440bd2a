"""A recording as the loop of rows that `simulator.replay_link` replays.

Stretches follow each other without the time between them, of which nothing is known, and the first follows the last. If
one ends within an outage and the next begins within one, only the longer is replayed: both would be one outage, longer
than any that was recorded. The way down has a row at the time at which a probe was answered, so that the answer to a
packet that leaves with a probe comes back with that probe's.

If the recording knows no one-way delays, half of a round trip counts for each way. What cannot be halved counts for the
way up, which heartbeats take: a lost probe was lost there, and the time for which a probe was held, it was held there.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.link import BOTH, DOWN, UP
from heartbench.simulator.recordings.outages import Runs, find_runs, lengths_s, outages_among, usual_rtt
from heartbench.simulator.recordings.recording import Recording
from heartbench.simulator.replay_link import COLUMNS, DELAY, LATEST, START, TIME

Floats = NDArray[np.float64]

SHORTEST_S = 60.0
"""Least time observed: a shorter recording, looped, says nothing about a day."""


@dataclass(frozen=True, slots=True, eq=False)
class Loop:
    """A recording to replay: `ways` are the rows of delays up and down, `outages` those of outages."""

    length_s: float
    ways: tuple[Floats, Floats]
    outages: Floats


def loop_of(recording: Recording) -> Loop:
    """Return a recording as a loop.

    Raises:
        SimulatorError: it is too short, or no probe was answered.
    """
    if recording.observed_s < SHORTEST_S:
        raise SimulatorError(
            f"{recording.source}: too short to replay: {recording.observed_s:.3g} s observed;"
            f" expected at least {SHORTEST_S:g} s"
        )
    if recording.lost == recording.probes:
        raise SimulatorError(f"{recording.source}: none of its {recording.probes} probes was answered")
    recording = without_joined_runs(recording)
    place_s, length_s, runs = places(recording), recording.observed_s, find_runs(recording)
    up_s, down_s = replayed_delays(recording, runs)
    answers_s, set_out = place_s + up_s, ~np.isnan(up_s)
    ways = _rows(place_s, up_s, length_s), _rows(answers_s[set_out] % length_s, down_s[set_out], length_s)
    return Loop(length_s, ways, _outage_rows(recording, outages_among(recording, runs), place_s, up_s, down_s))


def without_joined_runs(recording: Recording) -> Recording:
    """Return a recording without runs of lost or held probes that meet a longer run at an end of their stretch."""
    runs = find_runs(recording)
    follows = runs.first == np.roll(runs.first + runs.count, 1) % recording.probes
    chain = np.cumsum(~follows) % max(np.count_nonzero(~follows), 1)  # of runs without a probe that passed between them
    order = np.lexsort((lengths_s(recording, runs), chain))
    shorter = np.zeros(len(runs), bool)
    shorter[order[:-1]] = np.diff(chain[order]) == 0
    kept = np.ones(recording.probes, bool)
    kept[_probes_in(runs.chosen(shorter))] = False
    return replace(
        recording,
        sent_s=recording.sent_s[kept],
        rtt_s=recording.rtt_s[kept],
        up_s=None if recording.up_s is None else recording.up_s[kept],
        down_s=None if recording.down_s is None else recording.down_s[kept],
        stretch=recording.stretch[kept],
    )


def places(recording: Recording) -> Floats:
    """Return the place of each probe in the loop, s."""
    starts = recording.stretch_starts
    counts = np.diff(starts, append=recording.probes)
    lengths_s = recording.sent_s[starts + counts - 1] - recording.sent_s[starts] + recording.interval_s
    begins_s = np.cumsum(lengths_s) - lengths_s
    return np.asarray(recording.sent_s + np.repeat(begins_s - recording.sent_s[starts], counts))


def replayed_delays(recording: Recording, runs: Runs) -> tuple[Floats, Floats]:
    """Return the delay of each probe up and down, s; NaN: it was lost on this way, or before."""
    rtt_s = recording.rtt_s
    down_s = rtt_s / 2
    of_held = _probes_in(runs)[np.repeat(runs.held, runs.count)]
    down_s[of_held] = np.minimum(down_s[of_held], usual_rtt(recording) / 2)
    up_s = rtt_s - down_s
    if recording.up_s is not None and recording.down_s is not None:
        lost, known = np.isnan(rtt_s), ~np.isnan(recording.up_s)
        both = known & ~np.isnan(recording.down_s)
        up_s = np.where(both | (lost & known), np.maximum(recording.up_s, 0.0), up_s)
        down_s = np.where(both, np.maximum(recording.down_s, 0.0), down_s)
    return up_s, down_s


def _probes_in(runs: Runs) -> NDArray[np.int64]:
    """Return the index of each probe in the runs, run by run."""
    ends = np.cumsum(runs.count)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(runs.first - ends + runs.count, runs.count)


def _rows(at_s: Floats, delay_s: Floats, length_s: float) -> Floats:
    """Return rows (time, delay, latest arrival, start) in order of time, from the last one of the lap before.

    A packet that leaves after a probe arrives by the next one's arrival, or by its own if that is later.
    """
    order = np.argsort(at_s, kind="stable")
    at_s, delay_s = at_s[order], delay_s[order]
    rows = np.empty((len(at_s) + 1, COLUMNS))
    rows[1:, TIME], rows[1:, DELAY], rows[1:, LATEST] = at_s, delay_s, at_s + delay_s
    passed = np.flatnonzero(~np.isnan(delay_s)) + 1
    arrival_s = rows[passed, LATEST]
    rows[passed, LATEST] = np.maximum(arrival_s, np.append(arrival_s[1:], arrival_s[:1] + length_s))
    rows[0] = rows[-1]
    rows[0, [TIME, LATEST]] -= length_s
    rows[:, START] = np.searchsorted(at_s, np.linspace(0.0, length_s, len(rows), endpoint=False), "right")
    return rows


def _outage_rows(recording: Recording, found: Runs, place_s: Floats, up_s: Floats, down_s: Floats) -> Floats:
    """Return rows (from, to, what it cuts, whether it holds) of the outages, in order of time."""
    after_s = np.append(place_s, recording.observed_s)[found.first + found.count]
    probes = _probes_in(found)
    begins = np.cumsum(found.count) - found.count
    up = np.isnan(up_s[probes])
    down = np.isnan(down_s[probes]) & ~up
    some = [np.add.reduceat(way, begins) > 0 if len(begins) else np.zeros(0, bool) for way in (up, down)]
    cut = np.where(some[0] & some[1], BOTH, np.where(some[1], DOWN, UP))
    return np.column_stack([place_s[found.first], after_s, cut, found.held]).astype(float)
