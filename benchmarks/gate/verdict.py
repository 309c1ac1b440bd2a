"""What a suite's pairs mean: slower, same, faster, or cannot tell.

    slower       the pairs lie above the margin (exact test, Holm's correction over the suite) and the estimate is at
                 least the least effect: more than noise, and enough to matter
    faster       the same, downwards
    same         neither, and the whole 95 % interval lies within ±3 %
    cannot tell  none of these; says the smallest slowdown that would have been seen nine times in ten

A benchmark that may use changed code which both sides had from the head is *not compared* unless it is slower for
another reason (`overlay.py`).

The margin keeps what a second copy of the same code may differ by (memory layout, file system) from becoming a
finding. Nothing here knows where the pairs come from.
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
    """What can be said about one benchmark."""

    SLOWER = "slower"
    SAME = "same"
    FASTER = "faster"
    CANNOT_TELL = "cannot tell"
    NEW = "new"
    GONE = "gone"
    FAILED = "failed"
    NOT_COMPARED = "not compared"


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts as a change of one benchmark; all are fractions of its time."""

    margin: float = 0.01
    least_effect: float = 0.02
    same_within: float = 0.03


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on one benchmark; `ratio` is head's time over base's, `smallest_visible` a fraction of it.

    Figures are NaN where nothing was compared. `note` says in words what the figures cannot.
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
    """Judge each benchmark of a suite.

    Args:
        pairs: log-ratios by benchmark.
        rules: the rules of each benchmark.
        level: the chance of any false *slower* in the whole suite (and of any false *faster*).
        suite: how many benchmarks the correction is for, where that is more than are judged now.
        visible: whether to work out the smallest slowdown that would have been seen.
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
        seen_from = smallest_visible(x, rules[name], level / family) if visible else math.nan
        judgements.append(Judgement(name, verdict, ratio, low, high, seen_from, p_slower[name], len(x)))
    return judgements


def _verdict(rules: Rules, ratio: float, low: float, high: float, slower: bool, faster: bool) -> Verdict:
    if slower and ratio >= 1 + rules.least_effect:
        return Verdict.SLOWER
    if faster and ratio <= 1 / (1 + rules.least_effect):
        return Verdict.FASTER
    if 1 / (1 + rules.same_within) < low and high < 1 + rules.same_within:
        return Verdict.SAME
    return Verdict.CANNOT_TELL


def holm(p_values: Mapping[str, float], level: float, family: int = 0) -> set[str]:
    """The hypotheses that Holm's step-down procedure rejects: at most `level` chance of any false one.

    A larger `family` counts hypotheses that were given up before; they hold the last places.
    """
    rejected: set[str] = set()
    for name in sorted(p_values, key=p_values.__getitem__):
        if p_values[name] > level / (max(family, len(p_values)) - len(rejected)):
            break
        rejected.add(name)
    return rejected


def is_slower(pairs: Ratios, rules: Rules, level: float) -> bool:
    """Whether one benchmark alone would be called slower at `level`."""
    significant = signflip.p_above(pairs, math.log1p(rules.margin)) <= level
    return significant and signflip.estimate(pairs) >= math.log1p(rules.least_effect)


def smallest_visible(pairs: Ratios, rules: Rules, level: float, resamples: int = RESAMPLES) -> float:
    """The smallest slowdown that scatter like this shows nine times in ten, as a fraction; infinite if none does.

    The pairs are moved to have no effect and drawn again with replacement; each draw says how far it would have to
    move to be called slower at `level`. The answer is the 90th percentile of these distances.
    """
    still = pairs - signflip.estimate(pairs)
    rng = np.random.default_rng(0)
    shifts = [_shift_to_slower(rng.choice(still, len(still)), rules, level) for _ in range(resamples)]
    return math.expm1(float(np.quantile(shifts, POWER, method="higher")))


def _shift_to_slower(still: Ratios, rules: Rules, level: float) -> float:
    by_test = math.log1p(rules.margin) - signflip.lower_limit(still, level)
    return max(by_test, math.log1p(rules.least_effect) - signflip.estimate(still))


def check_reach(rounds: int, suite: int, level: float) -> None:
    """Refuse a plan whose number of rounds could never turn anything red.

    Raises:
        BenchmarkError: even pairs that all point one way would not pass Holm's correction over the suite.
    """
    if signflip.smallest_p(rounds) > level / suite:
        raise BenchmarkError(
            f"rounds = {rounds}: a suite of {suite} benchmarks at level {level:.2g} needs p <= {level / suite:.2g}, "
            f"the smallest that {rounds} rounds can give is {signflip.smallest_p(rounds):.2g}; "
            f"allowed: at least {signflip.pairs_needed(level / suite)} rounds"
        )
