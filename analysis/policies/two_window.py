"""The two-window detector over arrays; the formula and its source are in `heartbench.hub.liveness.two_window`."""

from collections.abc import Callable

import numpy as np

from heartbench.analysis.policies.arrivals import Arrivals
from heartbench.analysis.policies.expected_arrival import Floats, expected_arrivals, silences
from heartbench.hub import TwoWindow


def allowed_silence(parameters: TwoWindow, arrivals: Callable[[], Arrivals]) -> Floats:
    """Return the time from each arrival to the deadline that it sets, s; shape (m,)."""
    seen = arrivals()
    short_s, _ = expected_arrivals(parameters, seen, parameters.short)
    long_s, _ = expected_arrivals(parameters, seen, parameters.long)
    return silences(parameters, seen, np.maximum(short_s, long_s) + parameters.margin_s)
