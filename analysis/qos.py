"""How good each of k policies would have been on one trace: false stales, detection time, flaps and flashes.

The measures are those of Chen, Toueg and Aguilera, "On the quality of service of failure detectors" (IEEE Transactions
on Computers 51(5), May 2002, sections 2.2 and 2.3). If the policy allows the silence τ after a sign of life, a gap of
length g makes a hub mark the node stale τ after the gap's start, for g − τ. That is a *mistake* if the node was up at
that moment. Of the mistakes:

    T_M   their mean duration              λ_M = mistakes / time up = 1 / E(T_MR)        (Theorem 1)
    T_MR  mean time from one to the next   P_A = E(T_G) / E(T_MR) = 1 − E(T_M) / E(T_MR) (Theorem 1)

Detection time T_D: the power fails at time t. What was sent by then still arrives, one transit later (δ); let the last
sign of life have the age a at t + δ. The deadline passes at t + δ + τ − a, and the next sweep of the hub, at a uniform
time u within a tick, finds it, unless the node was stale before: T_D = max(τ + δ + u − a, 0). With a constant τ the age
at a uniform time has P(a < x) = Σ min(g, x) / Σ g over the gaps of nodes that are up; else the time left, τ − a, has
P(τ − a > y) = Σ [(τ − y)⁺ − (τ − g − y)⁺] / Σ g.

Time in which the hub was away is no node's silence: `absences` computes how it moves deadlines. It counts neither as
time up nor as time stale, and detection times are those of a hub that is there.

One pass over the gaps (`watch`) judges all policies; `tune` chooses between them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heartbench.analysis.absences import BY_DEFAULT, AbsenceRules
from heartbench.analysis.gaps import Gaps
from heartbench.analysis.policies.array_forms import Silence, allowed_silence
from heartbench.analysis.sites import Cells, cells_of
from heartbench.analysis.watch import watch, watchers
from heartbench.hub.liveness.policy import PolicySpec
from heartbench.hub.liveness.self_health import TICK_S

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

DAY_S = 86400.0
SWEEPS = 16  # moments within a tick for which a detection time is computed
PRECISION_S = 1e-6


@dataclass(frozen=True, slots=True)
class Ages:
    """Age of a node's last sign of life at a uniform time while it was up, s."""

    lengths_s: Floats
    sums_s: Floats

    @classmethod
    def of(cls, up_s: Floats) -> "Ages":
        """From the gaps' lengths, in any order."""
        lengths = np.sort(up_s)
        return cls(lengths, np.concatenate([[0.0], np.cumsum(lengths)]))

    def share_below(self, age_s: Floats) -> Floats:
        """Return the share of the time up in which the age is less than each of `age_s`."""
        x = np.maximum(age_s, 0.0)
        row = np.searchsorted(self.lengths_s, x)
        below: Floats = (self.sums_s[row] + (len(self.lengths_s) - row) * x) / self.sums_s[-1]  # Σ min(g, x) / Σ g
        return below

    def quantile(self, share: float, beat_s: float) -> float:
        """Return the quantile of the age less a uniform time within `beat_s`, s; NaN if no node was ever up."""
        if not self.sums_s[-1]:
            return np.nan
        sweeps_s = beat_s * (np.arange(SWEEPS) + 0.5) / SWEEPS
        low, high = -beat_s, float(self.lengths_s[-1])
        while high - low > PRECISION_S:
            middle = (low + high) / 2
            if self.share_below(middle + sweeps_s).mean() < share:
                low = middle
            else:
                high = middle
        return high


def time_left_quantile(silence_s: Floats, up_s: Floats, share: float, tick_s: float) -> float:
    """Return the quantile of the time left to the deadline plus a uniform time within a tick, s.

    The time left is that at a uniform time while the node was up: negative if the deadline has passed. `silence_s` is
    allowed after the start of each gap, of which the node was up for `up_s`. NaN if no node was ever up.
    """
    some = up_s > 0
    if not some.any():
        return np.nan
    ends_s = silence_s[some] - up_s[some]
    first, last = Excess.of(silence_s[some]), Excess.of(ends_s)
    sweeps_s = tick_s * (np.arange(SWEEPS) + 0.5) / SWEEPS
    low, high, total_s = float(ends_s.min()), float(silence_s[some].max()) + tick_s, float(up_s[some].sum())
    while high - low > PRECISION_S:
        middle = (low + high) / 2
        more = (first.over(middle - sweeps_s) - last.over(middle - sweeps_s)).mean() / total_s
        low, high = (middle, high) if more > 1 - share else (low, middle)
    return high


@dataclass(frozen=True, slots=True)
class Excess:
    """By how much values exceed a limit, in total: Σ (v − y)⁺."""

    ascending: Floats
    sums_above: Floats

    @classmethod
    def of(cls, values: Floats) -> "Excess":
        """Return it for the values, in any order."""
        ascending = np.sort(values)
        return cls(ascending, np.append(np.cumsum(ascending[::-1])[::-1], 0.0))

    def over(self, limit: Floats) -> Floats:
        """Return the total excess over each limit."""
        row = np.searchsorted(self.ascending, limit)
        excess: Floats = self.sums_above[row] - limit * (len(self.ascending) - row)
        return excess


@dataclass(frozen=True)
class Qos:
    """How good each of k policies would have been, over S groups of sites and B blocks of time (see `sites`).

    Attributes:
        silences: what each policy allows after a sign of life, s: one number, or one for each of `up_gaps_s`.
        up_s: time for which nodes were up and watched, s; shape (S, B).
        mistakes: times that a node was marked stale while up; shape (S, B, k).
        independent: whether sites are known to share nothing.
        mistake_s: how long nodes were stale while up, s; shape (k,), as the next four.
        flaps: changes between online and stale, true ones among them.
        flashes: changes of status of nodes that were not flapping at that moment.
        entries: times that a node began to be flapping.
        flapping_nodes: nodes that were flapping at least once.
        up_gaps_s: how long a node was up in each gap, s.
        transit_s: time that a message usually takes to the hub, s: the median node's.
        duration_s: of the run, s.
    """

    silences: tuple[Silence, ...]
    up_s: Floats
    mistakes: NDArray[np.int32]
    independent: bool
    mistake_s: Floats
    flaps: Counts
    flashes: Counts
    entries: Counts
    flapping_nodes: Counts
    up_gaps_s: Floats
    transit_s: float
    duration_s: float

    @cached_property
    def ages(self) -> Ages:
        """Age of the last sign of life at a uniform time; sorts the gaps on first use."""
        return Ages.of(self.up_gaps_s[self.up_gaps_s > 0])

    @property
    def node_days(self) -> float:
        """Time for which nodes were up and watched, node-days."""
        return float(self.up_s.sum()) / DAY_S

    @property
    def stale_after_s(self) -> Floats:
        """The thresholds, s; NaN if the silence that a policy allows varies; shape (k,)."""
        return np.array([np.nan if isinstance(each, np.ndarray) else each for each in self.silences])

    def detection_s(self, share: float) -> Floats:
        """Return the quantile of the detection time over power losses at uniform times, s; shape (k,)."""
        varying = [isinstance(each, np.ndarray) for each in self.silences]
        detection_s = self.stale_after_s + self.transit_s
        if not all(varying):
            detection_s -= self.ages.quantile(1 - share, TICK_S)
        for k in np.flatnonzero(varying):
            left_s = time_left_quantile(np.asarray(self.silences[k]), self.up_gaps_s, share, TICK_S)
            detection_s[k] = left_s + self.transit_s
        return np.maximum(detection_s, 0.0)

    def frame(self) -> pd.DataFrame:
        """Return one row per policy; a figure that needs a mistake is NaN if none was seen."""
        mistakes, mistake_s, up_s = self.mistakes.sum((0, 1)), self.mistake_s, self.up_s.sum()
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
        policies: how the hubs judge, one each.
        duration_s: of the run, s.
        cells: where mistakes are counted; None: each node is a site of its own, and what they share is not known.
        rules: how the hubs move deadlines after an absence; without absences not needed.

    Raises:
        AnalysisError: a detector has no array form, or `gaps` lacks what it needs.
    """
    cells = cells or cells_of(gaps.node, duration_s)
    silences = [allowed_silence(policy, gaps.arrivals) for policy in policies]
    hubs, recent, varying_s = watchers(silences, [policy.flap_rule for policy in policies])
    up_s, mistake_s = np.zeros((cells.rows, cells.blocks)), np.zeros(len(hubs))
    mistakes = np.zeros((*up_s.shape, len(hubs)), np.int32)
    silent = gaps.start_s, gaps.length_s, gaps.up_s, gaps.heard, gaps.away, gaps.absences, rules
    rows, found = cells.rows_of(gaps.node), (up_s, mistakes, mistake_s)
    watch(gaps.first, *silent, rows, cells.block_s, hubs, recent, varying_s, *found)
    hubs = hubs[np.argsort(hubs.column)]
    whole = gaps.watched_s() == gaps.up_s if len(gaps.absences.to_s) else slice(None)
    return Qos(
        silences=tuple(each[whole] if isinstance(each, np.ndarray) else each for each in silences),
        up_s=up_s,
        mistakes=mistakes,
        independent=cells.independent,
        mistake_s=mistake_s,
        flaps=hubs.flaps.copy(),
        flashes=hubs.flashes.copy(),
        entries=hubs.entries.copy(),
        flapping_nodes=hubs.flapping_nodes.copy(),
        up_gaps_s=gaps.up_s[whole],
        transit_s=float(np.median(gaps.transit_s)) if len(gaps.transit_s) else 0.0,
        duration_s=duration_s,
    )
