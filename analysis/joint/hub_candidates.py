"""The hub's settings that are tried on each simulated fleet: thresholds, and detectors with their parameters."""

from collections.abc import Iterator, Sequence

import numpy as np

from heartbench.analysis.fronts import families
from heartbench.analysis.joint.knobs import Knob
from heartbench.analysis.tune import grid
from heartbench.hub import HubError, HubSettings, written

VALUES_OF_A_DETECTOR = 6
"""Values of the parameter that trades false stales for detection time, of each family of `fronts.families`."""
DIGITS = 3


def thresholds_of(
    hub: HubSettings, shortest_interval_s: float, max_detection_s: float, duration_s: float
) -> list[HubSettings]:
    """Return the hub as it is, and with a fixed timeout for each threshold of `tune`'s grid."""
    current_s = hub.stale_after_s if hub.has_one_timeout else None
    others = grid(shortest_interval_s, current_s, max_detection_s, duration_s)
    return [hub, *(HubSettings.for_stale_after(each, hub) for each in others if each != current_s)]


def detectors(hub: HubSettings, interval_s: float, longest_s: float) -> list[HubSettings]:
    """Return the hub with each adaptive detector that usually allows no more silence than `longest_s`."""
    return list(_detectors(hub, interval_s, longest_s))


def _detectors(hub: HubSettings, interval_s: float, longest_s: float) -> Iterator[HubSettings]:
    for family in families(interval_s):
        if family.detector == "fixed":
            continue
        in_seconds = family.high == 100 * interval_s
        low, high = (interval_s / 2, longest_s) if in_seconds else (family.low, family.high)
        for value in np.geomspace(low, high, VALUES_OF_A_DETECTOR):
            parameters = family.with_knob(float(f"{value:.{DIGITS}g}"))
            if parameters.usual_silence_s(interval_s) <= longest_s:
                try:
                    yield hub.changed(detector=written(parameters), detector_by_label="")
                except HubError:
                    continue  # the flap rule could not be reached


def exceeds(hub: HubSettings, interval_s: float) -> bool:
    """Return whether a hub usually waits longer than one heartbeat interval, s."""
    return hub.policy.parameters.usual_silence_s(interval_s) > interval_s


def candidates(
    hub: HubSettings, free: frozenset[Knob], intervals_s: Sequence[float], max_detection_s: float, duration_s: float
) -> list[HubSettings]:
    """Return the hubs to judge on every fleet; the first is the hub as it is."""
    if Knob.THRESHOLD not in free:
        return [hub]
    return thresholds_of(hub, min(intervals_s), max_detection_s, duration_s)
