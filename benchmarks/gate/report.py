"""What a comparison found, whole: the verdicts, its own error rates, and what it was measured on."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from heartbench.benchmarks.gate import signflip
from heartbench.benchmarks.gate.selftest import SelfTest
from heartbench.benchmarks.gate.signflip import Ratios
from heartbench.benchmarks.gate.verdict import Judgement, Verdict

SCHEMA = "heartbench.bench/1"


class Outcome(StrEnum):
    """What a comparison says as a whole."""

    NOTHING_COMPARED = "nothing compared"
    SLOWER = "slower"
    FAILED = "failed on the head"
    TOO_MANY_FALSE_ALARMS = "withheld: too many false alarms of base against base"
    UNDERPOWERED = "withheld: nothing is slower, but a slowdown would not have been seen either"
    NOTHING_SLOWER = "nothing slower"


STATUS = {Outcome.SLOWER: 1, Outcome.FAILED: 2, Outcome.NOTHING_COMPARED: 2}
"""Exit status by outcome; the others are 0, so that a noisy machine does not turn a build red."""
COMPARED = (Verdict.SLOWER, Verdict.SAME, Verdict.FASTER, Verdict.CANNOT_TELL)


@dataclass(frozen=True, slots=True)
class Count:
    """A count without noise: of one call, on base and on head, the mean over the hash seeds.

    `repeatable` is false where a second process of base counted something else; the ratio then proves nothing.
    """

    base: float
    head: float
    repeatable: bool

    @property
    def ratio(self) -> float:
        """Head's count over base's; NaN where base counted nothing."""
        return self.head / self.base if self.base else math.nan


@dataclass(frozen=True, slots=True)
class Estimate:
    """A ratio of head to base, and its 95 % interval."""

    ratio: float
    low: float
    high: float

    @classmethod
    def of(cls, pairs: Ratios) -> "Estimate":
        """Return the estimate from log-ratios, one for each round."""
        return cls(*(math.exp(x) for x in (signflip.estimate(pairs), *signflip.interval(pairs))))


UNKNOWN = Estimate(math.nan, math.nan, math.nan)
Counts = Mapping[str, Mapping[str, Count]]
"""Counts by what is counted ("instructions", "allocations") and by benchmark."""


@dataclass(frozen=True, slots=True)
class Report:
    """A finished comparison of `head` with `base` (full commit names).

    Attributes:
        base_s: what a call of each benchmark takes on base, in s.
        measured: rounds by what they were for: "first", "more" and "confirming".
        kept: processes that an earlier, interrupted run had finished.
        core: the core that all processes were pinned to; None where that was not possible.
        measured_s: the time of all processes, those of the earlier run too, in s.
        not_compared: the files that differ and that both sides had from the head, relative to the project.
        means: head's mean time over base's by benchmark: advice, no verdict hangs on it.
        notes: what the reader should know besides, a sentence each.
    """

    judgements: Sequence[Judgement]
    self_test: SelfTest
    suite: Sequence[str]
    base_s: Mapping[str, float]
    measured: Mapping[str, int]
    kept: int
    python: str
    measured_s: float
    failed_on_head: bool
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
        """How many benchmarks have a verdict on the change of their code."""
        return sum(judgement.verdict in COMPARED for judgement in self.judgements)

    @property
    def outcome(self) -> Outcome:
        """The one thing that counts. A red stands although the power is low; it does not against false alarms."""
        if self.failed_on_head and not self.compared:
            return Outcome.FAILED
        if not self.compared:
            return Outcome.NOTHING_COMPARED
        if self.self_test.cries_wolf:
            return Outcome.TOO_MANY_FALSE_ALARMS
        if any(judgement.verdict is Verdict.SLOWER for judgement in self.judgements):
            return Outcome.SLOWER
        if self.failed_on_head:
            return Outcome.FAILED
        return Outcome.UNDERPOWERED if self.self_test.sleeps else Outcome.NOTHING_SLOWER

    @property
    def status(self) -> int:
        """Exit status: 1 if a benchmark is slower, 2 if one fails on the head or none was compared, else 0."""
        return STATUS.get(self.outcome, 0)

    def as_json(self) -> dict[str, Any]:
        """The object that `--json` prints; ratios are head / base, `smallest_visible` is a fraction of the time."""
        return {
            "schema": SCHEMA,
            "outcome": self.outcome.value,
            "verdicts": [self._row(judgement) for judgement in self.judgements],
            "self_test": {
                "aa_alarms": self.self_test.alarms.count,
                "aa_verdicts": self.self_test.alarms.total,
                "aa_ci": self.self_test.alarms.interval,
                "power": self.self_test.found.value,
                "power_ci": self.self_test.found.interval,
                "power_effect": self.self_test.effect,
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
