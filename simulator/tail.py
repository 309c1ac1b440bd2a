"""The longest outages: a generalised Pareto distribution above the threshold from which outages were counted.

    P(length > u + x | length > u) = (1 + ξ x / σ)^(−1/ξ)        exp(−x / σ) for ξ = 0

with shape ξ, scale σ and threshold u: what remains above a high threshold of almost any distribution (Balkema and
de Haan 1974; Pickands 1975). ξ = 0 is the exponential, ξ > 0 a power law, ξ < 0 ends at u − σ/ξ. Shapes are kept
between −0.5, below which maximum likelihood breaks down (Smith 1985), and 1, from which on the mean is infinite.

Where lengths come from, and how certain a fit is, is decided elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator.errors import SimulatorError

Floats = NDArray[np.float64]

LEAST_SHAPE, MOST_SHAPE = -0.5, 1.0
FEWEST_LENGTHS = 10
"""Fewer lengths are not fitted, because they hardly determine the shape."""
LEAST_EXCESS_S = 1e-6
"""Outages that are all as short as the threshold have a tail of this order."""
EXPONENTIAL_BELOW = 1e-6
"""Shapes nearer to 0 than this count as 0, because the general formula loses its digits there."""


@dataclass(frozen=True, slots=True)
class Tail:
    """Outages of at least `from_s`: shape, and scale in s."""

    from_s: float
    shape: float
    scale_s: float

    def quantile_s(self, score: Floats) -> Floats:
        """Return the length, in s, that a share exp(−score) of these outages exceeds."""
        if abs(self.shape) < EXPONENTIAL_BELOW:
            return self.from_s + self.scale_s * score
        return self.from_s + self.scale_s / self.shape * np.expm1(self.shape * score)


def log_survival(excess_s: Floats, shape: Floats | float, scale_s: Floats | float) -> Floats:
    """Return ln P(length > u + excess); all three broadcast. −inf beyond the end of a distribution that has one."""
    shape, ratio = np.asarray(shape, float), np.asarray(excess_s / scale_s, float)
    general = np.abs(shape) >= EXPONENTIAL_BELOW
    safe = np.where(general, shape, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        power = -np.log1p(np.maximum(safe * ratio, -1.0)) / safe
    return np.where(general, power, -ratio)


def log_density(excess_s: Floats, shape: Floats | float, scale_s: Floats | float) -> Floats:
    """Return ln of the density at u + excess, 1/s; all three broadcast."""
    return (1.0 + np.asarray(shape, float)) * log_survival(excess_s, shape, scale_s) - np.log(scale_s)


def fit(lengths_s: Floats, from_s: float, resolution_s: float = 0.0, cut_s: Sequence[float] = ()) -> Tail:
    """Return the maximum-likelihood tail, rounded to three digits.

    Args:
        lengths_s: observed lengths of at least `from_s`, s.
        from_s: threshold over which they were counted, s.
        resolution_s: step in which they were measured, s; each is taken at the middle of its step.
        cut_s: how long others were seen whose beginning or end was not, s: they were longer.

    Raises:
        SimulatorError: there are fewer than FEWEST_LENGTHS.
    """
    from scipy.optimize import minimize

    if len(lengths_s) < FEWEST_LENGTHS:
        raise SimulatorError(
            f"{len(lengths_s)} outages are too few to fit a tail to; at least {FEWEST_LENGTHS} are needed"
        )
    excess, cut = excesses(lengths_s, from_s, resolution_s), excesses(cut_s, from_s, 0.0)
    mean = mean_excess_s(excess, cut)

    def unlikely(point: Floats) -> float:
        shape, scale_s = point[0], mean * np.exp(point[1])
        whole, seen = log_density(excess, shape, scale_s), log_survival(cut, shape, scale_s)
        return -float(np.maximum(whole, -1e9).sum() + np.maximum(seen, -1e9).sum())

    found = minimize(
        unlikely,
        x0=[0.1, 0.0],
        method="Nelder-Mead",
        bounds=[(LEAST_SHAPE, MOST_SHAPE - 0.01), (-10.0, 10.0)],
        options={"xatol": 1e-5, "fatol": 1e-8, "maxiter": 2000},
    )
    return Tail(from_s, round(float(found.x[0]), 3), float(f"{mean * np.exp(found.x[1]):.3g}"))


def excesses(lengths_s: Floats | Sequence[float], from_s: float, resolution_s: float) -> Floats:
    """Return by how much each length exceeds the threshold, s, taken at the middle of its step."""
    return np.asarray(lengths_s, float) - from_s + resolution_s / 2


def mean_excess_s(excess_s: Floats, cut_excess_s: Floats) -> float:
    """Return the mean excess of an exponential tail by greatest likelihood, s; some excesses were cut (`fit`)."""
    return max(float(excess_s.sum() + cut_excess_s.sum()) / max(len(excess_s), 1), LEAST_EXCESS_S)
