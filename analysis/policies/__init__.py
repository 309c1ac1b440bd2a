"""Detectors over arrays: the silence that each allows after every arrival. One module per detector."""

from heartbench.analysis.policies.array_forms import ARRAY_FORMS, allowed_silence
from heartbench.analysis.policies.arrivals import Arrivals

__all__ = ["ARRAY_FORMS", "Arrivals", "allowed_silence"]
