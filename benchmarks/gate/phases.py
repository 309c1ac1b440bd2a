"""The phases of a comparison, in a plan that is fixed before the first sample.

    first       `rounds` rounds of base, base again and head over the whole suite; spends 4/5 of the level
    more        as many rounds of base and head for undecided benchmarks, within the time budget; spends 1/5
    confirming  as many fresh rounds of base and head for benchmarks that are slower: both must agree

Benchmarks that may use changed files which both sides took from the head are *not compared*. They are measured all the
same, because the compared code may have made them slower; only then do they get a verdict.

Splitting the level over the two looks (Bonferroni) pays for looking twice; confirming can only remove findings.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.gate import samples
from heartbench.benchmarks.gate.error_rates import error_rates
from heartbench.benchmarks.gate.report import Estimate, Report
from heartbench.benchmarks.gate.rounds import Arm, Phase, Progress, Rounds, check_python, warm_up
from heartbench.benchmarks.gate.samples import Round
from heartbench.benchmarks.gate.settings import Settings
from heartbench.benchmarks.gate.verdict import Judgement, Verdict, check_reach, judge

FIRST_LOOK = 0.8
"""Share of the level that is spent on the first rounds."""
BASE, AGAIN, HEAD = "base", "again", "head"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison that is ready to be measured.

    Attributes:
        own: benchmarks that base has without the head's test files.
        why_not: returns the reason for which a benchmark is not compared; empty if it is.
    """

    suite: Sequence[str]
    settings: Settings
    arms: Sequence[Arm]
    rounds: Rounds
    own: Sequence[str]
    progress: Progress
    why_not: Callable[[str], str]

    def report(self) -> Report:
        """Measure, judge, and count the error rates of this comparison.

        Raises:
            BenchmarkError: measuring failed, nothing was measured, or there are too few rounds for any verdict.
        """
        warm = warm_up(self.rounds, self.arms, self.progress)
        both = [name for name in warm[HEAD].times if name in warm[BASE].times]
        if not both:
            raise BenchmarkError(f"{', '.join(self.suite)}: no benchmark was measured{reason(warm)}")
        check_reach(self.settings.rounds, len(both), FIRST_LOOK * self.settings.level)
        return self._judged()

    def _judged(self) -> Report:
        kept = sum(file.suffix == ".json" for file in self.rounds.directory.iterdir())
        measured = self._measure("Comparing", Phase([self.arms], 0, self.settings.rounds))
        level = FIRST_LOOK * self.settings.level
        again = samples.pairs(measured, BASE, AGAIN)
        rates = error_rates(again, self.settings.rules_for(again), level)
        judgements, more = self._look_again(self._compared(self._judge(measured, level)), measured)
        judgements, confirming = self._confirm(judgements)
        judgements = self._compared(judgements)
        everything = [*measured, *more, *confirming]
        check_python(everything)
        means = samples.pairs([*measured, *more], BASE, HEAD, samples.mean_log_ratio)
        return Report(
            judgements=[*judgements, *self._unpaired(measured, {j.name for j in judgements})],
            error_rates=rates,
            suite=self.suite,
            base_s=_of_compared(samples.medians(measured, BASE, lambda timing: timing.median_s), judgements),
            means=_of_compared({name: Estimate.of(x) for name, x in means.items()}, judgements),
            measured={"first": len(measured), "more": len(more), "confirming": len(confirming)},
            kept=kept,
            python=measured[0][BASE].python,
            measured_s=sum(sample.wall_s for each in everything for sample in each.values()),
            failed_on_head=bool(samples.failures(measured, HEAD)),
            notes=_notes(everything),
        )

    def _measure(self, description: str, phase: Phase) -> list[Round]:
        with self.progress(description, phase.processes) as advance:
            return self.rounds.measure(phase, advance)

    def _judge(
        self, measured: Sequence[Round], level: float, only: Sequence[str] = (), suite: int = 0
    ) -> list[Judgement]:
        found = {name: x for name, x in samples.pairs(measured, BASE, HEAD).items() if not only or name in only}
        if not found and not only:
            raise BenchmarkError(f"{', '.join(self.suite)}: no benchmark was measured in every round")
        return judge(found, self.settings.rules_for(found), level, suite)

    def _compared(self, judgements: Sequence[Judgement]) -> list[Judgement]:
        return [not_compared(judgement, self.why_not(judgement.name)) for judgement in judgements]

    def _look_again(self, judgements: list[Judgement], measured: list[Round]) -> tuple[list[Judgement], list[Round]]:
        """Measure more rounds of undecided benchmarks if they fit the budget; only times decide this, never ratios."""
        undecided = [j.name for j in judgements if j.verdict is Verdict.INCONCLUSIVE]
        phase = Phase([self._sides()], self.settings.rounds, self.settings.rounds, undecided)
        walls = [sample.wall_s for each in measured for sample in each.values()]
        expected = sum(walls) + phase.processes * sum(walls) / len(walls)
        if not undecided or expected > self.settings.budget:
            return judgements, []
        more = self._measure(f"{len(undecided)} undecided", phase)
        level = (1 - FIRST_LOOK) * self.settings.level
        second = {j.name: j for j in self._judge([*measured, *more], level, undecided, len(judgements))}
        return [second.get(judgement.name, judgement) for judgement in judgements], more

    def _confirm(self, judgements: list[Judgement]) -> tuple[list[Judgement], list[Round]]:
        """Measure fresh rounds of slower benchmarks; those not slower again become inconclusive."""
        slower = [j.name for j in judgements if j.verdict is Verdict.SLOWER]
        if not slower:
            return judgements, []
        phase = Phase([self._sides()], 2 * self.settings.rounds, self.settings.rounds, slower)
        rounds = self._measure(f"Confirming {len(slower)}", phase)
        second = {j.name: j for j in self._judge(rounds, self.settings.level, slower)}
        return [confirmed(j, second.get(j.name)) if j.name in slower else j for j in judgements], rounds

    def _sides(self) -> list[Arm]:
        return [arm for arm in self.arms if arm.name != AGAIN]

    def _unpaired(self, measured: Sequence[Round], judged: set[str]) -> list[Judgement]:
        """Return the judgements of benchmarks that exist, or work, on one side only."""
        seen = {arm.name: measured[0][arm.name].benchmarks for arm in self.arms}
        failed = {arm.name: samples.failures(measured, arm.name) for arm in self.arms}
        names = dict.fromkeys([*seen[HEAD], *seen[BASE], *self.own])
        return [one_sided(name, seen, self.own, failed, len(measured)) for name in names if name not in judged]


def _notes(measured: Sequence[Round]) -> list[str]:
    apart = samples.apart(measured, BASE, HEAD)
    return [
        f"{len(apart)} of the benchmarks ({name}…) were not always measured interleaved, for instance because "
        "the processes ran their tests in different orders; read them with caution"
        for name in apart[:1]
    ]


Figure = TypeVar("Figure")


def _of_compared(figures: Mapping[str, Figure], judgements: Sequence[Judgement]) -> dict[str, Figure]:
    hidden = {judgement.name for judgement in judgements if judgement.verdict is Verdict.NOT_COMPARED}
    return {name: figure for name, figure in figures.items() if name not in hidden}


def not_compared(judgement: Judgement, reason: str) -> Judgement:
    """Return a judgement without figures if there is a reason; *slower* stands: the compared code explains it."""
    if not reason or judgement.verdict is Verdict.SLOWER:
        return judgement
    return Judgement(judgement.name, Verdict.NOT_COMPARED, note=reason)


def confirmed(first: Judgement, second: Judgement | None) -> Judgement:
    """Return the judgement *slower* after its confirmation: still slower, or inconclusive."""
    if second is None:
        return replace(first, verdict=Verdict.INCONCLUSIVE, note="slower at first; failed in the confirming rounds")
    figures = f"{second.ratio:.3f} [{second.low:.3f}, {second.high:.3f}] in fresh processes"
    if second.verdict is Verdict.SLOWER:
        return replace(first, note=f"confirmed: {figures}")
    return replace(first, verdict=Verdict.INCONCLUSIVE, note=f"slower at first, not confirmed: {figures}")


def one_sided(
    name: str,
    seen: Mapping[str, Sequence[str]],
    own: Sequence[str],
    failed: Mapping[str, Mapping[str, tuple[int, str]]],
    rounds: int,
) -> Judgement:
    """Return the judgement of a benchmark without pairs: new, gone or failed, and where."""
    reasons = {}
    for arm in (BASE, HEAD):
        count, reason = failed[arm].get(name) or failed[arm].get(name.partition("::")[0]) or (0, "")
        if count:
            reasons[arm] = f"fails on {arm} in {count} of {rounds} processes: {reason}"
    note = "; ".join(reasons.values())
    if name not in seen[HEAD] and HEAD not in reasons:
        return Judgement(name, Verdict.GONE)
    if HEAD not in reasons and name not in own and (reasons or name not in seen[BASE]):
        return Judgement(name, Verdict.NEW, note=note)
    return Judgement(name, Verdict.FAILED, note=note or "skipped, or measured as 0 s, in some processes")


def reason(seen: Round) -> str:
    """Return the first reason for which no benchmark was measured."""
    for arm in (HEAD, BASE):
        for name, failure in seen[arm].failures.items():
            return f"; {name} fails on {arm}: {failure}"
    return ": no test in it uses the `benchmark` fixture"
