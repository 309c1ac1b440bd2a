"""Times of coarse clocks, which give several probes one time, such as five a second in whole seconds.

Those are spread evenly from their time to the next one. What a time said stays true to within the clock's resolution.
"""

import numpy as np
from numpy.typing import NDArray

SPREAD = "several probes have one time: they are taken as spread evenly until the next time"
LEAST_SHARE = 0.05
"""Of steps that are 0; a fine clock has fewer."""
COARSEST_S = 1.0
"""The resolution, where a log has one time only."""


def is_coarse(times_s: NDArray[np.float64]) -> bool:
    """Return whether many of these times are equal to the time before."""
    return len(times_s) > 1 and float(np.mean(np.diff(times_s) == 0)) >= LEAST_SHARE


def spread(times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return times in s in which equal ones that follow each other are spread evenly."""
    steps = np.diff(times_s)
    first = np.flatnonzero(np.append(True, steps != 0))
    count = np.diff(np.append(first, len(times_s)))
    forward = steps[steps > 0]
    resolution_s = float(np.median(forward)) if len(forward) else COARSEST_S
    until_next_s = np.append(steps[first[1:] - 1], np.inf)
    width_s = np.where(until_next_s > 0, np.minimum(until_next_s, resolution_s), resolution_s)
    place = np.arange(len(times_s)) - np.repeat(first, count)
    return times_s + place * np.repeat(width_s / count, count)
