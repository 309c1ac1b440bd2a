"""One pass over the gaps of a trace as hubs with k policies: which gaps make a node stale, and which changes flash.

A gap makes a node stale if it is longer than the silence that the policy allows after the sign of life which begins it.
Policies that differ in nothing but the flap rule make the same changes: they share a *judgement*, a detector with a
hold-down. For each node, only the gaps that are longer than the shortest silence are looked at (and those that a
Goodbye begins or an absence of the hub touches); judgements are in the order of the silence that they allow, and each
passes on to the next what is longer than its own. So the time goes with the stale marks, not with gaps times policies.

Most gaps are *plain*: the node was up all the time and was heard again, and the hub was there. A plain gap is a mistake
of all judgements up to the last that does not allow it. It is counted there alone, and the sums over the later
judgements, formed at the end, give the mistakes of each (`Found.mistakes`).

A hold-down keeps a node stale beyond the gap. It walks on from gap to gap until the node is online.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.absences import AbsenceRules, Absences, allowed_s, away_between
from heartbench.analysis.flap_kernel import Changes, follow
from heartbench.hub import HoldDown
from heartbench.simulator.kernel import kernel, part
from heartbench.simulator.record import Record, dtype_of

PLAIN, OTHER = -2, -1  # of gaps that no absence touches

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
    """Results by row, block of time and judgement, which the kernel adds to: see `up_s` and so on of `Qos`.

    The mistakes of a judgement are the sum of `mistakes` from it on.
    """

    up_s: Floats
    mistakes: NDArray[np.int32]
    mistake_s: Floats
    flaps: Counts


class Judgement(Record):
    """A detector with a hold-down, and the watchers of its changes: `first` to `last`."""

    silence_s: float  # allowed after every arrival, unless it varies
    first: int
    last: int
    heartbeats: int
    seconds: float


class Work(NamedTuple):
    """Working space for one node: gaps to look at, the absence that touches each (or PLAIN, OTHER), and its changes."""

    gap: Counts
    absence: Counts
    changes: Changes

    @classmethod
    def of(cls, first: Counts) -> "Work":
        """Return it for the node with the most gaps."""
        most = int(np.max(np.diff(first), initial=0))
        changes = Changes(np.zeros(2 * most), np.zeros(2 * most), np.zeros(2 * most, np.int64))
        return cls(np.zeros(most, np.int64), np.zeros(most, np.int64), changes)


def judgements_of(silences_s: Sequence[float], hold_downs: Sequence[HoldDown], watched: Sequence[int]) -> Any:
    """Return records of Judgement, by the silence that each allows, ascending; `watched` is its number of rules."""
    found: Any = np.zeros(len(silences_s), dtype_of(Judgement)).view(np.recarray)
    found.silence_s = silences_s
    found.last = np.cumsum(watched)
    found.first = found.last - watched
    found.heartbeats = [each.heartbeats for each in hold_downs]
    found.seconds = [each.seconds for each in hold_downs]
    return found


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
            left, flaps, others = change(gaps, node, away, block_s, judgements[j], j, varying_s, work, left, found)
            for k in range(judgements[j].first, judgements[j].last):
                follow(watchers[k], work.changes, flaps, others)
        for i in range(left):
            if work.absence[i] == PLAIN:
                block = block_of(gaps.start_s[work.gap[i]], block_s, found.up_s.shape[1])
                found.mistakes[gaps.row[node], block, len(judgements) - 1] += 1


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
            # After a Goodbye it is offline, also for no time at all: the next Hello may have the same time.
            is_plain = up == length and gaps.heard[gap] and not gaps.away[gap] and not gaps.away[gap + 1]
            work.gap[count], work.absence[count] = gap, absence if touched else PLAIN if is_plain else OTHER
            count += 1
    return count


@kernel
def block_of(start: float, block_s: float, blocks: int) -> int:
    """Return the block of time in which a gap begins."""
    return min(max(int(start / block_s), 0), blocks - 1)


@part
def change(
    gaps: Silences, node: int, away: Away, block_s: float, judgement: Judgement, j: int, varying_s: Floats, work: Work,
    count: int, found: Found,
) -> tuple[int, int, int]:  # fmt: skip
    """List the changes of a node by judgement `j`, and count mistakes and flaps.

    Return how many gaps stay in the list, which matter to the next judgements, and the numbers of flaps and others.
    """
    flap_s, left, flaps, others, mistake_s = work.changes.flap_s, 0, 0, 0, 0.0
    done, row, blocks = gaps.first[node], gaps.row[node], found.up_s.shape[1]
    holds = judgement.heartbeats > 1 or judgement.seconds > 0
    for i in range(count):
        gap, first = work.gap[i], work.absence[i]
        start, length = gaps.start_s[gap], gaps.length_s[gap]
        silence = varying_s[gap] if len(varying_s) else judgement.silence_s
        if first == PLAIN and length <= silence:
            found.mistakes[row, block_of(start, block_s, blocks), j - 1] += 1
            continue
        work.gap[left], work.absence[left] = gap, first
        left += 1
        if first == PLAIN and not holds:
            flap_s[flaps], flap_s[flaps + 1] = start + silence, start + length
            flaps += 2
            mistake_s += length - silence
        else:
            flaps, others, done, mistakes, own_s = judge_gap(
                gaps, gap, first, silence, away, judgement, varying_s, work.changes, flaps, others, done
            )
            mistake_s += own_s
            if mistakes:
                block = block_of(start, block_s, blocks)
                found.mistakes[row, block, j] += mistakes
                if j > 0:
                    found.mistakes[row, block, j - 1] -= mistakes
    found.flaps[j] += flaps
    found.mistake_s[j] += mistake_s
    return left, flaps, others


@part
def judge_gap(
    gaps: Silences, gap: int, first: int, silence: float, away: Away, judgement: Judgement, varying_s: Floats,
    changes: Changes, flaps: int, others: int, done: int,
) -> tuple[int, int, int, int, float]:  # fmt: skip
    """List the changes that a gap of any kind brings; a hold-down walked through the gaps before `done`.

    Return the numbers of flaps and others, the next `done`, by how many mistakes a plain gap would be counted too few,
    and the time of the mistake, s.
    """
    start, length, up = gaps.start_s[gap], gaps.length_s[gap], gaps.up_s[gap]
    if gap < done:
        return flaps, others, done, -1 if first == PLAIN else 0, 0.0
    if gaps.away[gap]:
        others = add(changes, others, start, flaps)
        if gaps.heard[gap]:
            others = add(changes, others, start + length, flaps)
        return flaps, others, done, 0, 0.0
    if first >= 0:
        silence = allowed_s(silence, start, start + length, away.absences, away.rules, first)
    if silence >= length:
        return flaps, others, done, 0, 0.0
    changes.flap_s[flaps] = start + silence
    flaps += 1
    last, held_s, is_back = gap, 0.0, gaps.heard[gap] and not gaps.away[gap + 1]
    if is_back and (judgement.heartbeats > 1 or judgement.seconds > 0):
        last, held_s, is_back = hold_down(gaps, gap, away, judgement, varying_s)
    mistakes, mistake_s = 0, 0.0
    if silence < up:
        mistakes = first != PLAIN
        away_s = away_between(away.absences, first, start + silence, start + up) if first >= 0 else 0.0
        mistake_s = up - silence - away_s + (held_s if up == length else 0.0)
    if is_back:
        changes.flap_s[flaps] = gaps.start_s[last] + gaps.length_s[last]
        flaps += 1
    return flaps, others, last + 1, mistakes, mistake_s


@part
def add(changes: Changes, others: int, at: float, flaps: int) -> int:
    """Add a change of the node that is no flap, and return their number."""
    changes.other_s[others], changes.other_after[others] = at, flaps
    return others + 1


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
