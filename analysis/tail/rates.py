"""False stales of a log on each network that fits its gaps, at thresholds within and beyond them.

    below u   what was counted: the Gamma posterior of that Poisson count (`networks.of_fleet`)
    over u    λ P(gap > x | gap > u): the posteriors of the rate of gaps over u, and of shape and scale (`posterior`)

Gaps come in clumps: nodes share outages, and bad hours follow each other. So counts, and the likelihood of the lengths,
weigh as much as the independent gaps that they are worth: their number divided by the dispersion of the log
(`intervals`; for the likelihood: Ribatet, Cooley and Davison, "Bayesian inference from composite likelihoods",
Statistica Sinica 22, 2012, the magnitude adjustment).

Gaps that the log's end, or a named death, cut off enter with the length that was seen.

A threshold that no gap exceeds, and less than a tenth of an independent gap would in a log of this length, by the best
estimate, is more than one decade beyond the data: it has no interval.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from heartbench.analysis.coincidence import LONG
from heartbench.analysis.intervals import dispersions
from heartbench.analysis.networks import NetworkRates
from heartbench.analysis.posterior import NETWORKS, draw_tails
from heartbench.analysis.qos import DAY_S, Qos
from heartbench.analysis.tail.choice import Choice, choose
from heartbench.simulator.tail import Tail, fit, log_survival

Floats = NDArray[np.float64]

DECADE = 0.1


@dataclass(frozen=True, slots=True)
class LogTail:
    """The tail of a log: how u was chosen, and what it says of thresholds.

    Attributes:
        independent: independent gaps over u that the gaps over it are worth; 0 if it was refused, as the next two.
        shape, scale_s: those of the greatest likelihood.
        ends_s: greatest gap that is not more than one decade beyond the data, s.
    """

    choice: Choice
    independent: float = 0.0
    shape: float = 0.0
    scale_s: float = 0.0
    ends_s: float = 0.0


def rates_of_log(
    judged: Mapping[str, Qos], silence_s: Floats, step_s: float, seed: int
) -> tuple[dict[str, NetworkRates], dict[str, LogTail]]:
    """Return the rates and the tail of each group of a log; those without rates are refused. Arguments as below."""
    found = {name: tail_of(qos, silence_s, step_s, seed) for name, qos in judged.items()}
    return {name: rates for name, (rates, _) in found.items() if rates}, {
        name: each for name, (_, each) in found.items()
    }


def tail_of(qos: Qos, silence_s: Floats, step_s: float, seed: int) -> tuple[NetworkRates | None, LogTail]:
    """Return the rates of a log on the networks that fit it, None if they are refused, and its tail.

    Args:
        qos: the log, judged at k thresholds.
        silence_s: gap that exceeds each threshold, s; ascending.
        step_s: each gap is known to within this, s; 0: exact.
        seed: of what is drawn.
    """
    spread, over_s = dispersions(qos.mistakes, qos.up_s / DAY_S, independent=qos.independent), LONG * usual_gap_s(qos)
    choice = choose(gaps_over(qos, over_s), over_s, lambda u: at(silence_s, spread, u), step_s, seed)
    if choice.chosen is None:
        return None, LogTail(choice)
    u_s, number, days = choice.chosen.from_s, choice.chosen.exceedances, qos.node_days
    clump, beyond = at(silence_s, spread, u_s), silence_s >= u_s
    over = silence_s[beyond] - u_s
    generator = np.random.default_rng([seed, 4])
    chance = generator.uniform(size=(NETWORKS, 1))  # one for all thresholds, so that rates fall with them
    best, drawn = qos.mistakes.sum((0, 1)) / days, np.empty((NETWORKS, len(silence_s)))
    drawn[:, ~beyond] = gammaincinv(best[~beyond] * days / spread[~beyond] + 0.5, chance) * spread[~beyond] / days
    found = fit(choice.excess_s + u_s, u_s)
    shape, scale_s = draw_tails(choice.excess_s, generator, NETWORKS, weight=1 / clump)
    per_day = gammaincinv(number / clump + 0.5, chance) * clump / days
    best[beyond] = number / days * np.exp(log_survival(over, found.shape, found.scale_s))
    drawn[:, beyond] = per_day * np.exp(log_survival(over, shape[:, None], scale_s[:, None]))
    far = (best * days / clump < DECADE) & (silence_s > choice.longest_s)
    best[far], drawn[:, far] = np.nan, np.nan
    score = np.log(number / clump / DECADE)
    ends_s = max(float(Tail(u_s, found.shape, found.scale_s).quantile_s(score)), choice.longest_s)
    return NetworkRates(best, drawn), LogTail(choice, number / clump, found.shape, found.scale_s, ends_s)


def usual_gap_s(qos: Qos) -> float:
    """Return the median gap, s."""
    if qos.gap_counts is None:
        return float(np.median(qos.up_gaps_s))
    order = np.argsort(qos.up_gaps_s)
    below = np.cumsum(qos.gap_counts[order])
    return float(qos.up_gaps_s[order][np.searchsorted(below, below[-1] / 2)])


def gaps_over(qos: Qos, over_s: float) -> Floats:
    """Return the lengths of the gaps of more than `over_s`, s."""
    chosen = qos.up_gaps_s > over_s
    counts = None if qos.gap_counts is None else qos.gap_counts[chosen].astype(np.int64)
    return qos.up_gaps_s[chosen] if counts is None else np.repeat(qos.up_gaps_s[chosen], counts)


def at(silence_s: Floats, spread: Floats, gap_s: float) -> float:
    """Return the dispersion of the counts of gaps over `gap_s`: that at the first threshold from there on."""
    return float(spread[min(int(np.searchsorted(silence_s, gap_s)), len(spread) - 1)])
