"""The verdicts on a suite's pairs: slower, same, faster or inconclusive.

    slower         the pairs lie above the margin (exact test, Holm's correction over the suite), and the estimate is at
                   least the least effect: more than noise, and enough to matter
    faster         the same, downwards
    same           neither, and the whole 95% interval lies within ±3%
    inconclusive   none of these; comes with the smallest slowdown that would have been detected nine times in ten

A benchmark that may use changed code which both sides took from the head is *not compared*, unless it is slower in
spite of that (`overlay.py`).

The margin keeps differences between two copies of the same code (memory layout, file system) from becoming a finding.
Nothing here depends on the origin of the pairs.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.gate import signflip
from heartbench.benchmarks.gate.signflip import Ratios

RESAMPLES = 100
POWER = 0.9


class Verdict(StrEnum):
    """The verdict on one benchmark; its value is that in the JSON output. Those that need attention come first."""

    SLOWER = "slower"
    FAILED = "failed"
    NOT_COMPARED = "not compared"
    INCONCLUSIVE = "cannot tell"
    FASTER = "faster"
    NEW = "new"
    GONE = "gone"
    SAME = "same"

    @property
    def label(self) -> str:
        """The verdict as people read it."""
        return "inconclusive" if self is Verdict.INCONCLUSIVE else self.value


@dataclass(frozen=True, slots=True)
class Rules:
    """Thresholds for a change of one benchmark, as fractions of its time."""

    margin: float = 0.01
    least_effect: float = 0.02
    same_within: float = 0.03


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on one benchmark; `ratio` is head's time over base's, `smallest_visible` a fraction of it.

    Figures are NaN if nothing was compared. `note` is a remark for the reader.
    """

    name: str
    verdict: Verdict
    ratio: float = math.nan
    low: float = math.nan
    high: float = math.nan
    smallest_visible: float = math.nan
    p_slower: float = math.nan
    pairs: int = 0
    note: str = ""


def judge(
    pairs: Mapping[str, Ratios], rules: Mapping[str, Rules], level: float, suite: int = 0, *, visible: bool = True
) -> list[Judgement]:
    """Judge each benchmark of a suite by its log-ratios.

    Args:
        pairs: log-ratios by benchmark.
        rules: the rules of each benchmark.
        level: the probability of any false *slower* in the whole suite (and of any false *faster*).
        suite: number of benchmarks that the correction is for, if it is larger than the number judged now.
        visible: whether to compute the minimum detectable slowdown.
    """
    family = max(suite, len(pairs))
    p_slower = {name: signflip.p_above(x, math.log1p(rules[name].margin)) for name, x in pairs.items()}
    p_faster = {name: signflip.p_below(x, -math.log1p(rules[name].margin)) for name, x in pairs.items()}
    slower, faster = holm(p_slower, level, family), holm(p_faster, level, family)
    judgements = []
    for name, x in pairs.items():
        ratio = math.exp(signflip.estimate(x))
        low, high = (math.exp(limit) for limit in signflip.interval(x))
        verdict = _verdict(rules[name], ratio, low, high, name in slower, name in faster)
        detectable = smallest_visible(x, rules[name], level / family) if visible else math.nan
        judgements.append(Judgement(name, verdict, ratio, low, high, detectable, p_slower[name], len(x)))
    return judgements


def _verdict(rules: Rules, ratio: float, low: float, high: float, slower: bool, faster: bool) -> Verdict:
    if slower and ratio >= 1 + rules.least_effect:
        return Verdict.SLOWER
    if faster and ratio <= 1 / (1 + rules.least_effect):
        return Verdict.FASTER
    if 1 / (1 + rules.same_within) < low and high < 1 + rules.same_within:
        return Verdict.SAME
    return Verdict.INCONCLUSIVE


def holm(p_values: Mapping[str, float], level: float, family: int = 0) -> set[str]:
    """Return the hypotheses that Holm's step-down procedure rejects; the probability of any false one is `level`.

    A larger `family` includes hypotheses that were dropped before; they take the last places.
    """
    rejected: set[str] = set()
    for name in sorted(p_values, key=p_values.__getitem__):
        if p_values[name] > level / (max(family, len(p_values)) - len(rejected)):
            break
        rejected.add(name)
    return rejected


def is_slower(pairs: Ratios, rules: Rules, level: float) -> bool:
    """Return whether one benchmark alone would be *slower* at `level`."""
    significant = signflip.p_above(pairs, math.log1p(rules.margin)) <= level
    return significant and signflip.estimate(pairs) >= math.log1p(rules.least_effect)


def smallest_visible(pairs: Ratios, rules: Rules, level: float, resamples: int = RESAMPLES) -> float:
    """Return the minimum detectable slowdown as a fraction: found nine times in ten with this scatter; else infinite.

    The pairs are shifted to have no effect and resampled with replacement. For each sample the shift is computed that
    would make it *slower* at `level`; the result is the 90th percentile of these shifts.
    """
    still = pairs - signflip.estimate(pairs)
    rng = np.random.default_rng(0)
    shifts = [_shift_to_slower(rng.choice(still, len(still)), rules, level) for _ in range(resamples)]
    return math.expm1(float(np.quantile(shifts, POWER, method="higher")))


def _shift_to_slower(still: Ratios, rules: Rules, level: float) -> float:
    by_test = math.log1p(rules.margin) - signflip.lower_limit(still, level)
    return max(by_test, math.log1p(rules.least_effect) - signflip.estimate(still))


def check_reach(rounds: int, suite: int, level: float) -> None:
    """Raise BenchmarkError if even pairs that all point one way do not pass Holm's correction over the suite."""
    if signflip.smallest_p(rounds) > level / suite:
        raise BenchmarkError(
            f"rounds = {rounds}: a suite of {suite} benchmarks at level {level:.2g} needs p <= {level / suite:.2g}, "
            f"the smallest that {rounds} rounds can give is {signflip.smallest_p(rounds):.2g}; "
            f"use at least {signflip.pairs_needed(level / suite)} rounds"
        )
