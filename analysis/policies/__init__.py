"""Detectors over arrays: the silence that each allows after every arrival. One module per detector."""

from heartbench.analysis.policies.array_forms import ARRAY_FORMS, Silence, allowed_silence, needs_arrivals
from heartbench.analysis.policies.arrivals import Arrivals

__all__ = ["ARRAY_FORMS", "Arrivals", "Silence", "allowed_silence", "needs_arrivals"]
