"""Chen's detector over arrays; the formula, its source and our additions are in `heartbench.hub.liveness.chen`."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.policies.arrivals import Arrivals
from heartbench.hub import Chen
from heartbench.mesh.kinds import Kind
from heartbench.simulator.kernel import kernel

Floats = NDArray[np.float64]

HELLO, HEARTBEAT = int(Kind.HELLO), int(Kind.HEARTBEAT)


def allowed_silence(parameters: Chen, arrivals: Callable[[], Arrivals]) -> Floats:
    """Return the time from each arrival to the deadline that it sets, s; shape (m,)."""
    seen = arrivals()
    interval_s = np.where(seen.interval_s > 0, seen.interval_s, parameters.interval_s)
    expected_s = np.empty(len(seen.at_s))
    window_s = np.empty(parameters.window)
    expect(seen.first, seen.at_s, seen.seq, seen.kind, interval_s, window_s, expected_s)
    return np.maximum(expected_s - seen.at_s, 0.0) + parameters.margin_s


@kernel
def expect(
    first: NDArray[np.int64],
    at_s: Floats,
    seq: NDArray[np.integer],
    kind: NDArray[np.int8],
    interval_s: Floats,
    window_s: Floats,
    expected_s: Floats,
) -> None:
    """Write when the next heartbeat is expected after each arrival, s; `window_s` is working space of n entries."""
    for node in range(len(first) - 1):
        count = newest = 0
        for i in range(first[node], first[node + 1]):
            if kind[i] == HELLO:
                count = newest = 0
            elif kind[i] == HEARTBEAT and seq[i] > newest:
                newest = seq[i]
                window_s[count % len(window_s)] = at_s[i] - interval_s[node] * newest
                count += 1
            if count == 0:
                expected_s[i] = at_s[i] + interval_s[node]
            else:
                held, total = min(count, len(window_s)), 0.0
                for k in range(held):
                    total += window_s[k]
                expected_s[i] = total / held + interval_s[node] * (newest + 1)
