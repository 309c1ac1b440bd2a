"""A test for shared outages: do long gaps of different nodes coincide more often than chance allows?

A gap is long if its node was up for more than LONG times its usual gap. The statistic is the number of pairs of long
gaps of different nodes that overlap. It is compared with the number after each node's gaps are shifted in time: all
gaps of one node by the same uniform amount, around the circle of the time for which that node was observed. A shift
preserves how often a node is silent, for how long, and how its own gaps cluster; it removes what nodes share.

    p = (1 + shifts with at least as many pairs) / (1 + shifts)

is exact for independent nodes without a daily cycle, except for gaps that are cut at the end (Davison and Hinkley,
"Bootstrap Methods and their Application", 1997, section 4.2). So independent nodes are reported in about LEVEL of all
traces: 8 of 1,000 synthetic ones. An hour that is bad for all nodes is reported like a shared outage. A gap that is
shifted over the end is cut there, like an open gap. Gaps during which the hub was away are left out.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.gaps import Gaps

Floats = NDArray[np.float64]

LEVEL = 0.01
LONG = 3.0
MOST_GAPS = 2000
"""Maximum number of long gaps, the longest first; counting the pairs of this many takes a second."""
SHIFTS = 999
SHIFTS_AT_ONCE = 100
SEED = 1
TINY_S = 1e-6
"""Gaps end this much earlier, so that rounding makes no two gaps of one node overlap."""


@dataclass(frozen=True, slots=True)
class Coincidence:
    """Long gaps that coincide more often than chance allows.

    Attributes:
        gaps: number of long gaps that were compared, of `nodes` nodes.
        pairs: pairs of gaps of different nodes that overlap; `expected_pairs` would if nodes were independent.
        p_value: probability of at least as many pairs if nodes were independent.
    """

    gaps: int
    nodes: int
    pairs: int
    expected_pairs: float
    p_value: float

    @property
    def sentence(self) -> str:
        """The finding in one line."""
        return (
            f"long gaps of different nodes coincide: {self.pairs:,} pairs overlap, about {self.expected_pairs:,.3g} "
            f"would if nodes were independent (p ≤ {self.p_value:.2g}); nodes seem to share outages"
        )


@dataclass(frozen=True, slots=True)
class LongGaps:
    """Long gaps, sorted by node; `row` numbers their nodes from 0, `from_s` is each node's first sign of life, s."""

    row: NDArray[np.int64]
    start_s: Floats
    length_s: Floats
    from_s: Floats
    end_s: float

    def shifted(self, shift: Floats) -> Floats:
        """Return the starts, s, shape (m, n), after shifts by shares of each node's time, shape (m, nodes)."""
        from_s = self.from_s[self.row]
        watched_s = self.end_s - from_s
        return from_s + (self.start_s - from_s + shift[:, self.row] * watched_s) % watched_s

    def pairs(self, start_s: Floats) -> NDArray[np.int64]:
        """Return the number of pairs that overlap in each of m arrangements; shape of `start_s`: (m, n)."""
        # Of two gaps that do not overlap, one ends before the other starts. All arrangements lie one after the other.
        arrangements, gaps = start_s.shape
        offset = np.arange(arrangements)[:, None] * 2 * self.end_s
        ends = np.sort(np.minimum(start_s + self.length_s, self.end_s) - TINY_S + offset, axis=1).ravel()
        ended = np.searchsorted(ends, (start_s + offset).ravel(), side="right").reshape(start_s.shape)
        apart = (ended - np.arange(arrangements)[:, None] * gaps).sum(axis=1)
        return np.asarray(gaps * (gaps - 1) // 2 - apart)


def coincidence(gaps: Gaps, seed: int = SEED) -> Coincidence | None:
    """Return how the long gaps of a trace coincide, or None if independent nodes explain it."""
    return coincidence_of(long_gaps(gaps), seed)


def coincidence_of(long: LongGaps, seed: int = SEED) -> Coincidence | None:
    """Return how these long gaps coincide, or None if independent nodes explain it."""
    if len(long.from_s) < 2:
        return None
    observed = int(long.pairs(long.start_s[None, :])[0])
    generator = np.random.Generator(np.random.Philox(seed))
    shifts = generator.random((SHIFTS, len(long.from_s)))
    parts = [shifts[begin : begin + SHIFTS_AT_ONCE] for begin in range(0, SHIFTS, SHIFTS_AT_ONCE)]
    by_chance = np.concatenate([long.pairs(long.shifted(part)) for part in parts])
    p_value = (1 + int((by_chance >= observed).sum())) / (1 + SHIFTS)
    if p_value > LEVEL:
        return None
    return Coincidence(len(long.row), len(long.from_s), observed, float(by_chance.mean()), p_value)


def long_gaps(gaps: Gaps) -> LongGaps:
    """Return the long gaps during which the hub was up, at most MOST_GAPS."""
    counts = np.diff(gaps.first)
    node = np.repeat(np.arange(len(gaps.node)), counts)
    is_long = (gaps.up_s > LONG * usual_gaps_s(gaps, node)[node]) & (gaps.watched_s() == gaps.up_s)
    chosen = np.flatnonzero(is_long)
    if len(chosen) > MOST_GAPS:
        chosen = np.sort(chosen[np.argsort(-gaps.up_s[chosen], kind="stable")[:MOST_GAPS]])
    nodes, row = np.unique(node[chosen], return_inverse=True)
    return LongGaps(
        row=row,
        start_s=gaps.start_s[chosen],
        length_s=gaps.up_s[chosen],
        from_s=gaps.start_s[gaps.first[nodes]],
        end_s=float((gaps.start_s + gaps.length_s).max(initial=0.0)),
    )


def join_long_gaps(first: LongGaps, second: LongGaps) -> LongGaps:
    """Return the long gaps of two blocks of nodes of one trace, at most MOST_GAPS."""
    row = np.append(first.row, len(first.from_s) + second.row)
    start_s, length_s = np.append(first.start_s, second.start_s), np.append(first.length_s, second.length_s)
    from_s, end_s = np.append(first.from_s, second.from_s), max(first.end_s, second.end_s)
    chosen = np.sort(np.argsort(-length_s, kind="stable")[:MOST_GAPS])
    nodes, kept = np.unique(row[chosen], return_inverse=True)
    return LongGaps(kept, start_s[chosen], length_s[chosen], from_s[nodes], end_s)


def usual_gaps_s(gaps: Gaps, node: NDArray[np.int64]) -> Floats:
    """Return the median gap of each node, s; `node` is the row of each gap's node."""
    sorted_s = gaps.length_s[np.lexsort((gaps.length_s, node))]
    return np.asarray(sorted_s[(gaps.first[:-1] + gaps.first[1:]) // 2])
