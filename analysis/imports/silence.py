"""Silences that a log alone cannot explain: nodes silent at its end, and times in which all nodes were silent.

A node is a suspect if it was silent at the end for more than MUCH of its intervals, and for more than twice the gap
that 99 of 100 of its own do not exceed; a Goodbye explains its silence, and the hub's own absence does not count.

All nodes were silent if nothing arrived for more than LONG of their own intervals while FEWEST nodes or more were
there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.imports.record import Span
from heartbench.analysis.imports.rows import Floats
from heartbench.mesh.kinds import Kind
from heartbench.simulator.trace import Messages

MUCH = 10.0
LONG = 2.5
FEWEST = 3
MOST_BINS = 4_000_000
AT_ONCE_S = 0.01
"""Silence at the end of a log of changes of status that is none."""
SAMPLE = 100_000
"""Gaps of a block from which the median gap of the fleet is taken."""


@dataclass(frozen=True, slots=True)
class Lives:
    """Of each node of a block: number, first and last sign of life, gaps, and whether it said goodbye; times in s."""

    node: NDArray[np.int32]
    first_s: Floats
    last_s: Floats
    median_gap_s: Floats
    long_gap_s: Floats
    away: NDArray[np.bool_]
    gaps_s: Floats
    """Some of the times between heartbeats, of all of them."""


def lives_of(messages: Messages) -> Lives:
    """Return the lives of the nodes of a block; the gaps of a node with one message are NaN.

    The median is that of the times between heartbeats as they were sent, if the log says when: what comes late comes in
    bunches, and so do messages of other kinds.
    """
    order = np.lexsort((messages.arrived_s, messages.node))
    node, at = messages.node[order], messages.arrived_s[order]
    starts = np.flatnonzero(np.append(True, node[1:] != node[:-1])[: len(node)])
    ends = np.append(starts[1:], len(node)) - 1
    beats = messages.select(messages.kind == Kind.HEARTBEAT)
    between_s = np.diff(beats.sent_s)[np.diff(beats.node) == 0]
    return Lives(
        node[starts],
        at[starts],
        at[ends],
        quantile_gap(beats.node, beats.sent_s, 0.5, node[starts]),
        quantile_gap(node, at, 0.99, node[starts]),
        messages.kind[order][ends] == Kind.GOODBYE,
        between_s[:: max(len(between_s) // SAMPLE, 1)],
    )


def quantile_gap(node: NDArray[np.int32], at_s: Floats, share: float, of: NDArray[np.int32]) -> Floats:
    """Return that quantile of the gaps of each of the nodes `of`, s; NaN if it has none. Times are sorted by node."""
    same = np.diff(node) == 0
    gap, owner = np.diff(at_s)[same], node[1:][same]
    gap = gap[np.lexsort((gap, owner))]
    begin, end = (np.searchsorted(owner, of, side=side) for side in ("left", "right"))
    place = begin + np.ceil(share * np.maximum(end - begin - 1, 0)).astype(np.int64)
    padded = np.append(gap, np.nan)
    return np.where(end > begin, padded[np.minimum(place, len(gap))], np.nan)


def joined(lives: Sequence[Lives]) -> Lives:
    """Return the lives of several blocks, by node."""
    columns = {name: np.concatenate([getattr(each, name) for each in lives]) for name in Lives.__slots__}
    order = np.argsort(columns["node"], kind="stable")
    return Lives(**{name: column if name == "gaps_s" else column[order] for name, column in columns.items()})


def suspects_of(
    lives: Lives, end_s: float, interval_s: float, hub_down: Sequence[Span], statuses: bool
) -> NDArray[np.int64]:
    """Return the places in `lives` of nodes that fell silent before the end.

    `statuses`: the log has changes of status, so that a node that was not marked is heard at the end.
    """
    silent_s = end_s - lives.last_s
    for begin_s, until_s in hub_down:
        silent_s -= np.maximum(np.minimum(until_s, end_s) - np.maximum(begin_s, lives.last_s), 0.0)
    if statuses:
        return np.flatnonzero((silent_s > AT_ONCE_S) & ~lives.away)
    median_s = np.where(np.isnan(lives.median_gap_s), interval_s, lives.median_gap_s)
    long_s = np.where(np.isnan(lives.long_gap_s), interval_s, lives.long_gap_s)
    return np.flatnonzero((silent_s > MUCH * np.maximum(median_s, interval_s)) & (silent_s > 2 * long_s) & ~lives.away)


class Occupancy:
    """The first and the last arrival of each stretch of time, of all nodes together."""

    def __init__(self, start_s: float, end_s: float) -> None:
        self._start_s = start_s
        self._width_s = max((end_s - start_s) / MOST_BINS, 1.0)
        bins = int((end_s - start_s) / self._width_s) + 1
        self._first_s, self._last_s = np.full(bins, np.inf), np.full(bins, -np.inf)

    def add(self, at_s: Floats) -> None:
        """Count arrivals."""
        place = ((at_s - self._start_s) / self._width_s).astype(np.int64)
        np.minimum.at(self._first_s, place, at_s)
        np.maximum.at(self._last_s, place, at_s)

    def silences(self, longer_than_s: float) -> list[Span]:
        """Return when nothing arrived for longer than this, s."""
        used = np.isfinite(self._first_s)
        begins, ends = self._last_s[used][:-1], self._first_s[used][1:]
        long = ends - begins > longer_than_s
        return list(zip(begins[long].tolist(), ends[long].tolist(), strict=True))


def all_silent(occupied: Occupancy, lives: Lives, hub_down: Sequence[Span]) -> list[Span]:
    """Return when nothing arrived though nodes were there that should have been heard, outside `hub_down`."""
    usual_s = LONG * np.nan_to_num(lives.median_gap_s, nan=np.inf)
    return [
        (begin_s, end_s)
        for begin_s, end_s in occupied.silences(float(usual_s.min()))
        if np.sum((lives.first_s <= begin_s) & (lives.last_s >= end_s) & (usual_s < end_s - begin_s)) >= FEWEST
        and not any(begin_s < until_s and end_s > from_s for from_s, until_s in hub_down)
    ]
