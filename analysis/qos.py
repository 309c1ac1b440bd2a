"""How good each of k policies would have been on one trace: false stales, detection time, flaps and flashes.

The measures are those of Chen, Toueg and Aguilera, "On the quality of service of failure detectors" (IEEE Transactions
on Computers 51(5), May 2002, sections 2.2 and 2.3). If the policy allows the silence τ after a sign of life, a gap of
length g makes a hub mark the node stale τ after the gap's start, for g − τ. That is a *mistake* if the node was up at
that moment. Of the mistakes:

    T_M   their mean duration              λ_M = mistakes / time up = 1 / E(T_MR)        (Theorem 1)
    T_MR  mean time from one to the next   P_A = E(T_G) / E(T_MR) = 1 − E(T_M) / E(T_MR) (Theorem 1)

Detection time T_D: the power fails at time t. What was sent by then still arrives, one transit later (δ); let the last
sign of life have the age a at t + δ. The deadline passes at t + δ + τ − a, and the next sweep of the hub, at a uniform
time u within a tick, finds it, unless the node was stale before: T_D = max(τ + δ + u − a, 0). The time left, τ − a, at
a uniform time has P(τ − a > y) = Σ [(τ − y)⁺ − (τ − g − y)⁺] / Σ g over the gaps of nodes that are up.

Time in which the hub was away is no node's silence: `absences` computes how it moves deadlines. It counts neither as
time up nor as time stale, and detection times are those of a hub that is there.

A hold-down prolongs a mistake. It is left out of the detection time: a node that is held down is stale already.

One pass over the gaps (`watch`) judges all policies whose silence is constant; the others take one pass for each
detector, and what that allowed is not kept. `tune` chooses between them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heartbench.analysis.absences import BY_DEFAULT, AbsenceRules
from heartbench.analysis.gaps import Gaps
from heartbench.analysis.passes import Passes, alike_in_detector
from heartbench.analysis.policies.array_forms import Silence, allowed_silence
from heartbench.analysis.sites import Cells, cells_of
from heartbench.hub import PolicySpec
from heartbench.hub.liveness.self_health import TICK_S

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

DAY_S = 86400.0
SWEEPS = 16  # moments within a tick for which a detection time is computed
PRECISION_S = 1e-6
SHARES = (0.50, 0.90, 0.99)
"""Quantiles of the detection time that are given."""


@dataclass(frozen=True, slots=True)
class Excess:
    """By how much values exceed a limit, in total: Σ (v − y)⁺; `counts_above` is None if each value counts once."""

    ascending: Floats
    sums_above: Floats
    counts_above: Floats | None = None

    @classmethod
    def of(cls, values: Floats, counts: Floats | None = None) -> "Excess":
        """Return it for the values, in any order, each `counts` times."""
        if counts is None:
            ascending = np.sort(values)
            return cls(ascending, sums_from(ascending))
        order = np.argsort(values)
        return cls(values[order], sums_from((values * counts)[order]), sums_from(counts[order]))

    @property
    def total(self) -> float:
        """Number of values."""
        return len(self.ascending) if self.counts_above is None else float(self.counts_above[0])

    def over(self, limit: Floats) -> Floats:
        """Return the total excess over each limit."""
        row = np.searchsorted(self.ascending, limit)
        above = len(self.ascending) - row if self.counts_above is None else self.counts_above[row]
        return self.sums_above[row] - limit * above


def sums_from(values: Floats) -> Floats:
    """Return the sum of the values from each one on, and 0 after the last."""
    return np.append(np.cumsum(values[::-1])[::-1], 0.0)


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """Time left to the deadline at a uniform time while the node was up, s: negative if the deadline has passed.

    `silence_s` is allowed after the start of each gap, `ends_s` is left at its end; shape (m,), or (1,) if constant.
    """

    silence_s: Excess
    ends_s: Excess
    up_s: float

    @classmethod
    def of(cls, silence_s: Silence, up_s: Floats, counts: Floats | None = None) -> "TimeLeft":
        """Return it for the silence allowed after the start of each gap, of which the node was up for `up_s`.

        With `counts`, each entry stands for that many gaps, which all allow the same silence.
        """
        some = up_s > 0
        silence_s = silence_s[some] if isinstance(silence_s, np.ndarray) else np.array([silence_s])
        total_s = float(up_s.sum() if counts is None else up_s @ counts)
        ends_s = Excess.of(silence_s - up_s[some], None if counts is None else counts[some])
        return cls(Excess.of(silence_s), ends_s, total_s)

    def quantile(self, share: float, tick_s: float) -> float:
        """Return the quantile of the time left plus a uniform time within a tick, s; NaN if no node was ever up."""
        if not self.up_s:
            return np.nan
        silences, ends = self.silence_s.ascending, self.ends_s.ascending
        repeated = self.ends_s.total / len(silences)
        sweeps_s = tick_s * (np.arange(SWEEPS) + 0.5) / SWEEPS
        low, high = float(ends[0]), float(silences[-1]) + tick_s
        while high - low > PRECISION_S:
            middle = (low + high) / 2
            limit_s = middle - sweeps_s
            more = (repeated * self.silence_s.over(limit_s) - self.ends_s.over(limit_s)).mean() / self.up_s
            low, high = (middle, high) if more >= 1 - share else (low, middle)
        return low


@dataclass(frozen=True)
class Qos:
    """How good each of k policies would have been, over S groups of sites and B blocks of time (see `sites`).

    Attributes:
        stale_after_s: the silence that each policy allows, s; NaN if it varies; shape (k,).
        varying_left_s: where it varies, the quantiles SHARES of the time left (`TimeLeft`), s; else NaN; shape (k, 3).
        up_s: time for which nodes were up and watched, s; shape (S, B).
        distinct: times that a node was marked stale while up, of policies that differ in more than the flap rule;
            shape (S, B, j).
        column: which of these j each policy has; shape (k,), as the next five.
        independent: whether sites are known to share nothing.
        mistake_s: how long nodes were stale while up, s.
        flaps: changes between online and stale, true ones among them.
        flashes: changes of status of nodes that were not flapping at that moment.
        entries: times that a node began to be flapping.
        flapping_nodes: nodes that were flapping at least once.
        up_gaps_s: how long a node was up in each gap, s.
        transit_s: time that a message usually takes to the hub, s: the median node's.
        duration_s: of the run, s.
        gap_counts: how many gaps each of `up_gaps_s` stands for, if blocks were added up (`summed`); None: one.
    """

    stale_after_s: Floats
    varying_left_s: Floats
    up_s: Floats
    distinct: NDArray[np.int32]
    column: Counts
    independent: bool
    mistake_s: Floats
    flaps: Counts
    flashes: Counts
    entries: Counts
    flapping_nodes: Counts
    up_gaps_s: Floats
    transit_s: float
    duration_s: float
    gap_counts: Floats | None = None

    @cached_property
    def time_left(self) -> TimeLeft:
        """Time left if no silence is allowed; sorts the gaps on first use."""
        return TimeLeft.of(0.0, self.up_gaps_s, self.gap_counts)

    @property
    def mistakes(self) -> NDArray[np.int32]:
        """Times that a node was marked stale while up; shape (S, B, k)."""
        is_whole = np.array_equal(self.column, np.arange(self.distinct.shape[-1]))
        return self.distinct if is_whole else self.distinct.take(self.column, axis=-1)

    @property
    def node_days(self) -> float:
        """Time for which nodes were up and watched, node-days."""
        return float(self.up_s.sum()) / DAY_S

    def detection_s(self, share: float) -> Floats:
        """Return a quantile, one of SHARES, of the detection time over power losses at uniform times, s; shape (k,)."""
        left_s = self.varying_left_s[:, SHARES.index(share)]
        varies = np.isnan(self.stale_after_s)
        if not varies.all():
            left_s = np.where(varies, left_s, self.stale_after_s + self.time_left.quantile(share, TICK_S))
        return np.maximum(left_s + self.transit_s, 0.0)

    def frame(self) -> pd.DataFrame:
        """Return one row per policy; a figure that needs a mistake is NaN if none was seen."""
        mistakes, mistake_s, up_s = self.distinct.sum((0, 1))[self.column], self.mistake_s, self.up_s.sum()
        with np.errstate(divide="ignore", invalid="ignore"):
            return pd.DataFrame(
                {
                    "stale_after_s": self.stale_after_s,
                    "false_stale": mistakes,
                    "false_stale_per_node_day": mistakes / self.node_days,
                    "mistake_duration_s": mistake_s / mistakes,
                    "mistake_recurrence_s": np.where(mistakes, up_s / mistakes, np.nan),
                    "query_accuracy": 1 - mistake_s / up_s,
                    "detection_p50_s": self.detection_s(0.50),
                    "detection_p90_s": self.detection_s(0.90),
                    "detection_p99_s": self.detection_s(0.99),
                    "flaps_per_node_hour": self.flaps / (up_s / 3600),
                    "flaps_per_hour": self.flaps / (self.duration_s / 3600),
                    "flashes_per_hour": self.flashes / (self.duration_s / 3600),
                    "flapping_entries": self.entries,
                    "flapping_nodes": self.flapping_nodes,
                }
            )


def judge(
    gaps: Gaps,
    policies: Sequence[PolicySpec],
    duration_s: float,
    cells: Cells | None = None,
    rules: AbsenceRules = BY_DEFAULT,
) -> Qos:
    """Judge policies on the same gaps.

    Args:
        gaps: all gaps of the trace, or those of some nodes (`Gaps.of`).
        policies: the policy of each hub.
        duration_s: duration of the run, s.
        cells: grid in which mistakes are counted; None: each node is its own site, and what they share is unknown.
        rules: how the hubs move deadlines after an absence.

    Raises:
        AnalysisError: a detector has no array form, or `gaps` lacks what it needs.
    """
    cells = cells or cells_of(gaps.node, duration_s)
    passes = Passes(gaps, policies, cells, rules)
    whole = gaps.watched_s() == gaps.up_s if len(gaps.absences.to_s) else slice(None)
    stale_after_s, left_s = np.full(len(policies), np.nan), np.full((len(policies), len(SHARES)), np.nan)
    constant: list[tuple[float, list[int]]] = []
    for alike in alike_in_detector(policies):
        silence = allowed_silence(policies[alike[0]], gaps.arrivals)
        if isinstance(silence, np.ndarray):
            passes.take([(np.nan, alike)], silence)
            left = TimeLeft.of(silence[whole], gaps.up_s[whole])
            left_s[alike] = [left.quantile(share, TICK_S) for share in SHARES]
        else:
            constant.append((silence, alike))
            stale_after_s[alike] = silence
    if constant:
        passes.take(constant, np.zeros(0))
    return Qos(
        stale_after_s=stale_after_s,
        varying_left_s=left_s,
        independent=cells.independent,
        **passes.results(),
        up_gaps_s=gaps.up_s[whole],
        transit_s=float(np.median(gaps.transit_s)) if len(gaps.transit_s) else 0.0,
        duration_s=duration_s,
    )
