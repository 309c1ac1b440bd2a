"""The complete result of a comparison: verdicts, error rates, and the conditions it was measured under."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from heartbench.benchmarks.gate import signflip
from heartbench.benchmarks.gate.error_rates import ErrorRates
from heartbench.benchmarks.gate.signflip import Ratios
from heartbench.benchmarks.gate.verdict import Judgement, Verdict

SCHEMA = "heartbench.bench/1"


class Outcome(StrEnum):
    """The result of a comparison as a whole."""

    NOTHING_COMPARED = "nothing compared"
    SLOWER = "slower"
    FAILED = "failed on the head"
    TOO_MANY_FALSE_ALARMS = "withheld: too many false alarms in the A/A comparison"
    UNDERPOWERED = "withheld: nothing is slower, but a slowdown would not have been detected either"
    NOTHING_SLOWER = "nothing slower"


STATUS = {Outcome.SLOWER: 1, Outcome.FAILED: 2, Outcome.NOTHING_COMPARED: 2}
"""Exit status by outcome; the others are 0, so that a noisy machine does not fail a build."""
COMPARED = (Verdict.SLOWER, Verdict.SAME, Verdict.FASTER, Verdict.INCONCLUSIVE)


@dataclass(frozen=True, slots=True)
class Count:
    """The count of one call on base and on head, each a mean over the hash seeds.

    `repeatable` is false if a second process of base counted something else; the ratio then proves nothing.
    """

    base: float
    head: float
    repeatable: bool

    @property
    def ratio(self) -> float:
        """Head's count over base's; NaN if base counted nothing."""
        return self.head / self.base if self.base else math.nan


@dataclass(frozen=True, slots=True)
class Estimate:
    """A ratio of head to base, and its 95% interval."""

    ratio: float
    low: float
    high: float

    @classmethod
    def of(cls, pairs: Ratios) -> "Estimate":
        """Return the estimate from log-ratios, one for each round."""
        return cls(*(math.exp(x) for x in (signflip.estimate(pairs), *signflip.interval(pairs))))


UNKNOWN = Estimate(math.nan, math.nan, math.nan)
Counts = Mapping[str, Mapping[str, Count]]
"""Counts by kind ("instructions", "allocations") and by benchmark."""


@dataclass(frozen=True, slots=True)
class Report:
    """A finished comparison of `head` with `base` (full commit names).

    Attributes:
        base_s: time of one call of each benchmark on base, in s.
        measured: number of rounds by phase: "first", "more" and "confirming".
        kept: number of processes that an earlier, interrupted run had finished.
        core: the core that all processes were pinned to; None if nothing was measured.
        measured_s: time of all processes, including those of the earlier run, in s.
        not_compared: the files that differ and that both sides took from the head, relative to the project.
        means: head's mean time over base's by benchmark: advice, no verdict depends on it.
        notes: further remarks for the reader, one sentence each.
    """

    judgements: Sequence[Judgement]
    error_rates: ErrorRates
    suite: Sequence[str]
    base_s: Mapping[str, float] = field(default_factory=dict)
    measured: Mapping[str, int] = field(default_factory=dict)
    kept: int = 0
    python: str = ""
    measured_s: float = 0.0
    failed_on_head: bool = False
    base: str = ""
    head: str = ""
    core: int | None = None
    seed: int = 0
    wall_s: float = math.nan
    counts: Counts = field(default_factory=dict)
    not_compared: Sequence[str] = ()
    means: Mapping[str, Estimate] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def compared(self) -> int:
        """Number of benchmarks that have a verdict on the change of their code."""
        return sum(judgement.verdict in COMPARED for judgement in self.judgements)

    @property
    def outcome(self) -> Outcome:
        """The overall outcome: low power does not invalidate a *slower*, too many false alarms do."""
        if self.failed_on_head and not self.compared:
            return Outcome.FAILED
        if not self.compared:
            return Outcome.NOTHING_COMPARED
        if self.error_rates.too_many_false_alarms:
            return Outcome.TOO_MANY_FALSE_ALARMS
        if any(judgement.verdict is Verdict.SLOWER for judgement in self.judgements):
            return Outcome.SLOWER
        if self.failed_on_head:
            return Outcome.FAILED
        return Outcome.UNDERPOWERED if self.error_rates.underpowered else Outcome.NOTHING_SLOWER

    @property
    def status(self) -> int:
        """Exit status: 1 if a benchmark is slower, 2 if one fails on the head or none was compared, else 0."""
        return STATUS.get(self.outcome, 0)

    def as_json(self) -> dict[str, Any]:
        """Return the object that `--json` prints; ratios are head / base, `smallest_visible` is a fraction."""
        return {
            "schema": SCHEMA,
            "outcome": self.outcome.value,
            "verdicts": [self._row(judgement) for judgement in self.judgements],
            "self_test": {
                "aa_alarms": self.error_rates.alarms.count,
                "aa_verdicts": self.error_rates.alarms.total,
                "aa_ci": self.error_rates.alarms.interval,
                "power": self.error_rates.detected.value,
                "power_ci": self.error_rates.detected.interval,
                "power_effect": self.error_rates.effect,
            },
            "wall_s": self.wall_s,
            "measured_s": self.measured_s,
            "base": self.base,
            "head": self.head,
            "suite": list(self.suite),
            "rounds": dict(self.measured),
            "kept_processes": self.kept,
            "core": self.core,
            "python": self.python,
            "seed": self.seed,
            "not_compared": list(self.not_compared),
            "notes": list(self.notes),
        }

    def _row(self, judgement: Judgement) -> dict[str, Any]:
        mean = self.means.get(judgement.name, UNKNOWN)
        counted = {kind: found[judgement.name] for kind, found in self.counts.items() if judgement.name in found}
        return {
            "name": judgement.name,
            "verdict": judgement.verdict.value,
            "ratio": judgement.ratio,
            "ci": [judgement.low, judgement.high],
            "mean_ratio": mean.ratio,
            "mean_ci": [mean.low, mean.high],
            "smallest_visible": judgement.smallest_visible,
            "base_s": self.base_s.get(judgement.name, math.nan),
            "p_slower": judgement.p_slower,
            "pairs": judgement.pairs,
            "note": judgement.note,
            "counts": {
                kind: {"base": c.base, "head": c.head, "ratio": c.ratio, "repeatable": c.repeatable}
                for kind, c in counted.items()
            },
        }
