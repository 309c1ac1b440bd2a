"""The error rates of one comparison, counted on its own samples.

Base was measured twice in each round. Comparing the two with each other (an A/A comparison) by the rules that the head
is judged by gives the false alarms. The same pairs shifted by a known slowdown give the power to detect it, each
benchmark as if it alone had changed. Both are counts out of few, so both come with their exact (Clopper–Pearson) 95%
interval. Benchmarks of one process share their disturbances, so the interval is slightly too short.

A verdict is withheld only if the *whole* interval lies on the wrong side of its target, so never on little evidence.
Shifting samples is good enough for a warning; the self-test (`self_test.py`) really slows the measured functions down.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from heartbench.analysis.intervals import share_interval
from heartbench.benchmarks.gate.signflip import Ratios
from heartbench.benchmarks.gate.verdict import Rules, Verdict, is_slower, judge

ALARM_TARGET = 0.01
POWER_TARGET = 0.9
EFFECT = 0.05


@dataclass(frozen=True, slots=True)
class Share:
    """A count out of a total."""

    count: int
    total: int

    @property
    def value(self) -> float:
        """The count over the total; NaN if the total is 0."""
        return self.count / self.total if self.total else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The exact (Clopper–Pearson) 95% interval of the probability."""
        return share_interval(self.count, self.total)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.count} of {self.total} (95% interval {low:.1%} to {high:.1%})"


@dataclass(frozen=True, slots=True)
class ErrorRates:
    """False alarms of the A/A comparison, and the share of benchmarks in which a slowdown of `effect` is found."""

    alarms: Share
    detected: Share
    effect: float = EFFECT

    @property
    def too_many_false_alarms(self) -> bool:
        """Whether the rate of false alarms is surely above its target: no *slower* can be trusted."""
        return self.alarms.interval[0] > ALARM_TARGET

    @property
    def underpowered(self) -> bool:
        """Whether the power is surely below its target: the absence of a *slower* means nothing."""
        return self.detected.interval[1] < POWER_TARGET


def error_rates(again: Mapping[str, Ratios], rules: Mapping[str, Rules], level: float) -> ErrorRates:
    """Return the error rates that follow from the pairs of the A/A comparison, as they are and shifted by EFFECT."""
    alarms = sum(judgement.verdict is Verdict.SLOWER for judgement in judge(again, rules, level, visible=False))
    shifted = {name: pairs + math.log1p(EFFECT) for name, pairs in again.items()}
    detected = sum(is_slower(pairs, rules[name], level / max(1, len(again))) for name, pairs in shifted.items())
    return ErrorRates(Share(alarms, len(again)), Share(detected, len(again)))
