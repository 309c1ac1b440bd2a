"""Expected arrivals over arrays; the formula, its source and our additions are in `hub.liveness.expected_arrival`."""

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.policies.arrivals import Arrivals
from heartbench.hub import Adaptive
from heartbench.mesh.kinds import Kind
from heartbench.simulator.kernel import kernel

Floats = NDArray[np.float64]

HELLO, HEARTBEAT = int(Kind.HELLO), int(Kind.HEARTBEAT)


def intervals_of(parameters: Adaptive, seen: Arrivals) -> Floats:
    """Return the heartbeat interval that a detector takes each node to have, s; shape (n,)."""
    return np.where(seen.interval_s > 0, seen.interval_s, parameters.interval_s)


def expected_arrivals(parameters: Adaptive, seen: Arrivals, window: int) -> tuple[Floats, Floats]:
    """Return when the next heartbeat is expected after each arrival, and how much later than expected it came.

    Both in s and of shape (m,); the second is NaN for what is no heartbeat, or was not expected.
    """
    expected_s, late_s = np.empty(len(seen.at_s)), np.empty(len(seen.at_s))
    intervals_s = intervals_of(parameters, seen)
    expect(seen.first, seen.at_s, seen.seq, seen.kind, intervals_s, np.empty(window), expected_s, late_s)
    return expected_s, late_s


def silences(parameters: Adaptive, seen: Arrivals, deadline_s: Floats) -> Floats:
    """Return the time from each arrival to its deadline within the detector's bounds, s; shape (m,)."""
    return np.clip(deadline_s - seen.at_s, parameters.shortest_s, parameters.longest_s)


@kernel
def expect(
    first: NDArray[np.int64],
    at_s: Floats,
    seq: NDArray[np.integer],
    kind: NDArray[np.int8],
    interval_s: Floats,
    window_s: Floats,
    expected_s: Floats,
    late_s: Floats,
) -> None:
    """Write both results of `expected_arrivals`; `window_s` is working space of n entries."""
    size = len(window_s)
    for node in range(len(first) - 1):
        count = oldest = newest = 0
        total, interval = 0.0, interval_s[node]
        for i in range(first[node], first[node + 1]):
            late_s[i] = np.nan
            if kind[i] == HELLO:
                count = oldest = newest = 0
                total = 0.0
            elif kind[i] == HEARTBEAT and seq[i] > newest:
                newest = seq[i]
                shift = at_s[i] - interval * newest
                if count > 0:
                    late_s[i] = shift - total / count
                if count < size:
                    window_s[count] = shift
                    total += shift
                    count += 1
                else:
                    total += shift - window_s[oldest]
                    window_s[oldest] = shift
                    oldest += 1
                    if oldest == size:
                        oldest, total = 0, 0.0
                        for k in range(size):
                            total += window_s[k]
            if count == 0:
                expected_s[i] = at_s[i] + interval
            else:
                expected_s[i] = max(total / count + interval * (newest + 1), at_s[i])
