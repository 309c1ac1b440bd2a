"""The effect of one outage: false stales per outage, by its length. So one simulation serves a thousand networks.

    false stales per node-day = a(τ) + Σ 24 h · λ · P(length in bin) · r(bin, τ)

    r(bin, τ)   mean number of gaps longer than τ, the silence that a policy allows, that an outage of this length makes
    a(τ)        gaps longer than τ, per node-day, without a long outage in them or shortly before them
    λ, P        rate (1/h) and distribution of the long outages, of the network that is asked about

r and a are counted in a fleet that is simulated once on the network of best estimate, with some outages of each length
added (`with_probes`), so that rare lengths are covered too. A gap is attributed to the longest outage in it or up to
RECOVERED_S before it, because until then that outage may still affect TCP's timer and gRPC's backoff. The effect of
other outages meanwhile is that on the network of best estimate, so the sum is nearly exact for that network and a first
approximation around it.

The end of the simulation cuts gaps short. So only those gaps count, and the outages that begin in them, that begin
longer before the end than any silence allowed: whatever happened later, each of them is known to exceed it or not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.gaps import Gaps
from heartbench.analysis.policies.array_forms import Silence, allowed_silence
from heartbench.analysis.posterior import Networks
from heartbench.analysis.qos import DAY_S
from heartbench.analysis.simulated import SimulatedOutages
from heartbench.hub import PolicySpec
from heartbench.simulator.fleet import Squad
from heartbench.simulator.link_records import OUTAGE_E
from heartbench.simulator.outages import HOUR_S, Outages, table_mean_s
from heartbench.simulator.tail import log_survival

Floats = NDArray[np.float64]

RECOVERED_S = 180.0
PROBES_PER_HOUR = 0.5
MOST_OUT = 0.015
"""Limits on the outages that are added, per hour and as a share of the time, so that they seldom meet others."""
BEYOND = 1.25
"""Outages are added up to this many times the longest silence allowed; longer ones count like the longest of these."""
BINS = 120


@dataclass(frozen=True, slots=True)
class Response:
    """False stales that outages cause under k policies.

    Attributes:
        edges_s: lower ends of the bins of length, from the shortest long outage; shape (b,).
        per_outage: false stales per outage; shape (b, k).
        without: false stales per node-day that no long outage causes; shape (k,).
    """

    edges_s: Floats
    per_outage: Floats
    without: Floats

    @classmethod
    def of(cls, gaps: Gaps, outages: SimulatedOutages, edges_s: Floats, policies: Sequence[PolicySpec]) -> Self:
        """Return what outages of at least `edges_s[0]` made in a simulated fleet, under each policy.

        Gaps that begin less than `edges_s[-1]` before its end do not count: that is longer than the silence allowed.
        """
        silences = [allowed_silence(policy, gaps.arrivals) for policy in policies]
        end_s = _end_s(gaps)
        until_s = end_s - min(float(edges_s[-1]), end_s / 2)
        watched = outages_watched(gaps, outages, until_s)
        struck = np.bincount(_bins(watched.length_s, edges_s), minlength=len(edges_s) + 1)
        counts = gaps.start_s <= until_s
        exceeds = counts & (gaps.up_s > min(float(np.min(each)) for each in silences))
        bins = _bins(longest_outage_s(gaps, outages)[exceeds], edges_s)
        allowed = [each[exceeds] if isinstance(each, np.ndarray) else each for each in silences]
        longer = count_longer(gaps.up_s[exceeds], allowed, bins, len(edges_s) + 1)
        node_days = float(np.minimum(gaps.up_s, until_s - gaps.start_s)[counts].sum()) / DAY_S
        seen = np.maximum.accumulate(np.where(struck[1:] > 0, np.arange(len(edges_s)), 0))  # else as the next shorter
        per_outage = longer[1:] / np.maximum(struck[1:, None], 1)
        return cls(edges_s, per_outage[seen], longer[0] / node_days)

    def false_stale_per_node_day(self, networks: Networks) -> Floats:
        """Return the false stales per node-day on each network under each policy; shape (networks, k)."""
        excess = np.maximum(self.edges_s - networks.from_s, 0.0)
        beyond = np.exp(log_survival(excess, networks.shape[:, None], networks.scale_s[:, None]))
        share = beyond - np.append(beyond[:, 1:], np.zeros((len(networks), 1)), axis=1)
        rate = networks.per_hour * DAY_S / HOUR_S
        return np.asarray(self.without + rate[:, None] * (share @ self.per_outage))


def count_longer(length_s: Floats, silences: Sequence[Silence], bins: NDArray[np.int64], rows: int) -> Floats:
    """Return how many gaps of each bin are longer than each silence, which may vary by gap; shape (rows, k)."""
    longer = np.zeros((rows, len(silences)))
    constant = np.array([k for k, each in enumerate(silences) if not isinstance(each, np.ndarray)], int)
    if len(constant):
        silence_s = np.array([silences[k] for k in constant])
        order = np.argsort(silence_s, kind="stable")
        level = np.searchsorted(silence_s[order], length_s, "left")  # the number of silences that it is longer than
        shape = (rows, len(constant) + 1)
        counts = np.bincount(bins * shape[1] + level, minlength=shape[0] * shape[1]).reshape(shape)
        longer[:, constant[order]] = np.cumsum(counts[:, ::-1], axis=1)[:, -2::-1]
    for k in np.setdiff1d(np.arange(len(silences)), constant):
        longer[:, k] = np.bincount(bins[length_s > silences[k]], minlength=rows)
    return longer


def _bins(length_s: Floats, edges_s: Floats) -> NDArray[np.int64]:
    """Return the number of the bin of each length, from 1 on; 0: it is shorter than all."""
    return np.searchsorted(edges_s, length_s * (1 + 1e-12), "right")


def edges_of(from_s: float, longest_s: float) -> Floats:
    """Return the lengths that separate the bins, s, at equal ratios."""
    return np.geomspace(from_s, max(longest_s, 2 * from_s), BINS + 1)


def with_probes(squad: Squad, outage: Outages, share: float, from_s: float, longest_s: float) -> Squad:
    """Return a squad whose links have outages of all lengths added to their own.

    Args:
        squad: squad whose links have the outages of `outage`.
        outage: outages without the added ones.
        share: share of the outages that hit one node; the rest hit whole sites.
        from_s: shortest length of the added ones, s.
        longest_s: their longest length, s; ln of the length is uniform between the two.
    """
    longest_s = max(longest_s, 2 * from_s)
    shortest = min(from_s, outage.knots[0][0]) if outage.knots else from_s
    own_table = outage.lengths_s()
    lengths = np.geomspace(shortest, max(longest_s, own_table[-1]), 4000)
    mean_s = (longest_s - from_s) / np.log(longest_s / from_s)
    added_per_hour = min(PROBES_PER_HOUR, MOST_OUT * HOUR_S / mean_s)
    probes = added_per_hour * np.clip(np.log(longest_s / lengths) / np.log(longest_s / from_s), 0.0, 1.0)
    own = outage.per_hour * np.exp(-np.interp(lengths, own_table, OUTAGE_E)) if outage.knots else np.zeros_like(lengths)
    rates = probes + own
    per_hour = float(rates[0])
    table = np.interp(OUTAGE_E, -np.log(np.maximum(rates / per_hour, 1e-300)), lengths)
    return with_lengths(squad, table, per_hour, share)


def with_lengths(squad: Squad, lengths_s: Floats, per_hour: float, share: float = 1.0) -> Squad:
    """Return a squad whose links have `per_hour` other outages; a share exp(−OUTAGE_E) is longer than `lengths_s`.

    The share `share` of the outages hit one node; the rest hit whole sites.
    """
    link = squad.link.copy().view(np.recarray)
    mean_s = table_mean_s(lengths_s)
    link[0].outage_s = lengths_s
    link[0].outage_gap_mean_s, link[0].site_gap_mean_s = (
        HOUR_S / (per_hour * part) - mean_s if part else 0.0 for part in (share, 1.0 - share)
    )
    return replace(squad, link=link)


def outages_watched(gaps: Gaps, outages: SimulatedOutages, until_s: float) -> SimulatedOutages:
    """Return the outages that began while their node was up, in a gap that began by `until_s`."""
    places = _Places.of(gaps)
    at = np.searchsorted(places.starts, places.key(outages.node, outages.from_s), "right") - 1
    inside = places.known(outages.node) & (at >= 0)
    gap = np.maximum(at, 0)
    inside &= (places.owner[gap] == outages.node) & (outages.from_s <= gaps.start_s[gap] + gaps.up_s[gap])
    inside &= gaps.start_s[gap] <= until_s
    return SimulatedOutages(outages.node[inside], outages.from_s[inside], outages.to_s[inside])


def longest_outage_s(gaps: Gaps, outages: SimulatedOutages) -> Floats:
    """Return the longest outage that ended in each gap or up to RECOVERED_S before it, s; 0 if there was none.

    An outage that outlasts the run ends, as far as the run shows, with its last gap.
    """
    places = _Places.of(gaps)
    until_s = gaps.start_s + gaps.length_s
    until_s[gaps.first[1:] - 1] = end_s = _end_s(gaps)  # exactly, though start + length may round to less
    ends = places.key(outages.node, np.minimum(outages.to_s, end_s))
    first = np.searchsorted(ends, places.key(places.owner, gaps.start_s - RECOVERED_S), "left")
    last = np.searchsorted(ends, places.key(places.owner, until_s), "right")
    lengths = np.append(outages.length_s, 0.0)
    longest: Floats = np.maximum.reduceat(lengths, np.column_stack([first, last]).ravel())[::2]
    return np.where(first < last, longest, 0.0)


def _end_s(gaps: Gaps) -> float:
    """Return when the run ended, s."""
    return float(np.max(gaps.start_s + gaps.length_s, initial=0.0))


@dataclass(frozen=True, slots=True)
class _Places:
    """Times of all nodes on one axis, each node's in a separate range, so that one search finds all."""

    node: NDArray[np.int64]
    owner: NDArray[np.int64]
    starts: Floats
    span_s: float

    @classmethod
    def of(cls, gaps: Gaps) -> Self:
        owner = np.repeat(gaps.node, np.diff(gaps.first))
        span = _end_s(gaps) + 3 * RECOVERED_S
        places = cls(gaps.node, owner, np.zeros(0), span)
        return replace(places, starts=places.key(owner, gaps.start_s))

    def key(self, node: NDArray[np.int64], at_s: Floats) -> Floats:
        return np.searchsorted(self.node, node) * self.span_s + at_s + RECOVERED_S

    def known(self, node: NDArray[np.int64]) -> NDArray[np.bool_]:
        return np.isin(node, self.node)
