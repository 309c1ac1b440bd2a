"""Numbers that start again at 0 after a period, as `icmp_seq` does: how far each line is from the line before it.

    back       to a probe whose answer took long enough for the one before it to have left meanwhile
    forward    else: an outage loses up to a whole period of probes less one
    clock      the times of day choose another reading, whole periods away, if they fit that one and not the plain one
    restart    numbers that begin again where neither the period nor the times explain it: an error

Without times of day an outage of a period or more is read too short, by whole periods, and one of more than
`MOST_LOST` that happens to end at one of the first numbers is taken for a restart. A prober that slept for very nearly
a period is read as an outage.
"""

import numpy as np
from numpy.typing import NDArray

Seconds = NDArray[np.float64]

LEAST_INTERVAL_S = 0.002
"""`ping` of a user sends no faster."""
LATEST_ERROR_S = 10.0
"""So late an error of a router or of this machine may come; for a neighbour that is missing it takes 3 s."""
DRIFT = 0.01
"""With and without answers, the pace of `ping` is the same to within this share."""
SLACK = 0.1
"""More than this share off is another pace."""
SLOWEST_S = 1.0
"""`ping -A` sends once a second while nothing answers."""
FIRST_NUMBERS = 10
"""A new start is answered from one of the numbers up to this one on; an outage ends there once in 6,000 times."""
MOST_LOST = 500
"""Numbers that go from this many before the period's end, or fewer, to one of the first have gone once around."""


def steps_between(
    number: NDArray[np.int64], left_s: Seconds, rtt_s: Seconds, period: int, pace_s: float | None
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the step to each line from the one before it, and which steps nothing explains.

    The first of all is a line already counted, and has no step. `left_s` is NaN where the log has no time, `rtt_s`
    where it has no answer, and `pace_s` is the usual time between two probes, if it is known.
    """
    forward = np.diff(number) % period
    late_s = np.where(np.isnan(rtt_s), LATEST_ERROR_S, rtt_s)[1:]
    back = (forward > period // 2) & ((period - forward) * LEAST_INTERVAL_S <= late_s)
    steps = forward - period * back
    took_s = np.diff(left_s)
    step_s = pace_s or np.nan
    slowest_s = max(step_s, SLOWEST_S)
    periods = np.nan_to_num(np.rint((took_s / step_s - steps) / period))
    by_clock = steps + periods * period
    fits = np.abs(took_s - by_clock * step_s) <= DRIFT * np.abs(took_s)
    plain = np.abs(took_s - steps * slowest_s) <= SLACK * np.abs(took_s)
    steps = np.where(fits & ~plain, by_clock, steps).astype(np.int64)
    off_s = np.minimum(np.abs(took_s - steps * step_s), np.abs(took_s - steps * slowest_s))
    fell = np.diff(number) < 0
    begins_again = fell & (number[1:] <= FIRST_NUMBERS) & (steps > MOST_LOST)
    off_pace = ((steps > period // 2) | begins_again) & (off_s > SLACK * np.abs(took_s))
    too_soon = fell & (steps * step_s > (1 + SLACK) * np.maximum(took_s, 0.0) + LATEST_ERROR_S)
    return steps, np.where(np.isnan(took_s), begins_again, off_pace | too_soon)
