"""How long the radio's state lasts: one time scale, or two.

Delays become normal scores by their ranks. The link interpolates its state between normals a time c apart, so over a
random phase the scores at two moments t apart correlate with ρ(t / c), which ends at 2 c. Two independent states, of
which the slow one has a share s of the variance, correlate with (1 − s) ρ(t / c) + s ρ(t / c_slow). Both are fitted by
least squares to the correlations over lags from one probe to a tenth of the recording; intervals are from the jackknife
over blocks of time. What equal delays hide (`ties`) is undone in the correlations that were seen, and for each phase.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit
from scipy.stats import rankdata

from heartbench.analysis.fit.model import LEVEL, Estimate
from heartbench.analysis.fit.ties import NO_TIES, Ties, ties_of

Floats = NDArray[np.float64]

MOST_PROBES = 1_000_000
"""More probes than these do not change the correlations enough to wait for them."""
DIGITS = 7
"""Delays that differ by less than 0.1 µs are the same: more is rounding."""
BLOCKS = 40
LAGS = 40
LONGEST_S = 1800.0
GRID, THIN = 120, 3
TWO_FROM = 3.5
"""Two time scales are fitted if they explain the correlations this many standard errors better than one."""
LEAST_PAIRS = 0.05
"""Lags with fewer pairs of probes, in relation to all, are left out."""
UNLIKE = 0.1
"""Where probes that follow each other correlate less, the radio changes faster than they come."""
IN_STEP = 1.2
MOST_SPREAD = 100.0
"""A time scale that may as well be this many times as long is not determined."""
PHASES = (np.arange(64) + 0.5) / 64


@dataclass(frozen=True, slots=True)
class Correlation:
    """Time scales of the radio, s, and the correlations that they were fitted to.

    Attributes:
        fast_s: time scale, or that of the fast state.
        slow_share: share of the variance that is the slow state's.
        slow_s: time scale of the slow state.
        lag_s: lags, s.
        seen: correlation at each lag.
        model: correlation of the fitted model.
    """

    fast_s: Estimate
    slow_share: Estimate
    slow_s: Estimate
    lag_s: Floats
    seen: Floats
    model: Floats


def interpolated(ratio: Floats, ties: Ties = NO_TIES) -> Floats:
    """Return ρ: the correlation of the link's state over `ratio` times its time scale, over all phases.

    With ties it is what undoing them makes of the scores' correlation over all phases: nearly the same.
    """
    at = np.asarray(ratio, float)[..., None]
    here, there = PHASES, PHASES + at
    knot = np.floor(there)
    w, v = here, there - knot
    same = np.where(knot == 0, (1 - w) * (1 - v) + w * v, np.where(knot == 1, w * (1 - v), 0.0))
    sizes = np.sqrt((1 - w) ** 2 + w**2) * np.sqrt((1 - v) ** 2 + v**2)
    return ties.undo(ties.hide(same / sizes).mean(-1))


def fit_correlation(delay_s: Floats, usual: NDArray[np.bool_], fresh: NDArray[np.int64], step_s: float) -> Correlation:
    """Return the time scales.

    Args:
        delay_s: delay of each probe, s.
        usual: which of them count.
        fresh: index of the first probe of each stretch.
        step_s: time between two probes, s.
    """
    count = min(len(delay_s), MOST_PROBES)
    score = np.where(usual[:count], np.round(delay_s[:count], DIGITS), np.nan)
    there = ~np.isnan(score)
    ranks = rankdata(score[there])
    score[there] = ndtri((ranks - 0.5) / len(ranks))
    if ranks.min() == ranks.max():
        return Correlation(*(Estimate(None),) * 3, *(np.zeros(0),) * 3)
    stretch = np.searchsorted(fresh, np.arange(count), "right")
    lags = _lags(count, step_s)
    products, pairs = block_products(score, stretch, lags)
    enough = pairs.sum(0) >= LEAST_PAIRS * pairs[:, 0].sum()  # short stretches have no pairs far apart
    enough[:4] = True
    ties = ties_of(score[there])
    return _fit(lags[enough[1:]] * step_s, products[:, enough], pairs[:, enough], step_s, count * step_s, ties)


def _lags(count: int, step_s: float) -> NDArray[np.int64]:
    longest = max(min(count // 10, int(LONGEST_S / step_s)), 3)
    return np.unique(np.geomspace(1, longest, LAGS).astype(np.int64))


def block_products(score: Floats, stretch: NDArray[np.int64], lags: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return sums of products of scores and numbers of pairs, for BLOCKS blocks of time and lag 0 and all lags."""
    filled = np.nan_to_num(score - np.nanmean(score))
    there = (~np.isnan(score)).astype(float)
    starts = (np.arange(BLOCKS) * len(score)) // BLOCKS
    products, pairs = np.zeros((BLOCKS, len(lags) + 1)), np.zeros((BLOCKS, len(lags) + 1))
    for i, lag in enumerate([0, *lags]):
        end = len(score) - lag
        same = (stretch[:end] == stretch[lag:]) & (there[:end] * there[lag:] > 0)
        inside = starts[starts < end]
        products[: len(inside), i] = np.add.reduceat(filled[:end] * filled[lag:] * same, inside)
        pairs[: len(inside), i] = np.add.reduceat(same.astype(float), inside)
    return products, pairs


def _fit(lag_s: Floats, products: Floats, pairs: Floats, step_s: float, observed_s: float, ties: Ties) -> Correlation:
    whole = _correlations(products.sum(0), pairs.sum(0))
    without = _correlations(products.sum(0) - products, pairs.sum(0) - pairs)  # each block left out
    every = ties.undo(np.vstack([whole, without]))
    whole = every[0]
    if whole[0] < UNLIKE:
        as_fast = Estimate(step_s, (0.0, step_s))
        return Correlation(as_fast, Estimate(0.0, (0.0, 1.0)), Estimate(None), lag_s, whole, np.zeros_like(whole))
    scales = np.geomspace(0.3 * step_s, max(observed_s / 5, 3 * step_s), GRID)
    shapes = interpolated(lag_s / scales[:, None], ties)
    fast, error = _one(every, scales, shapes)
    (two_fast, share, slow), two_error = _two(every, scales, shapes)
    better = jackknife(error - two_error)
    if better[0] > TWO_FROM * better[1] and share[0] < 1:
        coarse = THIN * np.log(scales[1] / scales[0]) / 2  # what the grid of two scales does not resolve
        model = (1 - share[0]) * interpolated(lag_s / two_fast[0], ties) + share[0] * interpolated(
            lag_s / slow[0], ties
        )
        return Correlation(
            _of_scale(two_fast, step_s, coarse), _of_share(share), _of_scale(slow, step_s, coarse), lag_s, whole, model
        )
    none = Estimate(0.0, (0.0, _most_share(every, float(fast[0]), lag_s, ties)))
    return Correlation(_of_scale(fast, step_s), none, Estimate(None), lag_s, whole, interpolated(lag_s / fast[0], ties))


def _correlations(products: Floats, pairs: Floats) -> Floats:
    means = products / np.maximum(pairs, 1)
    return np.asarray(means[..., 1:] / np.maximum(means[..., :1], 1e-12))


def _one(seen: Floats, scales: Floats, shapes: Floats) -> tuple[Floats, Floats]:
    """Return the best single time scale for each row of correlations, and the squared error."""
    errors = ((seen[:, None, :] - shapes[None]) ** 2).sum(-1)
    best = errors.argmin(1)
    return _between(errors, best, scales), errors.min(1)


def _between(errors: Floats, best: NDArray[np.intp], scales: Floats) -> Floats:
    """Return the minimum of a parabola through the least error and its neighbours, on the logs of the scales."""
    inner = np.clip(best, 1, len(scales) - 2)
    rows = np.arange(len(errors))
    left, middle, right = (errors[rows, inner + shift] for shift in (-1, 0, 1))
    bend = left - 2 * middle + right
    shift = np.where(bend > 0, 0.5 * (left - right) / np.where(bend > 0, bend, 1), 0)
    step = np.log(scales[1] / scales[0])
    return np.asarray(scales[inner] * np.exp(np.clip(shift, -1, 1) * step))


def _two(seen: Floats, scales: Floats, shapes: Floats) -> tuple[tuple[Floats, Floats, Floats], Floats]:
    """Return fast scale, share and slow scale for each row of correlations, and the squared error."""
    thin = slice(None, None, THIN)
    scales, shapes = scales[thin], shapes[thin]
    fast, slow = (each.ravel() for each in np.meshgrid(np.arange(len(scales)), np.arange(len(scales)), indexing="ij"))
    apart = scales[slow] >= 3 * scales[fast]
    fast, slow = fast[apart], slow[apart]
    change = shapes[slow] - shapes[fast]
    # The share is linear in the model: project, and keep it a share.
    rest = seen @ change.T - (shapes[fast] * change).sum(1)
    share = np.clip(rest / np.maximum((change**2).sum(1), 1e-12), 0, 1)
    squares = (seen**2).sum(1)[:, None] - 2 * seen @ shapes[fast].T + (shapes[fast] ** 2).sum(1)
    errors = squares - 2 * share * rest + share**2 * (change**2).sum(1)
    best = errors.argmin(1)
    rows = np.arange(len(seen))
    return (scales[fast[best]], share[rows, best], scales[slow[best]]), errors.min(1)


def jackknife(values: Floats) -> tuple[float, float]:
    """Return the value of the whole, and its standard error from the values without each block."""
    left_out = values[1:]
    count = len(left_out)
    return float(values[0]), float(np.sqrt((count - 1) / count * ((left_out - left_out.mean()) ** 2).sum()))


def _width(error: float) -> float:
    return float(stdtrit(BLOCKS - 1, (1 + LEVEL) / 2)) * error


def _of_scale(values: Floats, step_s: float, coarse: float = 0.0) -> Estimate:
    """Return a time scale, with `coarse` for its grid; one shorter than two probes apart cannot be measured."""
    log, error = jackknife(np.log(values))
    low, high = np.exp(log - _width(error) - coarse), np.exp(log + _width(error) + coarse)
    if values[0] < 2 * step_s and high < MOST_SPREAD * step_s:
        # Probes that keep step with the radio's moments see other phases than the mean over all of them.
        return Estimate(float(values[0]), (0.0, IN_STEP * max(float(high), step_s)))
    if high > MOST_SPREAD * low:
        return Estimate(float(values[0]))
    return Estimate(float(values[0]), (float(low), float(high)))


def _of_share(values: Floats) -> Estimate:
    share, error = jackknife(values)
    return Estimate(share, (max(share - _width(error), 0.0), min(share + _width(error), 1.0)))


def _most_share(seen: Floats, fast_s: float, lag_s: Floats, ties: Ties) -> float:
    """Return the largest share of a slow state that the correlations allow beside a time scale."""
    fast, most = interpolated(lag_s / fast_s, ties), 0.0
    for factor in (5, 15, 50):
        change = interpolated(lag_s / (factor * fast_s), ties) - fast
        share, error = jackknife((seen - fast) @ change / max(float(change @ change), 1e-12))
        most = max(most, share + _width(error))
    return min(most, 1.0)
