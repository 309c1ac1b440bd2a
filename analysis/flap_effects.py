"""What a flap rule and a hold-down hide from a dashboard, and what they delay, on a simulated fleet.

    shown       changes of status of nodes that are not marked as flapping, of all nodes per hour (flashes)
    true stale  power losses at uniform times, of nodes that are online then: the stale mark at the deadline is hidden
                if the node is flapping, and shown when that mark is removed. The delay is beyond the deadline.
    return      each time that a stale node is heard again, as if it stayed: the delay is from there until it is online
                (hold-down) and not marked as flapping any more

Nothing of a dashboard is assumed but that it shows no change of a marked node, and its status once the mark is removed.
For a fixed timeout, and fleets without Goodbyes whose hub is always there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.gaps import Gaps
from heartbench.analysis.qos import judge
from heartbench.hub import FlapRule, HoldDown, HubSettings

Floats = NDArray[np.float64]

LOSSES_A_NODE = 20
SEED = 1


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time for which a node was stale: marked, first heard again, and online; the last two are inf if never."""

    stale_s: float
    heard_s: float
    online_s: float


@dataclass(frozen=True, slots=True)
class Effect:
    """Figures of one rule. Shares are of all power losses or returns; delays are s, of those that are delayed."""

    changes_per_hour: float
    shown_per_hour: float
    stale_delayed: float
    stale_mean_s: float
    stale_longest_s: float
    return_delayed: float
    return_mean_s: float
    return_longest_s: float


class Marks:
    """The flaps of one node, and until when it is marked after each; by the hub's form of the rule."""

    def __init__(self, rule: FlapRule, stretches: Sequence[Stretch]) -> None:
        self._rule = rule
        self.flaps_s = sorted(at for each in stretches for at in (each.stale_s, each.online_s) if at < inf)
        self._times: list[tuple[float, ...]] = [()]
        self._ends_s = [-inf]
        for at in self.flaps_s:
            times = rule.add(self._times[-1], at)
            marked = at < self._ends_s[-1] or rule.enters(times, at)
            self._times.append(times)
            self._ends_s.append(rule.leaves_at(times) if marked else -inf)

    def shown_at(self, at: float) -> float:
        """Return when a flap at `at` is shown if no other follows, s."""
        before = int(np.searchsorted(self.flaps_s, at, "left"))
        if at >= self._ends_s[before]:
            return at
        return self._rule.leaves_at(self._rule.add(self._times[before], at))


def effect(gaps: Gaps, hub: HubSettings, duration_s: float) -> Effect:
    """Return the figures of a hub's flap rule and hold-down.

    Raises:
        AnalysisError: a node leaves with a Goodbye, or the hub is away at times.
    """
    if gaps.away.any() or len(gaps.absences.to_s):
        raise AnalysisError("expected a scenario without Goodbyes and hub faults")
    policy = hub.policy
    qos = judge(gaps, [policy], duration_s).frame().iloc[0]
    generator = np.random.default_rng(SEED)
    stale: list[float] = []
    returns: list[float] = []
    for first, end in zip(gaps.first[:-1], gaps.first[1:], strict=True):
        start_s, length_s = gaps.start_s[first:end], gaps.length_s[first:end]
        found = list(stretches(start_s, length_s, gaps.heard[first:end], hub.stale_after_s, policy.hold_down))
        marks = Marks(policy.flap_rule, found)
        back = [each for each in found if each.online_s < inf]
        returns += [marks.shown_at(each.online_s) - each.heard_s for each in back]
        lost_s = generator.uniform(start_s[0], duration_s, LOSSES_A_NODE)
        deadlines_s = start_s[np.searchsorted(start_s, lost_s, "right") - 1] + hub.stale_after_s
        for at, deadline_s in zip(lost_s, deadlines_s, strict=True):
            if not any(each.stale_s <= at < each.online_s for each in found):
                stale.append(marks.shown_at(deadline_s) - deadline_s)
    return Effect(float(qos.flaps_per_hour), float(qos.flashes_per_hour), *delays(stale), *delays(returns))


def stretches(
    start_s: Floats, length_s: Floats, heard: NDArray[np.bool_], stale_after_s: float, hold_down: HoldDown
) -> Iterator[Stretch]:
    """Yield the times for which a node was stale, from its gaps."""
    silent = length_s > stale_after_s
    done = 0
    for gap in np.flatnonzero(silent):
        if gap < done:
            continue
        heard_s, online_s, signs, since_s, last = inf, inf, 0, 0.0, int(gap)
        while heard[last]:
            at = float(start_s[last + 1])
            heard_s = min(heard_s, at)
            signs, since_s = (1, at) if silent[last] else (signs + 1, since_s)
            if hold_down.lifts(signs, at - since_s):
                online_s = at
                break
            last += 1
        done = last + 1
        yield Stretch(float(start_s[gap]) + stale_after_s, heard_s, online_s)


def delays(found: Sequence[float]) -> tuple[float, float, float]:
    """Return the share that is delayed, and of those the mean and the longest, s."""
    late = np.array([each for each in found if each > 0])
    share = len(late) / len(found) if found else 0.0
    return share, float(late.mean()) if len(late) else 0.0, float(late.max(initial=0.0))
