"""A fixed timeout over arrays: the same silence after every arrival (`heartbench.hub.liveness.fixed_timeout`)."""

from collections.abc import Callable

from heartbench.analysis.policies.arrivals import Arrivals
from heartbench.hub.liveness.fixed_timeout import FixedTimeout


def allowed_silence(parameters: FixedTimeout, arrivals: Callable[[], Arrivals]) -> float:  # noqa: ARG001
    """Return the timeout, s; the arrivals are not needed."""
    return parameters.stale_after_s
