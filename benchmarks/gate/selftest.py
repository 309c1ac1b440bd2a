"""How often this comparison is wrong, counted on its own samples.

Base was measured twice in each round. Comparing base with base again by the very rules that judged the head gives
false alarms; the same pairs moved by a known slowdown give the power to see it, each benchmark as if it alone had
changed. Both are counts out of few, so both come with their exact (Clopper–Pearson) 95 % interval; benchmarks of one
process share their disturbances, so the interval is rather too short than too long.

Little evidence withholds nothing: a verdict is withheld only when the *whole* interval lies on the wrong side of its
target. Moving samples is good enough for a warning; the exam (`exam.py`) slows the measured functions down for real.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from scipy.special import betaincinv

from heartbench.benchmarks.gate.signflip import Ratios
from heartbench.benchmarks.gate.verdict import Rules, Verdict, is_slower, judge

ALARM_TARGET = 0.01
POWER_TARGET = 0.9
EFFECT = 0.05


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many."""

    count: int
    total: int

    @property
    def value(self) -> float:
        """The share itself; NaN of nothing."""
        return self.count / self.total if self.total else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The exact (Clopper–Pearson) 95 % interval of the probability behind the share, by quantiles of the beta."""
        missed = self.total - self.count
        # scipy.stats has it too, but its import is most of the time of a comparison that measures nothing.
        low = float(betaincinv(self.count, missed + 1, 0.025)) if self.count else 0.0
        return low, float(betaincinv(self.count + 1, missed, 0.975)) if missed else 1.0

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.count} of {self.total} (95 % interval {low:.1%} to {high:.1%})"


@dataclass(frozen=True, slots=True)
class SelfTest:
    """False alarms of base against base, and how many of the same benchmarks would show a slowdown of `effect`."""

    alarms: Share
    found: Share
    effect: float = EFFECT

    @property
    def cries_wolf(self) -> bool:
        """Surely more false alarms than the target: no red of this comparison can be believed."""
        return self.alarms.interval[0] > ALARM_TARGET

    @property
    def sleeps(self) -> bool:
        """Surely less power than the target: that nothing is red means nothing."""
        return self.found.interval[1] < POWER_TARGET


def self_test(again: Mapping[str, Ratios], rules: Mapping[str, Rules], level: float) -> SelfTest:
    """Judge the pairs of base and base again, as they are and moved by EFFECT."""
    alarms = sum(judgement.verdict is Verdict.SLOWER for judgement in judge(again, rules, level, visible=False))
    moved = {name: pairs + math.log1p(EFFECT) for name, pairs in again.items()}
    found = sum(is_slower(pairs, rules[name], level / max(1, len(again))) for name, pairs in moved.items())
    return SelfTest(Share(alarms, len(again)), Share(found, len(again)))
