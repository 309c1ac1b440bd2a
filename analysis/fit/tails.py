"""The tail of outages that probes saw: draws of its shape and scale that fit the runs of lost or held probes.

Probes Δ apart show the length of an outage to within Δ: an outage of length L takes n probes if n ≤ L/Δ + φ < n + 1 for
a phase φ, uniform in [0, 1]. With the survival S of outages beyond (m − 1) Δ, the shortest that can take m probes,

    P(n probes | m or more) = (F(n − m) − F(n − m + 1)) / F(0)        F(k) = ∫ S(x) dx from k Δ to (k + 1) Δ

which is closed for the generalised Pareto tail. An outage that an end of the recording cut took n probes or more, which
has the probability F(n − m) / F(0). Lengths in the middle of their steps would make a tail that ends end later than it
does, by up to a step.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.posterior import NONE
from heartbench.simulator.tail import EXPONENTIAL_BELOW, LEAST_SHAPE, MOST_SHAPE, mean_excess_s

Floats = NDArray[np.float64]
Counted: TypeAlias = tuple[Floats, NDArray[np.int64]]
"""Different values, and how often each occurs."""

SHAPES, SCALES = 76, 120
SCALE_RANGE = 25.0
"""Scales range from the median or the mean excess, the lesser, divided by this, to the mean times this.

The mean of a tail with a shape near 1 is that of its longest outage and may be hundreds of scales.
"""


def draw_stepped(
    excess_s: Floats, step_s: float, generator: np.random.Generator, count: int, cut_excess_s: Floats = NONE
) -> tuple[Floats, Floats]:
    """Return draws of shape and scale (s) beyond the threshold, from their posterior.

    The prior is flat in the shape and in ln of the scale beyond half a step before the threshold.

    Args:
        excess_s: excess of each outage over the threshold in the middle of its step, s: (n − m + 1/2) Δ.
        step_s: time between two probes, Δ, s.
        generator: source of the draws.
        count: number of draws.
        cut_excess_s: excess up to which others were seen, at the beginning of its step, s: (n − m) Δ.
    """
    whole, cut = (_steps(each) for each in (excess_s / step_s - 0.5, cut_excess_s / step_s))
    mean, median = mean_excess_s(excess_s, cut_excess_s), float(np.median(np.append(excess_s, cut_excess_s)))
    mean, median = max(mean, step_s / 2), max(median, step_s / 2)  # those that were cut may all be of the least length
    least = float(np.log(min(mean, median) / SCALE_RANGE))
    most = float(np.log(mean * SCALE_RANGE))
    shapes, shape_step = np.linspace(LEAST_SHAPE, MOST_SHAPE, SHAPES, endpoint=False, retstep=True)
    logs, log_step = np.linspace(least, most, SCALES, endpoint=False, retstep=True)
    shape, log_scale = (each.ravel() for each in np.meshgrid(shapes + shape_step / 2, logs + log_step / 2))
    likelihood = _log_likelihood(whole, cut, shape, np.exp(log_scale) / step_s)
    weight = np.exp(likelihood - likelihood.max())
    cell = generator.choice(len(weight), count, p=weight / weight.sum())
    across, along = generator.uniform(-0.5, 0.5, (2, count))
    shapes_drawn = shape[cell] + across * shape_step
    # A generalised Pareto tail keeps its shape beyond a higher threshold, and its scale grows by shape · difference.
    # Where it ends before the threshold, nothing is beyond.
    scales = np.exp(log_scale[cell] + along * log_step) + shapes_drawn * step_s / 2
    return shapes_drawn, np.maximum(scales, 0.0)


def _steps(excess: Floats) -> Counted:
    """Return the different numbers of steps, and how often each occurs."""
    steps, counts = np.unique(np.round(np.maximum(excess, 0.0), 6), return_counts=True)
    return steps.astype(np.float64), counts


def _log_likelihood(ended: Counted, cut: Counted, shape: Floats, scale: Floats) -> Floats:
    """Return ln P of the numbers of probes beyond the fewest, for each shape and scale (in steps)."""
    general = np.abs(shape) >= EXPONENTIAL_BELOW
    safe = np.where(general, shape, 1.0)
    power = np.where(general, 1 - 1 / safe, 0.0)
    factor = scale / np.where(general, 1 - safe, 1.0)

    def beyond(at: float) -> Floats:
        """Return the integral of the survival from there on, whose differences are F."""
        left = np.maximum(1 + safe * at / scale, 0.0)
        return np.asarray(factor * np.where(general, left**power, np.exp(-at / scale)))

    whole = beyond(0.0) - beyond(1.0)
    found, known = np.zeros(len(shape)), dict[float, Floats]()
    for step, times in zip(*ended, strict=True):
        known = {at: known[at] if at in known else beyond(at) for at in (step, step + 1, step + 2)}
        first, second, third = known.values()
        found += times * np.log(np.maximum(((first - second) - (second - third)) / whole, 1e-300))
    for step, times in zip(*cut, strict=True):
        found += times * np.log(np.maximum((beyond(step) - beyond(step + 1)) / whole, 1e-300))
    return found
