"""What hubs set in different ways would have said about one trace, and how good that would have been.

The measures are those of Chen, Toueg and Aguilera, "On the quality of service of failure detectors" (IEEE Transactions
on Computers 51(5), May 2002, sections 2.2 and 2.3). With a threshold τ, a gap of length g makes a hub call the node
stale τ after the gap's start, for g − τ. That is a *mistake* if the node was up at that moment. Of the mistakes:

    T_M   their mean duration              λ_M = mistakes / time up = 1 / E(T_MR)        (Theorem 1)
    T_MR  mean time from one to the next   P_A = E(T_G) / E(T_MR) = 1 − E(T_M) / E(T_MR) (Theorem 1)

Detection time T_D: the power fails at time t. What was sent by then still arrives, one transit later (δ); let the last
sign of life have the age a at t + δ. The deadline passes at t + δ + τ − a, and the next sweep of the hub, at a uniform
time u within a beat, finds it, unless the node was stale before: T_D = max(τ + δ + u − a, 0). The age at a uniform time
has P(a < x) = Σ min(g, x) / Σ g over the gaps of nodes that are up.

Time in which the hub was away is no node's silence: `absences` says how it moves deadlines. It counts neither as time
up nor as time stale, and detection times are those of a hub that is there.

Flaps, flapping and flashes follow the hub's own rules (`HubSettings`). All of it is computed in one pass over the gaps;
which setting to choose is not decided here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heartbench.analysis.absences import Absences, allowed_s, away_between
from heartbench.analysis.gaps import Gaps
from heartbench.analysis.sites import Cells, cells_of
from heartbench.hub.config import HubSettings
from heartbench.hub.liveness.self_health import TICK_S
from heartbench.simulator.kernel import kernel

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

DAY_S = 86400.0
SWEEPS = 16  # moments of a beat at which a detection time is looked at
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


@dataclass(frozen=True)
class Qos:
    """How good each of k hub settings would have been, over S groups of sites and B blocks of time (see `sites`).

    Attributes:
        stale_after_s: the thresholds, ascending; shape (k,).
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

    stale_after_s: Floats
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
        """Age of the last sign of life at a uniform time; sorts the gaps when first asked."""
        return Ages.of(self.up_gaps_s[self.up_gaps_s > 0])

    @property
    def node_days(self) -> float:
        """Time for which nodes were up and watched, node-days."""
        return float(self.up_s.sum()) / DAY_S

    def detection_s(self, share: float) -> Floats:
        """Quantile of the detection time over power losses at uniform times, s; shape (k,)."""
        return np.maximum(self.stale_after_s + self.transit_s - self.ages.quantile(1 - share, TICK_S), 0.0)

    def frame(self) -> pd.DataFrame:
        """One row a threshold; what needs a mistake to be known is NaN where none was seen."""
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


def judge(gaps: Gaps, settings: Sequence[HubSettings], duration_s: float, cells: Cells | None = None) -> Qos:
    """Judge hubs of fixed thresholds on the same gaps.

    Args:
        gaps: all gaps of the trace, or those of some nodes (`Gaps.of`).
        settings: the hubs, by ascending `stale_after_s`.
        duration_s: of the run, s.
        cells: where mistakes are counted; None: each node is a site of its own, and what they share is not known.
    """
    cells = cells or cells_of(gaps.node, duration_s)
    hubs, recent = watchers(settings)
    up_s, mistake_s = np.zeros((cells.rows, cells.blocks)), np.zeros(len(hubs))
    mistakes = np.zeros((*up_s.shape, len(hubs)), np.int32)
    silences = gaps.start_s, gaps.length_s, gaps.up_s, gaps.heard, gaps.away, gaps.absences
    watch(gaps.first, *silences, cells.rows_of(gaps.node), cells.block_s, hubs, recent, up_s, mistakes, mistake_s)
    return Qos(
        stale_after_s=hubs.stale_after_s.copy(),
        up_s=up_s,
        mistakes=mistakes,
        independent=cells.independent,
        mistake_s=mistake_s,
        flaps=hubs.flaps.copy(),
        flashes=hubs.flashes.copy(),
        entries=hubs.entries.copy(),
        flapping_nodes=hubs.flapping_nodes.copy(),
        up_gaps_s=gaps.up_s[gaps.watched_s() == gaps.up_s] if len(gaps.absences.to_s) else gaps.up_s,
        transit_s=float(np.median(gaps.transit_s)) if len(gaps.transit_s) else 0.0,
        duration_s=duration_s,
    )


WATCHER = np.dtype(
    [
        ("stale_after_s", np.float64),
        ("window_s", np.float64),
        ("enter", np.int64),
        ("leave", np.int64),
        ("pause_over_s", np.float64),
        ("restart_grace_s", np.float64),
        # of the node that is watched
        ("told", np.int64),
        ("flapping", np.bool_),
        ("was_flapping", np.bool_),
        # of all nodes
        ("flaps", np.int64),
        ("flashes", np.int64),
        ("entries", np.int64),
        ("flapping_nodes", np.int64),
    ],
    align=True,
)
"""A hub as the kernel sees it. One record a hub is ten times as fast as an array a field: calls pass one pointer."""


def watchers(settings: Sequence[HubSettings]) -> tuple[Any, Floats]:
    """The hubs as records of WATCHER, and for each a ring of its last flaps' times (a power of two, no division)."""
    hubs: Any = np.zeros(len(settings), WATCHER).view(np.recarray)
    hubs.stale_after_s = [each.stale_after_s for each in settings]
    hubs.window_s = [each.flap_window_s for each in settings]
    hubs.enter = [each.flap_threshold for each in settings]
    hubs.leave = [each.flap_exit for each in settings]
    hubs.pause_over_s = [each.pause_over_s for each in settings]
    hubs.restart_grace_s = [each.restart_grace_s for each in settings]
    longest = max(each.flap_threshold for each in settings)
    return hubs, np.zeros((len(hubs), 1 << (longest - 1).bit_length()))


@kernel
def watch(
    first: Counts,
    start_s: Floats,
    length_s: Floats,
    up_s: Floats,
    heard: NDArray[np.bool_],
    away: NDArray[np.bool_],
    absences: Absences,
    row: Counts,
    block_s: float,
    hubs: Any,
    recent: Floats,
    watched_s: Floats,
    mistakes: NDArray[np.int32],
    mistake_s: Floats,
) -> None:
    """Walk through the gaps as each of the hubs would; adds to `hubs`, `watched_s`, `mistakes` and `mistake_s`.

    A gap counts in the block of time in which it begins.
    """
    for node in range(len(first) - 1):
        for k in range(len(hubs)):
            begin_node(hubs[k])
        absence = 0
        for gap in range(first[node], first[node + 1]):
            end = start_s[gap] + length_s[gap]
            while absence < len(absences.to_s) and absences.to_s[absence] <= start_s[gap]:
                absence += 1
            is_excused = absence < len(absences.to_s) and absences.from_s[absence] < end
            block = min(max(int(start_s[gap] / block_s), 0), watched_s.shape[1] - 1)
            watched_s[row[node], block] += up_s[gap]
            if is_excused:
                watched_s[row[node], block] -= away_between(absences, absence, start_s[gap], start_s[gap] + up_s[gap])
            if away[gap]:
                for k in range(len(hubs)):
                    leave_and_return(hubs[k], recent[k], start_s[gap], end, heard[gap])
                continue
            k = 0
            while k < len(hubs) and (is_excused or hubs[k].stale_after_s < length_s[gap]):
                stale = hubs[k].stale_after_s
                if is_excused:
                    stale = allowed_s(hubs[k], start_s[gap], end, absences, absence)
                if stale < length_s[gap]:
                    if stale < up_s[gap]:
                        away_s = away_between(absences, absence, start_s[gap] + stale, start_s[gap] + up_s[gap])
                        mistakes[row[node], block, k] += 1
                        mistake_s[k] += up_s[gap] - stale - away_s
                    flap(hubs[k], recent[k], start_s[gap] + stale)
                    if heard[gap] and not away[gap + 1]:  # a Goodbye takes a stale node offline: no flap
                        flap(hubs[k], recent[k], end)
                k += 1


@kernel
def begin_node(hub: Any) -> None:
    """Forget the flaps of the node before."""
    hub.told = 0
    hub.flapping = False
    hub.was_flapping = False


@kernel
def leave_and_return(hub: Any, recent: Floats, left: float, returned: float, heard: bool) -> None:
    """Count the flashes of a Goodbye and of the Hello after it."""
    settle(hub, recent, left)
    hub.flashes += not hub.flapping
    if heard:
        settle(hub, recent, returned)
        hub.flashes += not hub.flapping


@kernel
def flap(hub: Any, recent: Floats, at: float) -> None:
    """Count a change between online and stale."""
    settle(hub, recent, at)
    hub.flaps += 1
    hub.flashes += not hub.flapping
    recent[hub.told & (len(recent) - 1)] = at
    hub.told += 1
    if hub.told >= hub.enter and not hub.flapping:
        hub.flapping = recent[(hub.told - hub.enter) & (len(recent) - 1)] + hub.window_s > at
        hub.entries += hub.flapping
        hub.flapping_nodes += hub.flapping and not hub.was_flapping
        hub.was_flapping |= hub.flapping


@kernel
def settle(hub: Any, recent: Floats, at: float) -> None:
    """End the flapping if fewer than `leave` flaps are remembered at `at`."""
    if hub.flapping:
        hub.flapping = recent[(hub.told - hub.leave) & (len(recent) - 1)] + hub.window_s > at
