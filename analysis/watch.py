"""One pass over the gaps of a trace as hubs with k policies: which gaps make a node stale, and which changes flash.

A gap makes a node stale if it is longer than the silence that the policy allows after the sign of life which begins it.
Policies that differ in nothing but the flap rule make the same changes: they share a *judgement*, a detector with a
hold-down. For each node, only the gaps that are longer than the shortest silence are looked at (and those that a
Goodbye begins or an absence of the hub touches); judgements are in the order of the silence that they allow, and each
passes on to the next what is longer than its own. So the time goes with the stale marks, not with gaps times policies.

A hold-down keeps a node stale beyond the gap. It walks on from gap to gap until the node is online.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.absences import AbsenceRules, Absences, allowed_s, away_between
from heartbench.analysis.flap_kernel import follow
from heartbench.hub import HoldDown
from heartbench.simulator.kernel import kernel, part
from heartbench.simulator.record import Record, dtype_of

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


class Silences(NamedTuple):
    """Gaps as the kernel takes them, see `Gaps`; `row` is each node's row of the results."""

    first: Counts
    start_s: Floats
    length_s: Floats
    up_s: Floats
    heard: NDArray[np.bool_]
    away: NDArray[np.bool_]
    row: Counts


class Away(NamedTuple):
    """When the hub was away, and how it moves deadlines then."""

    absences: Absences
    rules: AbsenceRules


class Found(NamedTuple):
    """Results by row, block of time and judgement, which the kernel adds to: see `up_s` and so on of `Qos`."""

    up_s: Floats
    mistakes: NDArray[np.int32]
    mistake_s: Floats
    flaps: Counts


class Judgement(Record):
    """A detector with a hold-down, and the watchers of its changes: `first` to `last`."""

    silence_s: float  # allowed after every arrival, unless it varies
    column: int  # in the results
    first: int
    last: int
    heartbeats: int
    seconds: float


class Work(NamedTuple):
    """Working space for one node: gaps to look at and the absence that touches each (or -1); its changes and flaps."""

    gap: Counts
    absence: Counts
    at_s: Floats
    is_flap: NDArray[np.bool_]
    flap_s: Floats

    @classmethod
    def of(cls, first: Counts) -> "Work":
        """Return it for the node with the most gaps."""
        most = int(np.max(np.diff(first), initial=0))
        gap, absence = np.zeros(most, np.int64), np.zeros(most, np.int64)
        return cls(gap, absence, np.zeros(2 * most), np.zeros(2 * most, np.bool_), np.zeros(2 * most))


def judgements_of(silences_s: Sequence[float], hold_downs: Sequence[HoldDown], watched: Sequence[int]) -> Any:
    """Return records of Judgement, one a column, by the silence that each allows; `watched` is its number of rules."""
    found: Any = np.zeros(len(silences_s), dtype_of(Judgement)).view(np.recarray)
    found.silence_s, found.column = silences_s, np.arange(len(silences_s))
    found.last = np.cumsum(watched)
    found.first = found.last - watched
    found.heartbeats = [each.heartbeats for each in hold_downs]
    found.seconds = [each.seconds for each in hold_downs]
    return found[np.argsort(found.silence_s, kind="stable")]


@kernel
def watch(
    gaps: Silences,
    away: Away,
    block_s: float,
    judgements: Any,
    varying_s: Floats,
    watchers: Any,
    work: Work,
    found: Found,
) -> None:
    """Walk through the gaps by each judgement; add to `watchers` and `found`.

    `varying_s` is the silence allowed after each arrival, by all judgements; with none, each has its own. A gap counts
    in the block of time in which it begins.
    """
    for node in range(len(gaps.first) - 1):
        left = select(gaps, node, away, block_s, judgements[0].silence_s, varying_s, work, found)
        for j in range(len(judgements)):
            if left == 0:
                break
            judgement = judgements[j]
            left = shorten(gaps, judgement.silence_s, varying_s, work, left)
            changes = change(gaps, node, away, block_s, judgement, varying_s, work, left, found)
            for k in range(judgement.first, judgement.last):
                follow(watchers[k], work.at_s, work.is_flap, changes, work.flap_s)


@kernel
def select(
    gaps: Silences, node: int, away: Away, block_s: float, shortest_s: float, varying_s: Floats, work: Work,
    found: Found,
) -> int:  # fmt: skip
    """List the gaps of a node that may matter, and return their number; add up the time for which it was up."""
    absences, absence, count = away.absences, 0, 0
    row, blocks = gaps.row[node], found.up_s.shape[1]
    for gap in range(gaps.first[node], gaps.first[node + 1]):
        start, length, up = gaps.start_s[gap], gaps.length_s[gap], gaps.up_s[gap]
        while absence < len(absences.to_s) and absences.to_s[absence] <= start:
            absence += 1
        touched = absence < len(absences.to_s) and absences.from_s[absence] < start + length
        block = block_of(start, block_s, blocks)
        found.up_s[row, block] += up
        if touched:
            found.up_s[row, block] -= away_between(absences, absence, start, start + up)
        silence = varying_s[gap] if len(varying_s) else shortest_s
        if length > silence or touched or gaps.away[gap]:
            work.gap[count], work.absence[count] = gap, absence if touched else -1
            count += 1
    return count


@kernel
def block_of(start: float, block_s: float, blocks: int) -> int:
    """Return the block of time in which a gap begins."""
    return min(max(int(start / block_s), 0), blocks - 1)


@kernel
def shorten(gaps: Silences, silence_s: float, varying_s: Floats, work: Work, count: int) -> int:
    """Keep in the list what matters to this judgement and the next ones, and return their number."""
    kept = 0
    for i in range(count):
        gap = work.gap[i]
        if len(varying_s) or gaps.length_s[gap] > silence_s or work.absence[i] >= 0 or gaps.away[gap]:
            work.gap[kept], work.absence[kept] = gap, work.absence[i]
            kept += 1
    return kept


@kernel
def change(
    gaps: Silences, node: int, away: Away, block_s: float, judgement: Judgement, varying_s: Floats, work: Work,
    count: int, found: Found,
) -> int:  # fmt: skip
    """List the changes of a node by one judgement, and return their number; count mistakes and flaps."""
    changes, flaps, done = 0, 0, gaps.first[node]  # a hold-down walked through the gaps before `done`
    row, column, blocks = gaps.row[node], judgement.column, found.up_s.shape[1]
    holds = judgement.heartbeats > 1 or judgement.seconds > 0
    for i in range(count):
        gap = work.gap[i]
        start, length, up = gaps.start_s[gap], gaps.length_s[gap], gaps.up_s[gap]
        if gap < done:
            continue
        if gaps.away[gap]:
            changes = add(work, changes, start, False)
            if gaps.heard[gap]:
                changes = add(work, changes, start + length, False)
            continue
        silence = varying_s[gap] if len(varying_s) else judgement.silence_s
        first = work.absence[i]
        if first >= 0:
            silence = allowed_s(silence, start, start + length, away.absences, away.rules, first)
        if silence >= length:
            continue
        work.flap_s[flaps] = start + silence
        flaps += 1
        changes = add(work, changes, start + silence, True)
        last, held_s, is_back = gap, 0.0, gaps.heard[gap] and not gaps.away[gap + 1]  # after Goodbye it is offline
        if holds and is_back:
            last, held_s, is_back = hold_down(gaps, gap, away, judgement, varying_s)
        if silence < up:
            found.mistakes[row, block_of(start, block_s, blocks), column] += 1
            away_s = away_between(away.absences, first, start + silence, start + up) if first >= 0 else 0.0
            found.mistake_s[column] += up - silence - away_s + (held_s if up == length else 0.0)
        done = last + 1
        if is_back:
            work.flap_s[flaps] = gaps.start_s[last] + gaps.length_s[last]
            changes = add(work, changes, work.flap_s[flaps], True)
            flaps += 1
    found.flaps[column] += flaps
    return changes


@part
def add(work: Work, changes: int, at: float, is_flap: bool) -> int:
    """Add a change of the node, and return their number."""
    work.at_s[changes], work.is_flap[changes] = at, is_flap
    return changes + 1


@kernel
def hold_down(gaps: Silences, gap: int, away: Away, judgement: Judgement, varying_s: Floats) -> tuple[int, float, bool]:
    """Walk on from a gap that made a node stale: return the last gap of the walk, the time up, and whether it is back.

    If so, the node is online from the end of that gap on. The time, s, is that after the first gap for which the node
    was up and the hub there, until a power loss.
    """
    absences, signs, since, held_s, up = away.absences, 0, 0.0, 0.0, True
    last = gap
    while gaps.heard[last] and not gaps.away[last + 1]:
        at = gaps.start_s[last] + gaps.length_s[last]
        if signs == 0:
            since = at
        signs += 1
        if signs >= judgement.heartbeats and at - since >= judgement.seconds:
            return last, held_s, True
        last += 1
        length, start = gaps.length_s[last], gaps.start_s[last]
        silence = varying_s[last] if len(varying_s) else judgement.silence_s
        if silence < length or was_restarted(absences, start, start + length):
            signs = 0
        if up:
            held_s += gaps.up_s[last] - away_between(absences, 0, start, start + gaps.up_s[last])
            up = gaps.up_s[last] == length
    return last, held_s, False


@kernel
def was_restarted(absences: Absences, start: float, end: float) -> bool:
    """Return whether the hub was down within a time."""
    for i in range(len(absences.from_s)):
        if absences.is_restart[i] and absences.from_s[i] < end and absences.to_s[i] > start:
            return True
    return False
