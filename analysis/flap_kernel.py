"""The flap rules in kernels: which changes of a node a dashboard shows.

`heartbench.hub.liveness.flap_rules` has the rules and their sources. A property test holds this form, the hub's and
that of `flap_replay` to each other.
"""

from collections.abc import Sequence
from math import log2
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heartbench.hub import FlapDecay, FlapRule, FlapWindow, WeightedShare
from heartbench.simulator.kernel import kernel, part
from heartbench.simulator.record import Record, dtype_of

Floats = NDArray[np.float64]

WINDOW, SHARE, DECAY = range(3)
CHANGES = 20  # pairs of successive checks among the last 21


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
    flashes: int
    entries: int
    flapping_nodes: int


def watchers_of(rules: Sequence[FlapRule]) -> Any:
    """Return a record of Watcher for each rule."""
    found: Any = np.zeros(len(rules), dtype_of(Watcher)).view(np.recarray)
    for watcher, rule in zip(found, rules, strict=True):
        if isinstance(rule, FlapWindow):
            watcher.kind, watcher.span_s = WINDOW, rule.window_s
            watcher.enter, watcher.leave = rule.threshold, rule.exit_below
        elif isinstance(rule, WeightedShare):
            watcher.kind, watcher.span_s, watcher.low, watcher.high = SHARE, rule.check_s, rule.low, rule.high
        elif isinstance(rule, FlapDecay):
            watcher.kind, watcher.span_s, watcher.low, watcher.high = DECAY, rule.half_life_s, rule.reuse, rule.suppress
            watcher.penalty, watcher.longest_s = rule.penalty, rule.max_s
        else:
            raise TypeError(f"flap rule {rule.name!r} has no kernel")
    return found


@kernel
def follow(watcher: Watcher, at_s: Floats, is_flap: NDArray[np.bool_], changes: int, flap_s: Floats) -> None:
    """Count which of a node's changes of status are shown, and how often it is marked; `flap_s` are its flaps."""
    ends_s, left_s = np.inf, -np.inf  # when the mark is removed if no flap comes (inf: none); the penalty, as a time
    flaps = flashes = entries = 0
    rule, span_s = watcher.kind, watcher.span_s
    for i in range(changes):
        at = at_s[i]
        if ends_s <= at:
            ends_s = np.inf
        shown = ends_s == np.inf
        flashes += shown
        if not is_flap[i]:
            continue
        flaps += 1
        if rule == WINDOW:
            ends_s = end_by_window(watcher.enter, watcher.leave, span_s, flap_s, flaps, shown)
        elif rule == SHARE:
            ends_s = end_by_share(watcher, flap_s, flaps, shown)
        else:
            left_s = decayed_at(watcher, left_s, at)
            if shown and watcher.low * 2.0 ** ((left_s - at) / span_s) <= watcher.high:
                continue
            ends_s = left_s
        entries += shown and ends_s < np.inf
    watcher.flashes += flashes
    watcher.entries += entries
    watcher.flapping_nodes += entries > 0


@part
def end_by_window(enter: int, leave: int, window_s: float, flap_s: Floats, flaps: int, shown: bool) -> float:
    """Return when the mark is removed after the last of some flaps, s; inf if there is none."""
    if shown and (flaps < enter or flap_s[flaps - enter] + window_s <= flap_s[flaps - 1]):
        return np.inf
    ends_s: float = flap_s[flaps - leave] + window_s
    return ends_s


@kernel
def end_by_share(watcher: Watcher, flap_s: Floats, flaps: int, shown: bool) -> float:
    """Return when the mark is removed after the last of some flaps, s; inf if there is none."""
    if shown and share(watcher.span_s, flap_s, flaps, 0) < watcher.high:
        return np.inf
    later = 0
    while share(watcher.span_s, flap_s, flaps, later) >= watcher.low:
        later += 1
    ends_s: float = flap_s[flaps - 1] + later * watcher.span_s
    return ends_s


@kernel
def share(check_s: float, flap_s: Floats, flaps: int, later: int) -> float:
    """Return the weighted share of changes so many checks after the last of some flaps, in percent."""
    total, age, number = 0.0, 0, flaps - 1
    while age + later < CHANGES:
        total += 1.2 - 0.4 * (age + later) / (CHANGES - 1)
        if number == 0:
            break
        after, before = flap_s[number], flap_s[number - 1]
        checks = int(min((after - before) / check_s, CHANGES + 1))
        if checks <= CHANGES:
            checks += before + (checks + 1) * check_s <= after  # a quotient that was rounded down, or up
            checks -= checks > 0 and before + checks * check_s > after
        age += 1 + checks
        number -= 1
    return 100 / CHANGES * total


@part
def decayed_at(watcher: Watcher, left_s: float, at: float) -> float:
    """Return when the penalty will have decayed to `low` after one more flap, s, if it was `left_s` before."""
    penalty = watcher.low * 2.0 ** ((left_s - at) / watcher.span_s) + watcher.penalty
    return at + min(watcher.span_s * log2(penalty / watcher.low), watcher.longest_s)
