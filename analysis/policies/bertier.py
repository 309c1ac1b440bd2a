"""Bertier's detector over arrays; the formula and its source are in `heartbench.hub.liveness.bertier`."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.policies.arrivals import Arrivals
from heartbench.analysis.policies.expected_arrival import Floats, expected_arrivals, silences
from heartbench.hub import Bertier
from heartbench.simulator.kernel import kernel


def allowed_silence(parameters: Bertier, arrivals: Callable[[], Arrivals]) -> Floats:
    """Return the time from each arrival to the deadline that it sets, s; shape (m,)."""
    seen = arrivals()
    expected_s, late_s = expected_arrivals(parameters, seen, parameters.window)
    margin_s = np.empty(len(late_s))
    adapt(seen.first, late_s, parameters.beta, parameters.phi, parameters.gamma, margin_s)
    return silences(parameters, seen, expected_s + np.maximum(margin_s, parameters.min_margin_s))


@kernel
def adapt(first: NDArray[np.int64], late_s: Floats, beta: float, phi: float, gamma: float, margin_s: Floats) -> None:
    """Write the margin after each arrival, s; `late_s` as `expected_arrivals` returns it."""
    for node in range(len(first) - 1):
        delay = variation = 0.0
        for i in range(first[node], first[node + 1]):
            if not np.isnan(late_s[i]):
                error = late_s[i] - delay
                delay += gamma * error
                variation += gamma * (abs(error) - variation)
            margin_s[i] = beta * delay + phi * variation
