"""The figures that a profile states, by the names that a fit gives them, to lay both side by side."""

from collections.abc import Iterable
from statistics import NormalDist

import numpy as np

from heartbench.analysis.fit.events import Runs
from heartbench.analysis.fit.model import ENDS, Estimate
from heartbench.analysis.fit.outages import DRAWS, Found, rate_estimate, tail_estimates
from heartbench.analysis.posterior import draw_networks
from heartbench.simulator.outages import Lengths, Observed, Outages
from heartbench.simulator.profile import Direction, Profile
from heartbench.simulator.tail import log_survival

UNKNOWN = Estimate(None)


def stated(profile: Profile, names: Iterable[str]) -> dict[str, Estimate]:
    """Return the profile's figures of these names; those of observed outages have intervals."""
    return {name: _stated(profile, name) for name in names}


def _stated(profile: Profile, name: str) -> Estimate:
    kind, _, key = name.partition(".")
    if kind == "outage":
        return _outage(profile.outage, key)
    if kind == "loss":
        return _loss((profile.up, profile.down), key)
    if name.startswith("jitter_"):
        return _radio(profile, name)
    delays, _, which = name.rpartition("_")
    ways = {"rtt": (profile.up, profile.down), "up.delay": (profile.up,), "down.delay": (profile.down,)}[delays]
    return Estimate(sum(_delay(way, which) for way in ways))


def _delay(way: Direction, which: str) -> float:
    """Return a quantile of a delay, s; the least is that of the first pair of `jitter`."""
    score = -np.inf if which == "least" else NormalDist().inv_cdf(float(which.removeprefix("p")) / 100)
    return way.base_delay_s + float(way.jitter_s(np.array([score]))[0])


def _radio(profile: Profile, name: str) -> Estimate:
    value = {
        "jitter_correlation": profile.jitter_correlation_s,
        "jitter_slow_share": profile.jitter_slow_share,
        "jitter_slow_correlation": profile.jitter_slow_correlation_s,
    }[name]
    return Estimate(value)


def _loss(ways: tuple[Direction, Direction], key: str) -> Estimate:
    """Return the mean of both ways; there are no bursts without bad periods."""
    bursts = all(way.loss.good_mean_s > 0 for way in ways)
    if key != "good" and not bursts:
        return UNKNOWN
    field = {"good": "good", "bad": "bad", "good_mean": "good_mean_s", "bad_mean": "bad_mean_s"}[key]
    return Estimate(sum(float(getattr(way.loss, field)) for way in ways) / len(ways))


def _outage(outage: Outages, key: str) -> Estimate:
    if key.startswith("per_hour."):
        return _rate(outage, float(key.removeprefix("per_hour.").removesuffix("s")))
    if not outage.knots:
        return UNKNOWN
    if key in {"hold", "down"}:
        return Estimate(outage.hold if key == "hold" else outage.directions.down)
    if outage.lengths is Lengths.FIXED:
        return UNKNOWN
    tail, observed = outage.tail, outage.observed
    ci = None
    if observed and observed.count:
        length_s = np.array([*observed.lengths_s, *observed.cut_s]) + observed.step_s / 2
        cut = np.arange(observed.count) >= len(observed.lengths_s)
        nothing = np.zeros(0, np.int64)
        runs, counts = Runs(nothing, nothing, nothing > 0), np.full(observed.count, True)
        found = Found(runs, length_s, cut, counts, observed.step_s, observed.from_s, tail)
        ci = tail_estimates(found)[key].ci
    return Estimate(tail.shape if key == "shape" else tail.scale_s, ci)


def _rate(outage: Outages, length_s: float) -> Estimate:
    """Return the outages of at least this length per hour."""
    observed = outage.observed if outage.rate_factor == 1 else None
    counted = observed if observed and length_s >= observed.from_s else None
    if not outage.knots:
        return rate_estimate(0, counted.hours) if counted else Estimate(0.0)
    if outage.lengths is Lengths.FIXED:
        return Estimate(outage.per_hour if length_s <= outage.knots[0][0] else 0.0)
    lengths, rates = np.array(outage.knots).T
    tail = outage.tail
    inside = np.exp(np.interp(length_s, lengths, np.log(rates)))
    beyond = np.exp(log_survival(np.array(max(length_s - tail.from_s, 0.0)), tail.shape, tail.scale_s))
    value = float(inside * beyond) * outage.rate_factor
    return Estimate(value, _rate_interval(counted, length_s) if counted else None)


def _rate_interval(observed: Observed, length_s: float) -> tuple[float, float] | None:
    """Return the interval of the rate of outages of at least this length, which is no less than `from`, 1/h."""
    if length_s == observed.from_s:
        return rate_estimate(observed.count, observed.hours).ci
    drawn = draw_networks(observed, seed=1, count=DRAWS)
    beyond = np.exp(log_survival(np.array(length_s - observed.from_s), drawn.shape, drawn.scale_s))
    low, high = np.quantile(drawn.per_hour * beyond, ENDS)
    return float(low), float(high)


def tail_at(profile: Profile, from_s: float) -> tuple[float, float] | None:
    """Return shape and scale (s) of the outages beyond a threshold: the scale grows by the shape with it."""
    if not profile.outage.knots or profile.outage.lengths is Lengths.FIXED:
        return None
    tail = profile.outage.tail
    return tail.shape, tail.scale_s + tail.shape * (from_s - tail.from_s)
