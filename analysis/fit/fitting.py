"""From a recording to a `Fit`."""

from collections.abc import Mapping
from math import ceil

import numpy as np

from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.fit.bursts import Bursts, Setting, fit_bursts, with_intervals
from heartbench.analysis.fit.correlation import Correlation, fit_correlation
from heartbench.analysis.fit.delays import Delays, fit_delays
from heartbench.analysis.fit.events import Flags, Runs, find_runs, late_answers, ordinary
from heartbench.analysis.fit.losses import alternation, thinned
from heartbench.analysis.fit.model import Estimate, Fit, Kind
from heartbench.analysis.fit.outages import (
    Found,
    events,
    fewest_probes,
    find_outages,
    rate_estimate,
    share_estimate,
    tail_estimates,
)
from heartbench.analysis.fit.profiles import make_profile
from heartbench.analysis.fit.warnings import warnings_of
from heartbench.simulator.recordings import Recording
from heartbench.simulator.tail import FEWEST_LENGTHS

FEWEST_ANSWERS = 60
LEAST_OBSERVED_S = 10.0
"""A shorter log, as of a flood of pings, shows a moment and no network."""
RAISED_S = 5.0
"""Up to about this length runs are left to bursts that make many of them, unless these last longer themselves."""
WAYS = 2
RARER = 1.001
"""A profile wants longer outages to be rarer; by this factor they are even if none were seen to be shorter."""


def fit_recording(recording: Recording) -> Fit:
    """Return the network that a recording shows.

    Raises:
        AnalysisError: too few probes were answered, too short a time was observed, or outages fill it.
    """
    runs = find_runs(recording)
    answered = recording.probes - recording.lost
    if answered < FEWEST_ANSWERS:
        raise AnalysisError(
            f"{recording.source}: {answered} of {recording.probes} probes were answered; a fit needs at least "
            f"{FEWEST_ANSWERS}"
        )
    if recording.observed_s < LEAST_OBSERVED_S:
        raise AnalysisError(
            f"{recording.source}: {recording.observed_s:.2g} s were observed; a fit needs at least "
            f"{LEAST_OBSERVED_S:g} s, and its outages hours: send a probe every second, for as long as you can"
        )
    found, bursts = _losses(recording, runs)
    held = found.runs.chosen(found.runs.held)
    usual = ordinary(recording, held)
    correlation = fit_correlation(recording.rtt_s, usual, recording.stretch_starts, recording.interval_s)
    held_alone = late_answers(recording, usual) if len(held) else 0
    delays = fit_delays(recording.rtt_s[usual], held_alone)
    ways = one_way(recording, usual, held_alone)
    outages = events(recording, found)
    parameters = {
        **_delay_parameters(delays, ways),
        "jitter_correlation": correlation.fast_s,
        "jitter_slow_share": correlation.slow_share,
        "jitter_slow_correlation": correlation.slow_s,
        **{f"loss.{name}": estimate for name, estimate in bursts.loss.items()},
        **_outage_parameters(found, bursts, recording.hours, [outages[i].kind for i in np.flatnonzero(found.counts)]),
    }
    return Fit(
        source=recording.source,
        probes=recording.probes,
        lost=recording.lost,
        hours=recording.hours,
        interval_s=recording.interval_s,
        outages=outages,
        from_s=found.from_s,
        parameters=parameters,
        warnings=tuple(warnings_of(recording, found, parameters, delays)),
        profile=make_profile(recording, delays, ways, bursts.losses, found, parameters),
    )


def one_way(recording: Recording, usual: Flags, held: int = 0) -> tuple[Delays, Delays] | None:
    """Return the delays up and down, if the recording has them; `held` as of `fit_delays`."""
    if recording.up_s is None or recording.down_s is None:
        return None
    up, down = recording.up_s[usual], recording.down_s[usual]
    known = ~np.isnan(up) & ~np.isnan(down)
    if np.count_nonzero(known) < FEWEST_ANSWERS:
        return None
    return fit_delays(up[known], held), fit_delays(down[known], held)


def _losses(recording: Recording, runs: Runs) -> tuple[Found, Bursts]:
    """Return outages and bursts; the shortest outage is raised, up to RAISED_S, if bursts make as long runs."""
    fewest = fewest_probes(recording, runs)
    while True:
        found = find_outages(recording, runs, fewest)
        likeliest = fit_bursts(_setting(recording, runs, found, fewest))
        if not likeliest.makes_long or max(found.from_s, likeliest.losses.bad_s) > RAISED_S:
            return found, with_intervals(likeliest)
        fewest += max(fewest // 3, 1)


def _setting(recording: Recording, runs: Runs, found: Found, fewest: int) -> Setting:
    """Return what bursts and short outages are fitted to, beside the outages of at least `fewest` probes."""
    step = recording.interval_s
    # A short stall is jitter: only the held runs that are outages interrupt the alternation.
    seen = alternation(recording, runs.chosen(~runs.held | np.isin(runs.first, found.runs.first)))
    dropped = not found.runs.held.all()
    knots = np.array([ceil(fewest / 3), ceil(2 * fewest / 3), fewest - 0.5]) * step
    out = min(float(found.length_s.sum()) / (recording.probes * step), 0.9)
    return Setting(thinned(seen), step, WAYS, knots, found.tail if dropped else None, 1 - out)


def _delay_parameters(delays: Delays, ways: tuple[Delays, Delays] | None) -> dict[str, Estimate]:
    named = {"rtt": delays} | ({"up.delay": ways[0], "down.delay": ways[1]} if ways else {})
    found: dict[str, Estimate] = {}
    for name, each in named.items():
        found[f"{name}_least"] = each.least
        found |= {f"{name}_p{100 * share:g}": estimate for share, estimate in each.quantiles.items()}
    return found


def _outage_parameters(found: Found, bursts: Bursts, hours: float, kinds: list[Kind]) -> dict[str, Estimate]:
    """Return the estimates of the outages; the rates of short ones are those of the bursts' fit."""
    count = len(kinds)
    knots = [float(knot) for knot in bursts.losses.knots_s]
    rates = {knot: estimate for knot, estimate in zip(knots, bursts.per_hour, strict=True) if knot < found.from_s}
    dropped = count - kinds.count(Kind.HOLD)
    whole = rate_estimate(count, hours, bursts.most_long if dropped else 0.0)
    # The fit saw only those that drop: short stalls count as jitter.
    rates = {knot: _with_held(estimate, count, dropped, whole) for knot, estimate in rates.items()}
    rates = falling(rates | {found.from_s: whole})
    directed = any(kind in {Kind.UP, Kind.DOWN} for kind in kinds)
    down = share_estimate(kinds.count(Kind.DOWN), count) if directed else Estimate(None)
    return {
        **{f"outage.per_hour.{knot:.4g}s": estimate for knot, estimate in rates.items()},
        **{f"outage.{name}": estimate for name, estimate in tail_estimates(found).items()},
        "outage.hold": share_estimate(kinds.count(Kind.HOLD), count),
        "outage.down": down,
    }


def _with_held(estimate: Estimate, count: int, dropped: int, whole: Estimate) -> Estimate:
    """Return the rate of outages of a length, of which the fit saw those that drop; `whole`: that of the long ones."""
    if count and not dropped:
        return Estimate(None)
    if estimate.value is None or estimate.ci is None or whole.ci is None:
        return estimate
    factor = count / dropped if dropped else 1.0
    # The few that bursts may have made are a great part of a few.
    low = estimate.ci[0] if count >= FEWEST_LENGTHS else min(estimate.ci[0], whole.ci[0])
    return Estimate(estimate.value * factor, (low * factor, estimate.ci[1] * factor))


def falling(rates: Mapping[float, Estimate]) -> dict[float, Estimate]:
    """Return the rates by shortest length, each at least that of longer outages, and within its own interval.

    The longest are counted, the shorter ones come from the likelihood of all runs of losses: the two may contradict
    each other by chance. What is at most the rate of longer outages is at most that of shorter ones, too.
    """
    found: dict[float, Estimate] = {}
    least = lowest = highest = 0.0
    for length_s in sorted(rates, reverse=True):
        value, ci = rates[length_s].value, rates[length_s].ci
        if value is not None and ci is not None:
            value = least = max(value, RARER * least)
            lowest, highest = max(ci[0], lowest), max(ci[1], highest, value)
            ci = (min(lowest, value), highest)
        found[length_s] = Estimate(value, ci)
    return dict(reversed(found.items()))


def usual_probes(recording: Recording, from_s: float) -> Flags:
    """Return which probes were answered, and not held by an outage of at least `from_s`."""
    runs = find_runs(recording)
    found = find_outages(recording, runs, ceil(from_s / recording.interval_s))
    return ordinary(recording, found.runs.chosen(found.runs.held))


def correlation_of(recording: Recording, from_s: float) -> Correlation:
    """Return the correlations of a recording, for a plot; outages are of at least `from_s`."""
    usual = usual_probes(recording, from_s)
    return fit_correlation(recording.rtt_s, usual, recording.stretch_starts, recording.interval_s)
