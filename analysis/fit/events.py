"""What a fit asks of the runs of lost and held probes (`simulator.recordings.outages`), and the ordinary answers.

Whether a run of lost probes was a loss burst or an outage is a question of its length, which `losses` answers.
"""

import numpy as np

from heartbench.simulator.recordings import Recording
from heartbench.simulator.recordings.outages import Flags, Runs, find_runs, lengths_s

__all__ = ["Flags", "Runs", "cut_off", "find_runs", "lengths_s", "ordinary"]


def ordinary(recording: Recording, runs: Runs) -> Flags:
    """Return which probes were answered and not held."""
    usual = ~np.isnan(recording.rtt_s)
    for begin, count in zip(runs.first[runs.held], runs.count[runs.held], strict=True):
        usual[begin : begin + count] = False
    return usual


def cut_off(recording: Recording, runs: Runs) -> Flags:
    """Return which runs touch the beginning or the end of their stretch: they were longer than what was seen."""
    ends = runs.first + runs.count
    begins_cut = (runs.first == 0) | (recording.stretch[runs.first - 1] != recording.stretch[runs.first])
    inside = np.minimum(ends, recording.probes - 1)
    ends_cut = (ends == recording.probes) | (recording.stretch[inside] != recording.stretch[runs.first])
    return np.asarray(begins_cut | ends_cut)
