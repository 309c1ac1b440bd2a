"""Networks that fit the observed outages: posterior draws of the rate, shape and scale of the longest outages.

Outages of at least u s are assumed to occur at random times, at a rate λ, with lengths of a generalised Pareto tail
(`simulator.tail`). Given n lengths observed in h hours, the two parts are independent:

    λ      Gamma(n + 1/2) / h                 Jeffreys' prior of a Poisson rate
    ξ, σ   likelihood of the lengths on a grid, with a flat prior of ξ (−0.5 to 1) and of ln σ

An outage that was on when the observation began or ended was longer than what was seen: it counts for λ, and with its
survival for ξ and σ.

All shapes from −0.5 to 1 are equally likely a priori, which makes the interval wide; docs/validation.md shows how often
it covers the truth.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator.outages import Observed
from heartbench.simulator.tail import (
    LEAST_EXCESS_S,
    LEAST_SHAPE,
    MOST_SHAPE,
    excesses,
    log_density,
    log_survival,
    mean_excess_s,
)

Floats = NDArray[np.float64]

NONE: Floats = np.zeros(0)
NETWORKS = 1000
SHAPES, SCALES = 76, 90
SCALE_RANGE = 12.0
"""Scales of the grid range from the mean excess divided by this to the mean excess times this."""
MEDIAN_RANGE = 4.0
"""They begin at the median excess divided by this, if that is less: the mean of a few may be that of the longest."""


@dataclass(frozen=True, slots=True)
class Networks:
    """Networks that fit the observations, by their outages of at least `from_s` s.

    In each of j networks there are `per_hour` of them, with this shape and scale (s) of the tail.
    """

    from_s: float
    per_hour: Floats
    shape: Floats
    scale_s: Floats

    def __len__(self) -> int:
        return len(self.per_hour)


def draw_networks(observed: Observed, seed: int, count: int = NETWORKS) -> Networks:
    """Draw networks that fit the observed outages.

    If there were none, their length is unknown: each is assumed to exceed every threshold.
    """
    generator = np.random.default_rng(seed)
    if observed.count:
        excess, cut = (
            excesses(lengths_s, observed.from_s, step_s)
            for lengths_s, step_s in ((observed.lengths_s, observed.step_s), (observed.cut_s, 0.0))
        )
        shape, scale_s = draw_tails(excess, generator, count, cut_excess_s=cut)
    else:
        shape, scale_s = np.zeros(count), np.full(count, np.inf)
    per_hour = generator.gamma(observed.count + 0.5, 1 / observed.hours, count)
    return Networks(observed.from_s, per_hour, shape, scale_s)


def draw_tails(
    excess_s: Floats,
    generator: np.random.Generator,
    count: int,
    weight: float = 1.0,
    cut_excess_s: Floats = NONE,
) -> tuple[Floats, Floats]:
    """Draw shapes and scales (s) from their posterior given excesses over the threshold, s.

    Args:
        excess_s: excess of each length.
        generator: source of the draws.
        count: number of draws.
        weight: how many independent lengths each excess is worth.
        cut_excess_s: excess up to which the lengths of others were seen.
    """
    mean, median = mean_excess_s(excess_s, cut_excess_s), float(np.median(np.append(excess_s, cut_excess_s)))
    least = min(mean / SCALE_RANGE, max(median, LEAST_EXCESS_S) / MEDIAN_RANGE)
    shapes, shape_step = np.linspace(LEAST_SHAPE, MOST_SHAPE, SHAPES, endpoint=False, retstep=True)
    logs, log_step = np.linspace(np.log(least), np.log(mean * SCALE_RANGE), SCALES, endpoint=False, retstep=True)
    shape, log_scale = (each.ravel() for each in np.meshgrid(shapes + shape_step / 2, logs + log_step / 2))
    # Lengths in whole steps repeat.
    excess_s, counts = np.unique(excess_s, return_counts=True)
    likelihood = log_density(excess_s, shape[:, None], np.exp(log_scale)[:, None]) @ counts
    if len(cut_excess_s):
        likelihood = likelihood + log_survival(cut_excess_s, shape[:, None], np.exp(log_scale)[:, None]).sum(axis=1)
    posterior = np.exp(weight * (likelihood - likelihood.max()))
    cell = generator.choice(len(posterior), count, p=posterior / posterior.sum())
    # Uniform within the cell, so that the draws show neither the grid's step nor its edges.
    across, along = generator.uniform(-0.5, 0.5, (2, count))
    return shape[cell] + across * shape_step, np.exp(log_scale[cell] + along * log_step)
