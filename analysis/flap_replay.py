"""Flap rules over the changes of one node, again and otherwise than in the hub, so that each can be held to the other.

    window      all flaps are kept, and the mark ends with the `exit_below`-th last one
    weighted    the results of the last 21 checks are kept, and checks with the same result are played one by one
    decay       the penalty after each flap is kept, and decays from there

`FlapWatch.ends_s` is when the mark is removed if no other flap comes; inf: the node is not marked. The rules, their
sources and what a check is: `heartbench.hub.liveness.flap_rules`.
"""

from collections import deque
from math import inf, log2
from typing import Protocol

from heartbench.hub import FlapDecay, FlapRule, FlapWindow, WeightedShare

CHECKS = 21


class FlapWatch(Protocol):
    """The flaps of one node under one rule."""

    ends_s: float

    def flap(self, at: float) -> None:
        """Take one more flap, after the mark that ended by `at` was removed."""


def watch_of(rule: FlapRule) -> FlapWatch:
    """Return a watch for a node without flaps."""
    if isinstance(rule, FlapWindow):
        return WindowWatch(rule)
    if isinstance(rule, WeightedShare):
        return ShareWatch(rule)
    if isinstance(rule, FlapDecay):
        return DecayWatch(rule)
    raise TypeError(f"flap rule {rule.name!r} has no replay")


class WindowWatch:
    """Flaps in a window."""

    def __init__(self, rule: FlapWindow) -> None:
        self.ends_s = inf
        self._rule = rule
        self._flaps: list[float] = []

    def flap(self, at: float) -> None:
        """Mark the node if the `threshold`-th last flap is in the window."""
        self._flaps.append(at)
        window_s, enter = self._rule.window_s, self._rule.threshold
        entered = len(self._flaps) >= enter and self._flaps[-enter] + window_s > at
        if self.ends_s < inf or entered:
            self.ends_s = self._flaps[-self._rule.exit_below] + window_s


class ShareWatch:
    """Nagios' share: the results of the last checks, True for a change."""

    def __init__(self, rule: WeightedShare) -> None:
        self.ends_s = inf
        self._rule = rule
        self._last_s = inf
        self._changed = deque([False] * (CHECKS - 1), maxlen=CHECKS - 1)  # of successive checks, the oldest first

    def flap(self, at: float) -> None:
        """Play the checks since the last flap, then this one; mark the node if the share is high."""
        check = 1
        while check < CHECKS and self._last_s + check * self._rule.check_s <= at:
            self._changed.append(False)
            check += 1
        self._changed.append(True)
        self._last_s = at
        if self.ends_s < inf or share(self._changed) >= self._rule.high:
            self.ends_s = self._end()

    def _end(self) -> float:
        later, check = self._changed.copy(), 0
        while share(later) >= self._rule.low:
            later.append(False)
            check += 1
        return self._last_s + check * self._rule.check_s


def share(changed: deque[bool]) -> float:
    """Return the weighted share of changes in percent, from the newest on."""
    newest_first = enumerate(reversed(changed))
    return 100 / (CHECKS - 1) * sum(1.2 - 0.4 * age / (CHECKS - 2) for age, change in newest_first if change)


class DecayWatch:
    """RFC 2439's penalty."""

    def __init__(self, rule: FlapDecay) -> None:
        self.ends_s = inf
        self._rule = rule
        self._penalty = 0.0  # after the last flap
        self._last_s = 0.0

    def flap(self, at: float) -> None:
        """Add the penalty of a flap; mark the node if it is too high."""
        rule = self._rule
        decayed = self._penalty * 2.0 ** ((self._last_s - at) / rule.half_life_s)
        self._penalty, self._last_s = min(decayed + rule.penalty, rule.ceiling), at
        if self.ends_s < inf or self._penalty > rule.suppress:
            self.ends_s = at + rule.half_life_s * log2(self._penalty / rule.reuse)
