"""Chen's detector over arrays; the formula and its source are in `heartbench.hub.liveness.chen`."""

from collections.abc import Callable

from heartbench.analysis.policies.arrivals import Arrivals
from heartbench.analysis.policies.expected_arrival import Floats, expected_arrivals, silences
from heartbench.hub import Chen


def allowed_silence(parameters: Chen, arrivals: Callable[[], Arrivals]) -> Floats:
    """Return the time from each arrival to the deadline that it sets, s; shape (m,)."""
    seen = arrivals()
    expected_s, _ = expected_arrivals(parameters, seen, parameters.window)
    return silences(parameters, seen, expected_s + parameters.margin_s)
