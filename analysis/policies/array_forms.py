"""The function that computes each detector over arrays. To add a detector, add its line to ARRAY_FORMS.

An array form returns the silence, in s, that its detector allows after each arrival: an array of shape (m,), or one
number if it is the same after every arrival. With one number the deadlines need no array, and many policies are judged
in one pass over the gaps (`heartbench.analysis.watch`).
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.policies import bertier, chen, phi, two_window
from heartbench.analysis.policies.arrivals import Arrivals
from heartbench.hub import Bertier, Chen, FixedTimeout, Phi, PhiExponential, PolicySpec, TwoWindow

Silence = float | NDArray[np.float64]
ArrayForm = Callable[[Any, Callable[[], Arrivals]], Silence]
"""Takes the detector's parameters, and a function that returns the arrivals for a form that needs them."""

ARRAY_FORMS: dict[str, ArrayForm] = {
    FixedTimeout.name: lambda parameters, _: float(parameters.stale_after_s),
    Chen.name: chen.allowed_silence,
    TwoWindow.name: two_window.allowed_silence,
    Bertier.name: bertier.allowed_silence,
    Phi.name: phi.normal,
    PhiExponential.name: phi.exponential,
}


def needs_arrivals(policies: Iterable[PolicySpec]) -> bool:
    """Return whether any of the policies needs the arrivals: all do but a fixed timeout."""
    return any(policy.name != FixedTimeout.name for policy in policies)


def allowed_silence(policy: PolicySpec, arrivals: Callable[[], Arrivals]) -> Silence:
    """Return the silence that a policy allows after each arrival, s: shape (m,), or one number if always the same.

    Raises:
        AnalysisError: the detector has no array form, or needs arrivals that were not kept.
    """
    form = ARRAY_FORMS.get(policy.name)
    if form is None:
        raise AnalysisError(f"detector {policy.name!r} has no array form; there are: {', '.join(sorted(ARRAY_FORMS))}")
    return form(policy.parameters, arrivals)
