"""How sure a rate of false stales is: the wider of two intervals, at each end.

The bootstrap over nodes (Efron and Tibshirani 1993, chapter 13) knows that some nodes have more trouble than others,
but says [0, 0] where nothing was seen. Garwood's exact interval of a Poisson count ("Fiducial limits for the Poisson
distribution", Biometrika 28, 1936) knows what so few events can prove, but takes all nodes for equal.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

Floats = NDArray[np.float64]

LEVEL = 0.95
RESAMPLES = 2000
LARGEST_SAMPLE = 2048
"""More nodes than this are resampled in so many random groups: the interval is the same, the cost is bounded."""


def rate_interval(events: NDArray[np.integer], exposure: Floats, seed: int, level: float = LEVEL) -> Floats:
    """Return the interval of events per exposure.

    Args:
        events: count of each node under each setting; shape (n, k).
        exposure: of each node, in any unit; shape (n,). A node with none is left out: nobody watched it.
        seed: of the resampling.
        level: share of repetitions whose interval holds the true rate.

    Returns:
        Lower and upper end for each setting; shape (k, 2). From 0 to infinity where nothing was watched.
    """
    watched = exposure > 0
    events, exposure = events[watched], exposure[watched]
    if not len(exposure):
        return np.tile([0.0, np.inf], (events.shape[1], 1))
    exact = poisson_interval(events.sum(0), level) / exposure.sum()
    resampled = bootstrap_interval(events, exposure, seed, level)
    return np.column_stack([np.minimum(exact[:, 0], resampled[:, 0]), np.maximum(exact[:, 1], resampled[:, 1])])


def poisson_interval(counts: NDArray[np.integer], level: float = LEVEL) -> Floats:
    """Return Garwood's interval of the mean of each Poisson count; shape (k, 2).

    The means at which as many events or more, or as few or fewer, would be seen with half the remaining probability.
    """
    tail = (1 - level) / 2
    lower = np.where(counts > 0, gammaincinv(np.maximum(counts, 1), tail), 0.0)
    return np.column_stack([lower, gammaincinv(counts + 1, 1 - tail)])


def bootstrap_interval(events: NDArray[np.integer], exposure: Floats, seed: int, level: float = LEVEL) -> Floats:
    """Return the percentile interval of the rate over resampled nodes; shape (k, 2)."""
    generator = np.random.default_rng(seed)
    events, exposure = grouped(events, exposure, generator)
    weights = generator.multinomial(len(exposure), np.full(len(exposure), 1 / len(exposure)), RESAMPLES).astype(float)
    rates = (weights @ events) / (weights @ exposure)[:, None]
    ends: Floats = np.quantile(rates, [(1 - level) / 2, (1 + level) / 2], axis=0).T
    return ends


def grouped(
    events: NDArray[np.integer], exposure: Floats, generator: np.random.Generator
) -> tuple[NDArray[np.integer], Floats]:
    """Return sums over at most LARGEST_SAMPLE random groups of nodes of nearly equal size."""
    if len(exposure) <= LARGEST_SAMPLE:
        return events, exposure
    order = generator.permutation(len(exposure))
    begins = np.linspace(0, len(order), LARGEST_SAMPLE, endpoint=False).astype(int)
    return np.add.reduceat(events[order], begins), np.add.reduceat(exposure[order], begins)
