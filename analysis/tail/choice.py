"""The threshold u over which gaps of a log are taken for generalised Pareto (`simulator.tail`), or why there is none.

Candidates are the n longest gaps, n/2, n/4 ...: the lowest u whose excesses the distribution fits is chosen, because
more exceedances say more (Coles, "An Introduction to Statistical Modeling of Extreme Values", 2001, chapter 4). Mean
excess and shape of each candidate are kept: above a good u the former is linear in u, and the latter constant.

    fit    Anderson and Darling's statistic ("A test of goodness of fit", JASA 49, 1954) of the distribution fitted by
           L-moments (Hosking, "L-moments", JRSS B 52, 1990, table 1). Its p value comes from samples of the fitted
           distribution, which are fitted too (Davison and Hinkley, "Bootstrap Methods and their Application", 1997,
           section 4.2)

It is refused if fewer than FEWEST gaps are left, counted as independent ones (number divided by their dispersion, see
`intervals`); if no candidate fits, as when TCP's ladder, or the heartbeat interval, makes gaps come in steps; and if
the mean excess of a candidate is less than ALIKE of it, so that its gaps may all be on one step, or too small for the
step of the log's times. No higher one is tried then.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FEWEST = 30
"""Minimum number of independent exceedances."""
MOST = 500
"""Maximum number of exceedances: of more, the longest."""
REJECTED_BELOW = 0.1
"""p value below which a distribution does not fit."""
SAMPLES = 199
COARSE = 0.25
"""Largest step of the times, as a share of the mean excess."""
ALIKE = 1 / 8
"""Least mean excess, as a share of u. On TCP's ladder the next step is another u away: less does not show it."""
TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Candidate:
    """A threshold that was tried: the gaps over it, and how well a generalised Pareto distribution fits them."""

    from_s: float
    exceedances: int
    mean_excess_s: float
    shape: float
    p_value: float

    @property
    def fits(self) -> bool:
        """Whether the distribution fits."""
        return self.p_value >= REJECTED_BELOW


@dataclass(frozen=True, slots=True)
class Choice:
    """What was tried, the excesses (s) over the last of it if that is chosen, and else why it is refused."""

    tried: tuple[Candidate, ...]
    longest_s: float
    excess_s: Floats = field(default_factory=lambda: np.zeros(0))
    refused: str = ""

    @property
    def chosen(self) -> Candidate | None:
        """The chosen threshold."""
        return None if self.refused else self.tried[-1]


def choose(long_s: Floats, over_s: float, dispersion: Callable[[float], float], step_s: float, seed: int) -> Choice:
    """Choose the threshold for the gaps of a log.

    Args:
        long_s: lengths of the gaps that are silences, s.
        over_s: gaps are silences if they are longer than this, s.
        dispersion: returns the variance of counts of gaps over a threshold, in s, relative to Poisson counts.
        step_s: each length is known to within this, s; 0: exact.
        seed: of the samples.
    """
    generator = np.random.default_rng([seed, 3])
    longest_s, tried = float(long_s.max(initial=0.0)), list[Candidate]()
    # Lengths in whole steps repeat, and no continuous distribution fits them.
    descending = np.sort(long_s + generator.uniform(-step_s / 2, step_s / 2, len(long_s)))[::-1]
    refused = too_few(len(long_s), over_s, dispersion(over_s))
    number = min(len(long_s) - 1, MOST)
    while number >= FEWEST and number >= FEWEST * dispersion(float(descending[number])):
        found = candidate(descending, number, generator)
        tried.append(found)
        if step_s > COARSE * found.mean_excess_s:
            refused = f"times are known to within {step_s:g} s, and the mean excess is {found.mean_excess_s:.3g} s"
            break
        if found.mean_excess_s < ALIKE * found.from_s:
            refused = (
                f"gaps over {found.from_s:.3g} s are too much alike, as on one step of TCP's ladder: their mean excess "
                f"is {found.mean_excess_s:.3g} s, less than an eighth of that"
            )
            break
        if found.fits:
            return Choice(tuple(tried), longest_s, descending[:number] - found.from_s)
        refused = "gaps come in steps, or are of several kinds: no generalised Pareto distribution fits the longest"
        number //= 2
    return Choice(tuple(tried), longest_s, refused=refused)


def too_few(count: int, over_s: float, dispersion: float) -> str:
    """Return why there are too few gaps."""
    clumps = f", in clumps of {dispersion:.2g}" if dispersion > 1.05 else ""
    return f"{count:,} gaps over {over_s:.3g} s{clumps}; more than {FEWEST * dispersion:.0f} are needed"


def candidate(descending_s: Floats, number: int, generator: np.random.Generator) -> Candidate:
    """Return how well the distribution fits the longest `number` gaps, over the one after them."""
    from_s = float(descending_s[number])
    excess = descending_s[:number] - from_s
    shape, scale_s = by_l_moments(excess[None, ::-1])
    statistic = anderson_darling(excess[None, ::-1], shape, scale_s)[0]
    scores = -np.log(generator.uniform(size=(SAMPLES, number)))
    sampled = np.sort(quantiles(scores, float(shape[0, 0])), axis=1)
    by_chance = anderson_darling(sampled, *by_l_moments(sampled))
    p_value = (1 + int((by_chance >= statistic).sum())) / (1 + SAMPLES)
    return Candidate(from_s, number, float(excess.mean()), float(shape[0, 0]), p_value)


def by_l_moments(ascending: Floats) -> tuple[Floats, Floats]:
    """Return shape and scale of each row, by its first two L-moments; shapes (m, 1)."""
    n = ascending.shape[1]
    first = ascending.mean(1, keepdims=True)
    second = 2 * (ascending @ (np.arange(n) / max(n - 1, 1)) / n)[:, None] - first
    shape = 2 - first / np.maximum(second, TINY)
    return shape, np.maximum((1 - shape) * first, TINY)


def quantiles(scores: Floats, shape: float) -> Floats:
    """Return the excess over u, of scale 1, that a share exp(−score) exceeds."""
    return scores if abs(shape) < 1e-6 else np.asarray(np.expm1(shape * scores) / shape)


def anderson_darling(ascending: Floats, shape: Floats, scale_s: Floats) -> Floats:
    """Return Anderson and Darling's A² of each row and its distribution; shape (m,)."""
    n = ascending.shape[1]
    safe = np.where(np.abs(shape) < 1e-6, 1e-6, shape)
    log_survival = -np.log1p(np.maximum(safe * ascending / scale_s, TINY - 1)) / safe
    log_survival = np.clip(log_survival, np.log(TINY), -TINY)
    log_below = np.log(-np.expm1(log_survival))
    weights = 2 * np.arange(1, n + 1) - 1
    return np.asarray(-n - ((log_below + log_survival[:, ::-1]) @ weights) / n)
