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
from heartbench.simulator.kernel import kernel
from heartbench.simulator.record import Record, dtype_of, resetter

Floats = NDArray[np.float64]

WINDOW, SHARE, DECAY = range(3)
CHANGES = 20  # pairs of successive checks among the last 21


class Watcher(Record):
    """What watches the flaps of one node after the other by one rule; times in s."""

    kind: int
    enter: int  # flaps
    leave: int
    span_s: float  # of the window; between two checks; the half-life
    low: float  # share in percent, or penalty
    high: float
    penalty: float
    longest_s: float
    # of the node that is watched
    flaps_of_node: int = 0
    ends_s: float = np.inf  # when the mark is removed if no flap comes; inf: there is none
    left_s: float = -np.inf  # when the penalty will have decayed to `low`
    was_flapping: bool = False
    # of all nodes
    flashes: int
    entries: int
    flapping_nodes: int


begin_node = resetter(Watcher)


def watchers_of(rules: Sequence[FlapRule]) -> tuple[Any, Floats]:
    """Return a record of Watcher for each rule, and working space for the times of a node's last flaps.

    Its length is a power of two, which saves a division.
    """
    found: Any = np.zeros(len(rules), dtype_of(Watcher)).view(np.recarray)
    longest = CHANGES
    for watcher, rule in zip(found, rules, strict=True):
        if isinstance(rule, FlapWindow):
            watcher.kind, watcher.span_s = WINDOW, rule.window_s
            watcher.enter, watcher.leave = rule.threshold, rule.exit_below
            longest = max(longest, rule.threshold)
        elif isinstance(rule, WeightedShare):
            watcher.kind, watcher.span_s, watcher.low, watcher.high = SHARE, rule.check_s, rule.low, rule.high
        elif isinstance(rule, FlapDecay):
            watcher.kind, watcher.span_s, watcher.low, watcher.high = DECAY, rule.half_life_s, rule.reuse, rule.suppress
            watcher.penalty, watcher.longest_s = rule.penalty, rule.max_s
        else:
            raise TypeError(f"flap rule {rule.name!r} has no kernel")
    return found, np.zeros(1 << (longest - 1).bit_length())


@kernel
def show(watcher: Watcher, at: float) -> None:
    """Count a change of status that is shown unless the node is marked."""
    if watcher.ends_s <= at:
        watcher.ends_s = np.inf
    watcher.flashes += watcher.ends_s == np.inf


@kernel
def flap(watcher: Watcher, recent: Floats, at: float) -> None:
    """Count a change between online and stale; it may set the mark, and prolongs one."""
    show(watcher, at)
    recent[watcher.flaps_of_node & (len(recent) - 1)] = at
    watcher.flaps_of_node += 1
    marked = watcher.ends_s < np.inf
    if watcher.kind == WINDOW:
        ends_s = end_by_window(watcher, recent, at, marked)
    elif watcher.kind == SHARE:
        ends_s = end_by_share(watcher, recent, marked)
    else:
        ends_s = end_by_decay(watcher, at, marked)
    watcher.ends_s = ends_s
    if not marked and ends_s < np.inf:
        watcher.entries += 1
        watcher.flapping_nodes += not watcher.was_flapping
        watcher.was_flapping = True


@kernel
def end_by_window(watcher: Watcher, recent: Floats, at: float, marked: bool) -> float:
    """Return when the mark is removed after a flap, s; inf if there is none."""
    flaps, last = watcher.flaps_of_node, len(recent) - 1
    if not marked and (flaps < watcher.enter or recent[(flaps - watcher.enter) & last] + watcher.span_s <= at):
        return np.inf
    last_but_s: float = recent[(flaps - watcher.leave) & last]
    return last_but_s + watcher.span_s


@kernel
def end_by_share(watcher: Watcher, recent: Floats, marked: bool) -> float:
    """Return when the mark is removed after a flap, s; inf if there is none."""
    if not marked and share(watcher, recent, 0) < watcher.high:
        return np.inf
    later = 0
    while share(watcher, recent, later) >= watcher.low:
        later += 1
    last_s: float = recent[(watcher.flaps_of_node - 1) & (len(recent) - 1)]
    return last_s + later * watcher.span_s


@kernel
def share(watcher: Watcher, recent: Floats, later: int) -> float:
    """Return the weighted share of changes so many checks after the last flap, in percent."""
    total, age, flap_number = 0.0, 0, watcher.flaps_of_node - 1
    last = len(recent) - 1
    while age + later < CHANGES:
        total += 1.2 - 0.4 * (age + later) / (CHANGES - 1)
        if flap_number == 0:
            break
        after, before = recent[flap_number & last], recent[(flap_number - 1) & last]
        checks = int(min((after - before) / watcher.span_s, CHANGES + 1))
        if checks <= CHANGES:
            checks += before + (checks + 1) * watcher.span_s <= after  # a quotient that was rounded down, or up
            checks -= checks > 0 and before + checks * watcher.span_s > after
        age += 1 + checks
        flap_number -= 1
    return 100 / CHANGES * total


@kernel
def end_by_decay(watcher: Watcher, at: float, marked: bool) -> float:
    """Return when the mark is removed after a flap, s; inf if there is none."""
    penalty = watcher.low * 2.0 ** ((watcher.left_s - at) / watcher.span_s) + watcher.penalty
    watcher.left_s = at + min(watcher.span_s * log2(penalty / watcher.low), watcher.longest_s)
    if marked or watcher.low * 2.0 ** ((watcher.left_s - at) / watcher.span_s) > watcher.high:
        return watcher.left_s
    return np.inf
