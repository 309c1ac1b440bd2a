"""The ladder: the gap at the hub that an outage of a given length causes, by the TCP model alone.

A node sends one heartbeat per interval over a link with no loss, no jitter and one outage. TCP retransmits with a
doubling timeout, and the first attempt after the outage delivers the heartbeats, so the gap at the hub grows in steps.
The positions of the steps depend on the kernel's timers, whose granularity depends on the time since boot: the gap is
the median over BOOTS boots.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil

import numpy as np
import pandas as pd

from heartbench.analysis.errors import AnalysisError
from heartbench.simulator.connection import make_connection
from heartbench.simulator.link import LINK, LINK_STATE, make_link, partition
from heartbench.simulator.node import BEHAVIOUR, MAX_WAITING_CHUNKS, START, Events, make_node
from heartbench.simulator.session import follow, make_rows, run

BOOTS = 15
MIN_INTERVAL_S = 0.01
LONGEST_S = 86_400.0
MOST_HEARTBEATS = 1_000_000
MAX_RTT_S = 10.0  # connecting takes two, and gRPC allows an attempt 20 s
MSS_BYTES = 1368  # on WireGuard's usual MTU of 1420
BACKOFF_S, BACKOFF_MULTIPLIER, BACKOFF_MAX_S = 1.0, 1.6, 120.0  # gRPC's (doc/connection-backoff.md)


@dataclass(frozen=True, slots=True)
class Ladder:
    """A node and its link. Times are in s; `warmup` heartbeats are acknowledged first; user timeout 0: off."""

    rtt_s: float
    interval_s: float
    warmup: int = 14
    user_timeout_s: float = 0.0

    def __post_init__(self) -> None:
        """Raise AnalysisError if a time is not positive or too long, or no heartbeat precedes the outage."""
        for name, value in (("--rtt", self.rtt_s), ("--interval", self.interval_s)):
            if value <= 0:
                raise AnalysisError(f"{name}: {value:g} s: must be more than 0 s")
        if not MIN_INTERVAL_S <= self.interval_s <= LONGEST_S:
            raise AnalysisError(f"--interval: {self.interval_s:g} s: expected {MIN_INTERVAL_S:g} s to {LONGEST_S:g} s")
        if self.rtt_s >= MAX_RTT_S:
            raise AnalysisError(f"--rtt: {self.rtt_s:g} s: too slow to connect; expected less than {MAX_RTT_S:g} s")
        if not 1 <= self.warmup <= MOST_HEARTBEATS:
            raise AnalysisError(f"--warmup: {self.warmup}: must be at least 1 and at most {MOST_HEARTBEATS:,}")

    def rto_s(self) -> float:
        """Return the retransmission timeout when the outage begins, s."""
        node = _Node(self, boot=0)
        node.live_until(node.outage_from(0.5))
        return float(node.connection.up.rto_s)

    def gap_s(self, outage_s: float, phase: float) -> float:
        """Return the longest gap between messages at the hub, s; NaN if no message follows the outage.

        The outage begins at `phase`, 0 to 1, within the heartbeat interval.

        Raises:
            AnalysisError: an argument is out of range, or nothing arrives before the outage.
        """
        longest_s = min(LONGEST_S, MOST_HEARTBEATS * self.interval_s)
        if not 0 <= outage_s <= longest_s:
            raise AnalysisError(
                f"--outages: {outage_s:g} s: must not be negative, nor longer than {longest_s:g} s at this --interval"
            )
        if not 0 <= phase <= 1:
            raise AnalysisError(f"--phases: {phase:g}: must lie between 0 and 1")
        return float(np.median([_Node(self, boot, outage_s).gap_s(phase) for boot in range(BOOTS)]))

    def heartbeats(self, outage_s: float, phase: float) -> pd.DataFrame:
        """Return the heartbeats around an outage: sent_s and arrived_s, s since the outage began (NaN: never)."""
        node = _Node(self, boot=0, outage_s=outage_s)
        node.gap_s(phase)
        used, begins = slice(node.rows.used[0]), node.outage_from(phase)
        times = {"sent_s": node.rows.sent_s[used] - begins, "arrived_s": node.rows.arrived_s[used] - begins}
        sent = pd.DataFrame(times)
        return sent[sent.sent_s.between(-3 * self.interval_s, 3 * outage_s + 3 * self.interval_s)].reset_index(
            drop=True
        )

    def rows(self, outages_s: Sequence[float], phases: Sequence[float]) -> pd.DataFrame:
        """Return the gaps as a frame: outage_s, phase, gap_s."""
        cells = [(outage, phase, self.gap_s(outage, phase)) for outage, phase in product(outages_s, phases)]
        return pd.DataFrame(cells, columns=["outage_s", "phase", "gap_s"])


class _Node:
    """One node on a link without loss or jitter, from its first connection on."""

    def __init__(self, ladder: Ladder, boot: int, outage_s: float = 0.0) -> None:
        self._ladder = ladder
        self._outage_s = outage_s
        behaviour = np.zeros(1, BEHAVIOUR).view(np.recarray)
        behaviour[0].heartbeat_interval_s = ladder.interval_s
        behaviour[0].backoff_initial_s = BACKOFF_S
        behaviour[0].backoff_multiplier = BACKOFF_MULTIPLIER
        behaviour[0].backoff_max_s = BACKOFF_MAX_S
        behaviour[0].rules.ping_timeout_s = np.inf
        behaviour[0].rules.user_timeout_s = ladder.user_timeout_s
        behaviour[0].rules.hub_user_timeout_s = ladder.user_timeout_s
        profile = np.zeros(1, LINK).view(np.recarray)
        profile[0].base_s[:] = ladder.rtt_s / 2
        profile[0].jitter_correlation_s = 1.0
        profile[0].mss_bytes = MSS_BYTES
        self.node = make_node(behaviour, 0, boot)
        self.connection = make_connection(behaviour["rules"])
        self.link = make_link(profile, [], seed=0, node=boot)
        self.rows = make_rows(ceil(self._end_s(1.0) / ladder.interval_s) + 2 * MAX_WAITING_CHUNKS)
        self._events = Events(np.zeros(1), np.array([START]))

    def outage_from(self, phase: float) -> float:
        """Return when the outage begins, s: `phase` of an interval after the last heartbeat of the warm-up."""
        return (self._ladder.warmup + phase) * self._ladder.interval_s

    def _end_s(self, phase: float) -> float:
        return self.outage_from(phase) + 3 * self._outage_s + 4 * BACKOFF_MAX_S

    def live_until(self, until: float) -> None:
        while run(self.node, self.connection, self.link, self._events, self.rows, until) < until:
            old_link = np.zeros(1, LINK_STATE).view(np.recarray)
            old_link[0] = self.link
            follow(self.connection, old_link[0], self.rows, until)

    def gap_s(self, phase: float) -> float:
        begins = self.outage_from(phase)
        partition(self.link, np.array([[begins, begins + self._outage_s]]))
        self.live_until(self._end_s(phase))
        arrived_s = self.rows.arrived_s[: self.rows.used[0]]
        arrived_s = np.sort(arrived_s[~np.isnan(arrived_s)])
        last_before = np.searchsorted(arrived_s, begins) - 1
        if last_before < 0:
            raise AnalysisError(
                f"--warmup: {self._ladder.warmup}: nothing arrived before the outage; use more heartbeats or a "
                "longer --interval"
            )
        gaps = np.diff(arrived_s[last_before:])
        return float(gaps.max()) if len(gaps) else float("nan")
