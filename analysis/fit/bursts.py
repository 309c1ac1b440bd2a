"""Fits loss bursts and short outages to the runs of losses, given the tail of the long outages.

Which of the short runs were outages is not decided one by one; the intervals contain both possibilities. Three kinds of
loss are tried: independent losses, bursts, and bursts with losses between them. The one with the least AIC gives the
values. At one probe a second a burst of half a second is hardly more than a lost probe, and the three may be equally
likely: what the likelihood ratio does not reject is in the intervals. Else they are quantiles of the posterior. Its
prior is flat in the logs of the total loss, of the length of bad periods and of the rates, in the share of the loss
that falls into good periods, and in the loss in bad ones.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import chi2, poisson

from heartbench.analysis.fit.losses import Alternation, Losses, log_likelihood
from heartbench.analysis.fit.model import ENDS, LEVEL, Estimate
from heartbench.analysis.fit.sampler import draw
from heartbench.analysis.intervals import poisson_interval
from heartbench.simulator.tail import Tail

Floats = NDArray[np.float64]

FEWEST_RUNS = 20
LEAST_BAD, MOST_BAD = 0.02, 0.95
"""Loss in bad periods. At least one packet in twenty passes; a time in which none does is an outage."""
MOST_BY_BURSTS = 0.1
"""Of the runs that count as outages, bursts may have made this share; one may always be theirs."""
ROOM = 3.0
"""The likeliest bursts make fewer by this factor, so that the interval around them has room."""
THIN = 10
"""Of the draws each of this number says how many runs bursts make."""
NEAR = 0.05
"""An interval that ends within this share of the range from a bound is open there."""
SHORT = 0.2
"""Length of bursts that hardly ever hit two probes, in relation to the time between these."""
TOTAL, GOOD, MEAN, BAD, RATES = range(5)
KINDS = {"independent": (TOTAL,), "bursts": (TOTAL, MEAN, BAD), "both": (TOTAL, GOOD, MEAN, BAD)}
"""The coordinates that are free in each kind of loss, besides the rates."""
DROP = {kind: float(chi2.ppf(LEVEL, max(len(KINDS["both"]) - len(free), 1))) / 2 for kind, free in KINDS.items()}
"""A kind of loss is rejected if its log likelihood is lower by this than that of the likeliest: the ratio has as many
degrees of freedom as the kind lacks."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the fit is given.

    Attributes:
        seen: the alternation of answered and lost probes.
        step_s: time between two probes, s.
        ways: 2 for round trips, 1 for one way.
        knots_s: knots of the rate of outages, s; the tail begins at the last.
        tail: shape and scale of the tail; None: there are no outages.
        up_share: share of the time that is in no outage.
    """

    seen: Alternation
    step_s: float
    ways: int
    knots_s: Floats
    tail: Tail | None
    up_share: float

    @property
    def hours(self) -> float:
        """Time observed, h."""
        return self.seen.probes * self.step_s / 3600

    @property
    def fewest(self) -> int:
        """Number of lost probes from which on a run is an outage."""
        return int(self.knots_s[-1] / self.step_s + 0.6)

    @property
    def most_long(self) -> float:
        """Most runs that count as outages, and yet were made by bursts."""
        return max(MOST_BY_BURSTS * int(np.count_nonzero(self.seen.lost >= self.fewest)), 1.0)

    @property
    def lost(self) -> float:
        """Share of the probes that were lost on each way, outages included."""
        return max(int(self.seen.lost.sum()), 1) / self.seen.probes / self.ways

    @property
    def lost_in_short(self) -> float:
        """Share of the probes that were lost on each way in runs that do not count as outages.

        One outage of some hours loses more probes than all bursts of a day.
        """
        runs = self.seen.lost
        return max(int(runs[runs < self.fewest].sum()), 1) / self.seen.probes / self.ways


@dataclass(frozen=True, slots=True)
class Likeliest:
    """The likeliest losses.

    Attributes:
        setting: what they were fitted to.
        vectors: the likeliest vector of each kind of loss; none if the losses are too few for bursts.
        possible: kinds that the likelihood ratio does not reject.
        losses: the figures of the kind with the least AIC.
    """

    setting: Setting
    vectors: dict[str, Floats]
    possible: set[str]
    losses: Losses

    @property
    def long_runs(self) -> float:
        """How many of the runs that count as outages bursts are expected to have made."""
        return _long_runs(self.setting, self.losses)

    @property
    def makes_long(self) -> bool:
        """Whether bursts, as all possible kinds have them, make so many of them that one says little about outages."""
        if not self.possible or "independent" in self.possible:
            return False
        losses = (_losses(self.setting, self.vectors[kind]) for kind in self.possible)
        return all(ROOM * _long_runs(self.setting, each) > self.setting.most_long for each in losses)


@dataclass(frozen=True, slots=True)
class Bursts:
    """The fitted losses, and the estimates: of the keys of `loss`, and of Λ at each knot (1/h).

    Up to `most_long` of the runs that count as outages may be lost probes that met by chance or in a burst.
    """

    most_long: float
    losses: Losses
    loss: dict[str, Estimate]
    per_hour: tuple[Estimate, ...]


def fit_bursts(setting: Setting) -> Likeliest:
    """Return the likeliest figures of bursts and short outages."""
    if np.count_nonzero(setting.seen.lost) < FEWEST_RUNS:
        return Likeliest(setting, {}, set(), _few(setting).losses)
    value = partial(_log_density, setting)
    best: dict[str, Floats] = {}
    for kind, free in KINDS.items():
        best[kind] = _best(value, _starts(setting, kind, list(best.values())), _bounds(setting), free)
    values = {kind: value(x) for kind, x in best.items()}
    chosen = max(KINDS, key=lambda kind: values[kind] - len(KINDS[kind]))
    possible = {kind for kind in KINDS if values[kind] > max(values.values()) - DROP[kind]}
    found = _losses(setting, best[chosen])
    if chosen == "independent":
        found = replace(found, good_s=np.inf, bad_s=0.0, bad=0.0)
    return Likeliest(setting, best, possible, found)


def with_intervals(fit: Likeliest) -> Bursts:
    """Return the figures with intervals."""
    setting = fit.setting
    if not fit.vectors:
        return _few(setting)
    most = max(setting.most_long, ROOM * fit.long_runs)

    def limited(x: Floats) -> float:
        # Few outages are as likely as bursts that lose nearly all: these would be outages by another name.
        beyond = max(np.log(max(_long_runs(setting, _losses(setting, x)), 1e-9) / most), 0.0)
        return _log_density(setting, x) - 100 * float(beyond**2)

    draws = draw(limited, max(reversed(fit.vectors.values()), key=limited), _bounds(setting), seed=1)
    every = [_losses(setting, each) for each in draws]
    by_losses = np.quantile([_long_runs(setting, each) for each in every[::THIN]], ENDS[1])
    most_long = float(poisson.ppf(ENDS[1], by_losses))
    return Bursts(most_long, fit.losses, _loss(fit, every, draws), _rates(setting, fit.losses, every))


def _log_density(setting: Setting, x: Floats) -> float:
    """Return ln of the posterior of a vector; longer outages are rarer."""
    rise = np.maximum(np.diff(x[RATES:]), 0.0)
    losses = _losses(setting, x)
    likelihood = log_likelihood(losses, setting.seen, setting.step_s, setting.ways, setting.up_share)
    return float(likelihood - 100 * float(rise @ rise))


def _long_runs(setting: Setting, losses: Losses) -> float:
    """Return how many runs that count as outages are expected of bursts alone."""
    start, change, q = losses.chain(setting.step_s, setting.ways)
    state = start * (1 - q)
    for _ in range(setting.fewest):
        state = state @ (change * q)
    return float(setting.seen.probes * state.sum())


def _bounds(setting: Setting) -> Floats:
    step, lost = setting.step_s, setting.lost_in_short
    rates = [(np.log(0.03 / setting.hours), np.log(1200 / step))] * (len(setting.knots_s) if setting.tail else 0)
    return np.array(
        [
            (np.log(lost / 100), min(np.log(setting.lost * 3), np.log(0.5))),
            (0.0, 1.0),
            (np.log(0.05 * step), np.log(50 * step)),
            (min(max(LEAST_BAD, 3 * lost), 0.5), MOST_BAD),
            *rates,
        ]
    )


def _losses(setting: Setting, x: Floats) -> Losses:
    """Return the figures of a vector: ln of the total loss, share of it in good periods, ln of bad_mean, bad, rates."""
    total, bad_s, bad = np.exp(x[TOTAL]), float(np.exp(x[MEAN])), float(x[BAD])
    share = min(max(total * (1 - x[GOOD]), 1e-4 * total) / bad, 0.5)  # of the time that is bad
    rates = np.exp(x[RATES:]) if setting.tail else np.full(len(setting.knots_s), 1e-12)
    tail = setting.tail or Tail(float(setting.knots_s[-1]), 0.0, setting.step_s)
    return Losses(bad_s * (1 - share) / share, bad_s, bad, float(total * x[GOOD]), setting.knots_s, rates, tail)


def _starts(setting: Setting, kind: str, simpler: list[Floats]) -> list[Floats]:
    """Return where to search: short bursts, long ones, and what does as well as the best of the next simpler kind."""
    lengths = (setting.knots_s / setting.step_s + 0.5).astype(int)
    counts = [max(int(np.count_nonzero(setting.seen.lost >= length)), 0.5) / setting.hours for length in lengths]
    rates = [np.log(0.5 * (count + counts[-1])) for count in counts] if setting.tail else []
    total, step = np.log(0.7 * setting.lost_in_short), setting.step_s
    good = {"independent": 1.0, "bursts": 0.0, "both": 0.1}[kind]
    widths = {"independent": (0.4,), "bursts": (0.4, 5.0), "both": (0.4, 5.0)}[kind]
    starts = [np.array([total, good, np.log(width * step), 0.5, *rates]) for width in widths]
    for near in simpler[-1:]:
        # Bursts much shorter than the time between two probes are independent losses by another name.
        as_bursts = np.array([near[TOTAL], 0.0, np.log(SHORT * step), 0.5, *near[RATES:]])
        starts.append(as_bursts if kind == "bursts" else near)
    return starts


def _best(value: Callable[[Floats], float], starts: list[Floats], bounds: Floats, free: tuple[int, ...]) -> Floats:
    """Return the likeliest vector that a search from each start finds; only `free` and the rates change."""
    chosen = np.array([*free, *range(RATES, len(bounds))])
    found = []
    for start in starts:
        at = np.clip(start, *bounds.T)

        def negative(x: Floats, at: Floats = at) -> float:
            at[chosen] = x
            return -value(at)

        result = minimize(negative, at[chosen], method="L-BFGS-B", bounds=bounds[chosen], options={"eps": 1e-5})
        at[chosen] = result.x
        found.append((float(result.fun), at))
    return min(found, key=lambda each: each[0])[1]


def _loss(fit: Likeliest, every: list[Losses], draws: Floats) -> dict[str, Estimate]:
    """Return the estimates of the keys of `loss`; without an interval what the recording does not bound.

    Nor has what bursts are if they may be shorter than the time between two probes: hardly one is seen twice.
    """
    found, possible, bounds = fit.losses, fit.possible, _bounds(fit.setting)
    low, high = np.quantile(draws, ENDS, axis=0)
    good = np.quantile([each.good for each in every], ENDS)
    # Independent losses are the limit of short bursts: who cannot reject the one cannot reject the other.
    least_good = 0.0 if possible & {"independent", "bursts"} else float(good[0])
    if "independent" in possible or np.exp(low[MEAN]) < fit.setting.step_s:
        most_good = float(np.exp(high[TOTAL]))
        shown = found.good_s < np.inf
        unknown = {"bad": found.bad, "good_mean": found.good_s, "bad_mean": found.bad_s}
        good_too = {"good": Estimate(found.good, (least_good, most_good))}
        return good_too | {name: Estimate(value if shown else None) for name, value in unknown.items()}
    near = NEAR * (bounds[:, 1] - bounds[:, 0])
    at_low, at_high = low < bounds[:, 0] + near, high > bounds[:, 1] - near
    good_s = np.quantile([each.good_s for each in every], ENDS)
    bad_ci = (0.0 if at_low[BAD] else low[BAD], 1.0 if at_high[BAD] else high[BAD])
    bad_s_ci = (0.0 if at_low[MEAN] else np.exp(low[MEAN]), np.inf if at_high[MEAN] else np.exp(high[MEAN]))
    return {
        "good": Estimate(found.good, (least_good, float(good[1]))),
        "bad": Estimate(found.bad, _bounded(bad_ci, 0.0, 1.0)),
        "good_mean": Estimate(found.good_s, _bounded((good_s[0], good_s[1]), 0.0, np.inf)),
        "bad_mean": Estimate(found.bad_s, _bounded(bad_s_ci, 0.0, np.inf)),
    }


def _bounded(ci: tuple[float, float], least: float, most: float) -> tuple[float, float] | None:
    """Return an interval; None if it excludes nothing."""
    return None if ci[0] <= least and ci[1] >= most else (float(ci[0]), float(ci[1]))


def _rates(setting: Setting, found: Losses, every: list[Losses]) -> tuple[Estimate, ...]:
    """Return Λ at each knot, 1/h."""
    if setting.tail is None:
        most = float(-np.log((1 - LEVEL) / 2) / setting.hours)
        return (Estimate(0.0, (0.0, most)),) * len(setting.knots_s)
    ends = np.quantile([each.falling_per_hour for each in every], ENDS, axis=0)
    rows = zip(found.falling_per_hour, ends[0], ends[1], strict=True)
    return tuple(Estimate(float(value), (float(low), float(high))) for value, low, high in rows)


def _few(setting: Setting) -> Bursts:
    """Return the figures of losses that are too few for bursts: in short runs they count as independent."""
    probes = (setting.knots_s / setting.step_s + 0.5).astype(int)
    runs = setting.seen.lost
    counts = [int(np.count_nonzero(runs >= each)) for each in probes]
    lost = int(runs[runs < probes[-1]].sum())
    sent = setting.seen.probes * setting.ways
    ((least_lost, most_lost),) = poisson_interval(np.array([lost]), LEVEL).tolist()
    good = Estimate(lost / sent, (least_lost / sent, most_lost / sent))
    unknown = {name: Estimate(None) for name in ("bad", "good_mean", "bad_mean")}
    # Whether a short run was an outage is not known: at least as many as there are long ones, and at most all.
    means = poisson_interval(np.array(counts), LEVEL)
    least, most = float(means[-1, 0]), means[:, 1].tolist()
    per_hour = tuple(
        Estimate(counts[-1] / setting.hours, (least / setting.hours, each / setting.hours)) for each in most
    )
    rates = np.full(len(probes), max(counts[-1], 1e-9) / setting.hours)
    tail = setting.tail or Tail(float(setting.knots_s[-1]), 0.0, setting.step_s)
    losses = Losses(np.inf, 0.0, 0.0, lost / sent, setting.knots_s, rates, tail)
    return Bursts(setting.most_long, losses, {"good": good, **unknown}, per_hour)
