"""What a fit asks of the runs of lost and held probes (`simulator.recordings.outages`), and the ordinary answers.

Whether a run of lost probes was a loss burst or an outage is a question of its length, which `losses` answers.
"""

import numpy as np

from heartbench.simulator.recordings import Recording
from heartbench.simulator.recordings.outages import LEAST_LATE, Flags, Runs, find_runs, lengths_s, usual_rtt

__all__ = ["SHORTEST_S", "Flags", "Runs", "cut_off", "find_runs", "late_answers", "lengths_s", "ordinary"]

SHORTEST_S = 0.5
"""An outage takes at least this time."""


def ordinary(recording: Recording, runs: Runs) -> Flags:
    """Return which probes were answered and not held."""
    usual = ~np.isnan(recording.rtt_s)
    for begin, count in zip(runs.first[runs.held], runs.count[runs.held], strict=True):
        usual[begin : begin + count] = False
    return usual


def late_answers(recording: Recording, usual: Flags) -> int:
    """Return how many of these probes came so late that a short outage may have held them: by LEAST_LATE of its length.

    It lasts at least SHORTEST_S; one of two probe intervals or more would have held another probe with it.
    """
    late_s = recording.rtt_s[usual] - usual_rtt(recording)
    return int(np.count_nonzero(late_s >= LEAST_LATE * max(recording.interval_s, SHORTEST_S)))


def cut_off(recording: Recording, runs: Runs) -> tuple[Flags, Flags]:
    """Return which runs touch the beginning of their stretch, and which its end: they were longer than they seem."""
    if not len(runs):
        return runs.held, runs.held
    ends = runs.first + runs.count
    begins_cut = (runs.first == 0) | (recording.stretch[runs.first - 1] != recording.stretch[runs.first])
    inside = np.minimum(ends, recording.probes - 1)
    ends_cut = (ends == recording.probes) | (recording.stretch[inside] != recording.stretch[runs.first])
    return np.asarray(begins_cut), np.asarray(ends_cut)
