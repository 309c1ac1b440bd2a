"""Policies of every kind: each detector with an array form, each flap rule, and hold-downs.

Their numbers are odd, so that no deadline, check or decay ends exactly when something else happens.
"""

from dataclasses import fields
from typing import Any

from heartbench.analysis.policies import ARRAY_FORMS
from heartbench.hub import FlapDecay, FlapRule, FlapWindow, HoldDown, WeightedShare
from heartbench.hub.liveness.detector import DetectorParameters
from heartbench.hub.liveness.detector_text import DETECTORS
from heartbench.hub.liveness.hold_down import OFF

PARAMETERS = {"stale_after_s": 3.0, "margin_s": 1.7731, "interval_s": 1.3137, "window": 3, "short": 1, "long": 4}
PARAMETERS |= {"min_margin_s": 0.7311, "threshold": 1.3711, "min_deviation_s": 0.4137}
"""Of detectors, by name; the others keep their defaults."""

RULES: list[FlapRule] = [
    FlapWindow(30.0, 3, 1),
    FlapWindow(60.0, 4, 2),
    WeightedShare(low=12.0, high=15.5, check_s=2.317),
    WeightedShare(low=5.0, high=23.0, check_s=7.013),
    FlapDecay(penalty=500.0, half_life_s=11.31, suppress=1203.0, reuse=601.0, max_s=40.0),
    FlapDecay(penalty=500.0, half_life_s=20.77, suppress=907.0, reuse=503.0, max_s=24.03),
]
HOLD_DOWNS = [OFF, HoldDown(heartbeats=2), HoldDown(heartbeats=3), HoldDown(seconds=2.503), HoldDown(2, 4.107)]


def detectors() -> list[DetectorParameters]:
    """Return one of each detector that a hub can be told to use."""
    assert set(DETECTORS) <= set(ARRAY_FORMS)
    made = []
    for each in DETECTORS.values():
        made_of: Any = each
        names = {field.name for field in fields(made_of)}
        made.append(made_of(**{name: value for name, value in PARAMETERS.items() if name in names}))
    return made
