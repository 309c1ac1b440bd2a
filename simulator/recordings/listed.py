"""Probes that are listed one by one with their times, the lost ones too, as a recording.

Where a log lists every probe, a longer time between two of them was a pause of the prober: a new stretch.
"""

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator.recordings.coarse import SPREAD, is_coarse, spread
from heartbench.simulator.recordings.recording import Recording, Seconds, usual_interval

PAUSE_INTERVALS = 5.0
LEAST_PAUSE_S = 1.0
"""A prober that sends often stumbles often; so short a time without a probe hides nothing that matters."""


def stretches(sent_s: Seconds) -> NDArray[np.int32]:
    """Return the number of the stretch of each probe."""
    steps = np.diff(sent_s)
    if not len(steps):
        return np.zeros(len(sent_s), np.int32)
    pause_s = max(PAUSE_INTERVALS * float(np.median(steps)), LEAST_PAUSE_S)
    return np.append(0, np.cumsum(steps > pause_s)).astype(np.int32)


def listed_recording(
    source: str,
    sent_s: Seconds,
    rtt_s: Seconds,
    up_s: Seconds | None = None,
    down_s: Seconds | None = None,
    *,
    began_unix_s: float | None = None,
    assumptions: tuple[str, ...] = (),
) -> Recording:
    """Return the recording of probes in the order of sending."""
    if is_coarse(sent_s):
        sent_s = spread(sent_s)
        assumptions = (*assumptions, f"{source}: {SPREAD}")
    stretch = stretches(sent_s)
    interval_s = usual_interval(sent_s, stretch)
    return Recording(source, sent_s - sent_s[0], rtt_s, up_s, down_s, stretch, interval_s, began_unix_s, assumptions)
