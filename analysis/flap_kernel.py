"""The flap rules in kernels: which changes of a node a dashboard shows.

`heartbench.hub.liveness.flap_rules` has the rules and their sources. A property test holds this form, the hub's and
that of `flap_replay` to each other.
"""

from collections.abc import Sequence
from math import log2
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from heartbench.hub import FlapDecay, FlapRule, FlapWindow, WeightedShare
from heartbench.simulator.kernel import part
from heartbench.simulator.record import Record, dtype_of

Floats = NDArray[np.float64]

WINDOW, SHARE, DECAY = range(3)
CHANGES = 20  # pairs of successive checks among the last 21
SURELY = 1e-9  # more than all is rounded by
KEPT = (1 << CHANGES) - 1
WEIGHTS = 1.2 - 0.4 * np.arange(CHANGES) / (CHANGES - 1)  # of a change by its age in checks


class Changes(NamedTuple):
    """The changes of one node, in order: flaps, and others, each with the number of flaps before it; times in s."""

    flap_s: Floats
    other_s: Floats
    other_after: NDArray[np.int64]


class Watcher(Record):
    """A rule, and what it made of the flaps of all nodes; times in s."""

    kind: int
    enter: int  # flaps
    leave: int
    span_s: float  # of the window; between two checks; the half-life
    low: float  # share in percent, or penalty
    high: float
    penalty: float
    longest_s: float
    full_s: float
    flashes: int
    entries: int
    flapping_nodes: int


def watchers_of(rules: Sequence[FlapRule]) -> Any:
    """Return a record of Watcher for each rule."""
    distinct = {rule: number for number, rule in enumerate(dict.fromkeys(rules))}  # records are filled in slowly
    found: Any = np.zeros(len(distinct), dtype_of(Watcher)).view(np.recarray)
    for watcher, rule in zip(found, distinct, strict=True):
        if isinstance(rule, FlapWindow):
            watcher.kind, watcher.span_s = WINDOW, rule.window_s
            watcher.enter, watcher.leave = rule.threshold, rule.exit_below
        elif isinstance(rule, WeightedShare):
            watcher.kind, watcher.span_s, watcher.low, watcher.high = SHARE, rule.check_s, rule.low, rule.high
        elif isinstance(rule, FlapDecay):
            watcher.kind, watcher.span_s, watcher.low, watcher.high = DECAY, rule.half_life_s, rule.reuse, rule.suppress
            watcher.penalty, watcher.longest_s, watcher.full_s = rule.penalty, rule.max_s, full_s(rule)
        else:
            raise TypeError(f"flap rule {rule.name!r} has no kernel")
    return found[[distinct[rule] for rule in rules]]


def full_s(rule: FlapDecay) -> float:
    """Return the time left to `reuse` from which on one more flap surely brings the penalty to its ceiling, s."""
    before = rule.ceiling * (1 + SURELY) - rule.penalty
    return rule.half_life_s * log2(before / rule.reuse) if before > 0 else -np.inf


@part
def follow(watcher: Watcher, changes: Changes, flaps: int, others: int) -> None:
    """Count which of a node's changes of status are shown, and how often it is marked."""
    if watcher.kind == SHARE:
        flashes, entries = by_share(watcher, changes, flaps, others)
    else:
        flashes, entries = by_time(watcher, changes, flaps, others)
    watcher.flashes += flashes
    watcher.entries += entries
    watcher.flapping_nodes += entries > 0


@part
def by_time(watcher: Watcher, changes: Changes, flaps: int, others: int) -> tuple[int, int]:
    """Return how many changes are shown and how often the node is marked, by a window or a decay."""
    flap_s, span_s = changes.flap_s, watcher.span_s
    ends_s = left_s = -np.inf  # when the mark is removed if no flap comes (-inf: none); the penalty, as a time
    flashes = entries = other = 0
    for i in range(flaps):
        at = flap_s[i]
        while other < others and changes.other_after[other] <= i:
            flashes += ends_s <= changes.other_s[other]
            other += 1
        is_shown = ends_s <= at
        flashes += is_shown
        if watcher.kind == WINDOW:
            ends_s = flap_s[i + 1 - watcher.leave] + span_s if i + 1 >= watcher.leave else -np.inf
            if is_shown and (i + 1 < watcher.enter or flap_s[i + 1 - watcher.enter] + span_s <= at):
                ends_s = -np.inf
        else:
            ends_s = left_s = decayed_at(watcher, left_s, at)
            if is_shown and watcher.low * 2.0 ** ((left_s - at) / span_s) <= watcher.high:
                ends_s = -np.inf
        entries += is_shown and ends_s > -np.inf
    for i in range(other, others):
        flashes += ends_s <= changes.other_s[i]
    return flashes, entries


@part
def by_share(watcher: Watcher, changes: Changes, flaps: int, others: int) -> tuple[int, int]:
    """Return how many changes are shown and how often the node is marked, by the weighted share.

    Of the last checks, those that changed are kept as bits, the newest as the lowest. The mark is removed by the first
    check that takes the share below `low`; since it only falls, the last check before a change tells.
    """
    changed, last_s, is_marked = 0, -np.inf, False
    flashes = entries = other = 0
    for i in range(flaps):
        at = changes.flap_s[i]
        while other < others and changes.other_after[other] <= i:
            checks = checks_between(last_s, changes.other_s[other], watcher.span_s)
            flashes += not (is_marked and reaches(changed << checks, watcher.low))
            other += 1
        checks = checks_between(last_s, at, watcher.span_s)
        is_shown = not (is_marked and reaches(changed << checks, watcher.low))
        flashes += is_shown
        changed = (changed << (checks + 1) | 1) & KEPT
        is_marked = not is_shown or reaches(changed, watcher.high)
        entries += is_shown and is_marked
        last_s = at
    for i in range(other, others):
        checks = checks_between(last_s, changes.other_s[i], watcher.span_s)
        flashes += not (is_marked and reaches(changed << checks, watcher.low))
    return flashes, entries


@part
def reaches(changed: int, limit: float) -> bool:
    """Return whether the weighted share of changes is at least `limit`, in percent."""
    total, left, age = 0.0, changed & KEPT, 0
    while left:
        if left & 1:
            total += WEIGHTS[age]
            if 100 / CHANGES * total >= limit:
                return True
        left >>= 1
        age += 1
    return False


@part
def checks_between(before: float, after: float, check_s: float) -> int:
    """Return how many checks there are after a flap until a later time, at most CHANGES + 1."""
    checks = int(min((after - before) / check_s, CHANGES + 1))
    if checks <= CHANGES:
        checks += before + (checks + 1) * check_s <= after  # a quotient that was rounded down, or up
        checks -= checks > 0 and before + checks * check_s > after
    return checks


@part
def decayed_at(watcher: Watcher, left_s: float, at: float) -> float:
    """Return when the penalty will have decayed to `low` after one more flap, s, if it was `left_s` before."""
    if left_s - at >= watcher.full_s:
        return at + watcher.longest_s  # as below, without a power and a logarithm
    penalty = watcher.low * 2.0 ** ((left_s - at) / watcher.span_s) + watcher.penalty
    return at + min(watcher.span_s * log2(penalty / watcher.low), watcher.longest_s)
