"""The outages of a recording: which runs of lost or held probes are outages, how long they were, and their tail.

A run of n probes, Δ apart, was cut by an outage of (n − 1) Δ to (n + 1) Δ, on average n Δ. Counted from n = m on, the
outages are those of at least (m − 1/2) Δ, in steps of Δ.

An outage that touches an end of its stretch was cut: it was longer than what was seen of it. One that was on when a
later stretch began does not count, because it began when nobody looked. (The one with which the whole recording begins
does: it may be the only one.)
"""

from dataclasses import dataclass, replace
from math import ceil

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from heartbench.analysis.fit.events import SHORTEST_S, Flags, Runs, cut_off, lengths_s
from heartbench.analysis.fit.model import ENDS, LEVEL, Estimate, Kind, Outage
from heartbench.analysis.fit.tails import draw_stepped
from heartbench.analysis.intervals import share_interval
from heartbench.analysis.posterior import draw_tails
from heartbench.simulator.recordings import Recording
from heartbench.simulator.tail import FEWEST_LENGTHS, LEAST_SHAPE, Tail, excesses, fit, mean_excess_s

Floats = NDArray[np.float64]

FEWEST_PROBES = 3
"""An outage takes at least so many probes, and SHORTEST_S."""
MOST_BY_CHANCE = 0.1
"""Of the runs that count as outages, losses that met by chance may have made this share."""
DRAWS = 20_000
AT_LEAST_SHAPE = 0.001
"""A fitted shape as near to the least one is that."""
MOST_LENGTHS = 500
"""More different lengths than these are rounded to some of them."""


@dataclass(frozen=True, slots=True)
class Found:
    """The outages of a recording.

    Attributes:
        runs: those that are outages.
        length_s: their lengths, s, in the middle of their steps.
        cut: which of them an end of their stretch cut.
        counts: which of them count for rates and tail.
        step_s: resolution of the lengths, s.
        from_s: the shortest that is counted, s.
        tail: the fitted tail; None: there was no outage.
    """

    runs: Runs
    length_s: Floats
    cut: Flags
    counts: Flags
    step_s: float
    from_s: float
    tail: Tail | None

    @property
    def ended_s(self) -> Floats:
        """The lengths of those that were not cut as a profile states them, s: the beginning of each step."""
        return self._stated(~self.cut)

    @property
    def cut_s(self) -> Floats:
        """For how long those were seen that were cut and count, s."""
        return self._stated(self.cut & self.counts)

    def _stated(self, those: Flags) -> Floats:
        return np.maximum(np.round(np.sort(self.length_s[those]) - self.step_s / 2, 6), self.from_s)


def fewest_probes(recording: Recording, runs: Runs) -> int:
    """Return how many probes an outage takes at least: so many that independent losses hardly ever meet by chance."""
    fewest = max(FEWEST_PROBES, ceil(SHORTEST_S / recording.interval_s))
    counts = runs.count[~runs.held]
    while True:
        lost = counts[counts < fewest].sum() / recording.probes
        by_chance = recording.probes * lost**fewest * (1 - lost)
        if by_chance <= max(MOST_BY_CHANCE * np.count_nonzero(counts >= fewest), 1.0):
            return fewest
        fewest += 1


def find_outages(recording: Recording, runs: Runs, fewest: int) -> Found:
    """Return the runs of at least `fewest` probes as outages."""
    step = recording.interval_s
    length = lengths_s(recording, runs)
    long = length >= (fewest - 0.25) * step
    from_s = (fewest - 0.5) * step
    chosen = runs.chosen(long)
    begins_cut, ends_cut = cut_off(recording, chosen)
    seen_s, counts = np.maximum(length[long], from_s + step / 2), ~begins_cut | (chosen.first == 0)
    found = Found(chosen, seen_s, begins_cut | ends_cut, counts, step, from_s, None)
    return replace(found, tail=_tail(found))


def _tail(found: Found) -> Tail | None:
    """Return the fitted tail: exponential if the outages are too few for a shape; None if there are none."""
    if not found.counts.any():
        return None
    if len(found.ended_s) < FEWEST_LENGTHS:
        excess, cut = excesses(found.ended_s, found.from_s, found.step_s), excesses(found.cut_s, found.from_s, 0.0)
        return Tail(found.from_s, 0.0, float(f"{mean_excess_s(excess, cut):.3g}"))
    return fit(found.ended_s, found.from_s, found.step_s, found.cut_s.tolist())


def tail_estimates(found: Found) -> dict[str, Estimate]:
    """Return shape and scale with the intervals of their posterior."""
    if found.tail is None:
        return {"shape": Estimate(None), "scale": Estimate(None)}
    excess = _fewer(excesses(found.ended_s, found.from_s, found.step_s))
    cut = _fewer(excesses(found.cut_s, found.from_s, 0.0))
    generator = np.random.default_rng(1)
    if found.step_s > 0:
        shape, scale_s = draw_stepped(excess, found.step_s, generator, DRAWS, cut)
    else:
        shape, scale_s = draw_tails(excess, generator, DRAWS, cut_excess_s=cut)
    shapes, scales = np.quantile(shape, ENDS), np.quantile(scale_s, ENDS)
    if found.tail.shape - LEAST_SHAPE < AT_LEAST_SHAPE:  # the likeliest may be where the prior ends; no draw is
        shapes[0] = LEAST_SHAPE
    few = len(excess) < FEWEST_LENGTHS
    return {
        "shape": Estimate(found.tail.shape, None if few else (float(shapes[0]), float(shapes[1]))),
        "scale": Estimate(found.tail.scale_s, (float(scales[0]), float(scales[1]))),
    }


def _fewer(excess_s: Floats) -> Floats:
    """Return the excesses, s, rounded so that at most MOST_LENGTHS are different."""
    excess_s = np.round(excess_s, 6)
    different = np.unique(excess_s)
    if len(different) <= MOST_LENGTHS:
        return excess_s
    kept = different[np.linspace(0, len(different) - 1, MOST_LENGTHS).astype(int)]
    return np.asarray(kept[np.clip(np.searchsorted(kept, excess_s), 0, len(kept) - 1)])


def rate_estimate(count: int, hours: float, other: float = 0.0) -> Estimate:
    """Return a rate, 1/h, with the interval of its posterior (Jeffreys' prior, as `analysis.posterior`).

    Up to `other` of the count may be something else.
    """
    least = count - other
    low = float(gammaincinv(least + 0.5, ENDS[0])) if least > 0 else 0.0
    return Estimate(count / hours, (low / hours, float(gammaincinv(count + 0.5, ENDS[1])) / hours))


def share_estimate(count: int, total: int) -> Estimate:
    """Return a share with its exact interval."""
    return Estimate(count / total, share_interval(count, total, LEVEL)) if total else Estimate(None)


def kinds(recording: Recording, runs: Runs) -> list[Kind]:
    """Return what each outage did with packets; the direction needs one-way delays."""
    up, down = recording.up_s, recording.down_s
    found = []
    for first, count, held in zip(runs.first, runs.count, runs.held, strict=True):
        these = slice(first, first + count)
        if held:
            found.append(Kind.HOLD)
        elif up is None or down is None:
            found.append(Kind.DROP)
        else:
            found.append(Kind.UP if _mostly(np.isnan(up[these])) else Kind.DOWN)
    return found


def _mostly(those: Flags) -> bool:
    return bool(those.mean() >= 0.5)


def events(recording: Recording, found: Found) -> tuple[Outage, ...]:
    """Return the outages in order of time."""
    at = recording.sent_s[found.runs.first]
    rows = zip(at, found.length_s, kinds(recording, found.runs), found.cut, strict=True)
    return tuple(Outage(float(begin), float(length), kind, bool(cut)) for begin, length, kind, cut in rows)
