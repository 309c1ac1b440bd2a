"""The exam of the gate on this machine: one revision against itself, and against itself really slowed down.

All arms share their rounds, so that every repetition gives false alarms and power together:

    still-0, again-0, still-1, again-1, …   the same code twice: each pair is a suite of verdicts of base against base
    slow-2%, slow-3%, slow-5%, slow-10%     the same code with extra turns of an empty loop *inside* each measured call

How many turns make 1 % is measured first, for each benchmark: a first guess from the loop's own time, then corrected by
what the guess did over some rounds of its own. No sample is ever changed. What the slowdowns came to is reported.

Each slowed benchmark is judged as if it alone had changed, at the level of Holm's first step; base against base is
judged as a suite. Nothing is looked at twice and nothing confirmed: these are the error rates of the first look.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.gate import samples, signflip, worktrees
from heartbench.benchmarks.gate.compare import Subject
from heartbench.benchmarks.gate.keeping import kept
from heartbench.benchmarks.gate.phases import FIRST_LOOK
from heartbench.benchmarks.gate.process import Measurer, pinned
from heartbench.benchmarks.gate.progress import Progress, silent
from heartbench.benchmarks.gate.rounds import Arm, Phase, Rounds, warm_up
from heartbench.benchmarks.gate.samples import Round
from heartbench.benchmarks.gate.settings import Settings
from heartbench.benchmarks.gate.verdict import Verdict, check_reach, is_slower, judge

SLOWDOWNS = (0.02, 0.03, 0.05, 0.10)
PROBED = 0.10
"""The slowdown that the turns are calibrated with: far above the noise, near enough to be in proportion."""
CALIBRATION_ROUNDS = 6
CALIBRATION = 90_000
"""Number of the first calibrating round; the exam's own begin at 0."""


@dataclass(frozen=True, slots=True)
class ExamVerdict:
    """One verdict of the exam.

    Attributes:
        slowdown: what was injected, as a fraction; 0 for base against base.
        pair: which of the pairs of base and base again, or whose base the slowed arm was compared with.
        pair_sd: standard deviation of the log-ratios of this verdict's own pairs.
        mean_over_5_percent: in how many of its pairs `--benchmark-compare-fail=mean:5%` would have failed.
    """

    repetition: int
    benchmark: str
    slowdown: float
    pair: int
    slower: bool
    p_slower: float
    ratio: float
    low: float
    high: float
    pair_sd: float
    pairs: int
    mean_over_5_percent: int


@dataclass(frozen=True, slots=True)
class Exam:
    """What an exam found, and on what.

    Attributes:
        rounds: the rounds of each repetition, from which all verdicts follow.
        process_s: what a process took, in s, in the mean.
    """

    verdicts: Sequence[ExamVerdict]
    rounds: Sequence[Sequence[Round]]
    revision: str
    suite: Sequence[str]
    settings: Settings
    python: str
    core: int | None
    seed: int
    process_s: float
    wall_s: float


@dataclass(frozen=True, slots=True)
class Length:
    """How long an exam is: `pairs` of base and base again in each repetition, `limit_s` no new one begins after."""

    repetitions: int = 5
    pairs: int = 3
    limit_s: float = math.inf


def examine(
    subject: Subject, length: Length, *, core: int | None = None, fresh: bool = False, progress: Progress = silent
) -> Exam:
    """Hold the exam; an interrupted one goes on from its finished processes.

    Raises:
        BenchmarkError: it could not be measured.
    """
    start = time.monotonic()
    plan = {**subject.plan, "pairs": length.pairs, "slowdowns": SLOWDOWNS}
    with (
        kept(subject.project, f"exam-{subject.head[:7]}", plan, fresh=fresh) as directory,
        pinned(core) as chosen,
        _two_trees(subject, directory) as trees,
    ):
        measurer = Measurer(subject.python, subject.suite, subject.settings, directory / "work")
        rounds = Rounds(measurer, directory / "rounds", subject.seed)
        arms, rounds = _calibrated(rounds, trees, length, progress)
        repetitions = list(_repetitions(subject, rounds, arms, length, start, progress))
        (directory / "report.json").write_text("{}", "utf-8")
    verdicts = [
        each for number, found in enumerate(repetitions) for each in verdicts_of(number, found, subject.settings)
    ]
    walls = [sample.wall_s for found in repetitions for each in found for sample in each.values()]
    python = next(iter(repetitions[0][0].values())).python
    about = (subject.head, subject.suite, subject.settings, python, chosen, subject.seed)
    return Exam(verdicts, repetitions, *about, float(np.mean(walls)), time.monotonic() - start)


@contextmanager
def _two_trees(subject: Subject, directory: Path) -> Iterator[tuple[worktrees.Tree, worktrees.Tree]]:
    """The same revision twice, as base and head of a comparison are two worktrees."""
    paths = [directory / "trees" / str(number) for number in range(2)]
    try:
        first, second = (worktrees.lay(subject.project, path, subject.head) for path in paths)
        for tree in (first, second):
            worktrees.prepare(tree, subject.settings.prepare)
        yield first, second
    finally:
        for path in paths:
            worktrees.remove(subject.project, path)


def _calibrated(
    rounds: Rounds, trees: tuple[worktrees.Tree, worktrees.Tree], length: Length, progress: Progress
) -> tuple[list[Arm], Rounds]:
    """The arms of the exam with the turns that their slowdowns take, and how quick it is here."""
    still, other = Arm("still", trees[0], {}), Arm("other", trees[1], {})
    warm = warm_up(rounds, [still, other], progress)
    check_reach(
        rounds.measurer.settings.rounds, max(1, len(warm["still"].times)), FIRST_LOOK * rounds.measurer.settings.level
    )
    rounds = replace(rounds, quiet_turn_s=samples.quiet_turn_s(warm.values()))
    with progress("Calibrating", 3 * CALIBRATION_ROUNDS) as advance:
        first = rounds.measure(Phase([still], CALIBRATION, CALIBRATION_ROUNDS), advance)
        guess = turns_for_all(first, "still")
        probed = Arm("probed", trees[1], {name: PROBED * turns for name, turns in guess.items()})
        phase = Phase([still, probed], CALIBRATION + CALIBRATION_ROUNDS, CALIBRATION_ROUNDS)
        turns = corrected(guess, rounds.measure(phase, advance))
    arms = [
        Arm(f"{name}-{k}", tree, {})
        for k in range(length.pairs)
        for name, tree in zip(("still", "again"), trees, strict=True)
    ]
    arms += [Arm(f"slow-{x:.0%}", trees[1], {name: x * all_ for name, all_ in turns.items()}) for x in SLOWDOWNS]
    return arms, rounds


def turns_for_all(rounds: Sequence[Round], arm: str) -> dict[str, float]:
    """For each benchmark the turns of the empty loop that take as long as one call."""
    turn_s = samples.quiet_turn_s(each[arm] for each in rounds)
    times = samples.typical_s(rounds, arm)
    if not times:
        raise BenchmarkError("no benchmark was measured: there is nothing to examine the gate with")
    return {name: time_s / turn_s for name, time_s in times.items()}


def corrected(turns: Mapping[str, float], rounds: Sequence[Round]) -> dict[str, float]:
    """The turns after what PROBED of them really did; a benchmark where that was nothing like it keeps the guess."""
    attained = {name: math.expm1(signflip.estimate(x)) for name, x in samples.pairs(rounds, "still", "probed").items()}
    plausible = {name: PROBED / x for name, x in attained.items() if PROBED / 2 < x < PROBED * 2}
    return {name: number * plausible.get(name, 1.0) for name, number in turns.items()}


def _repetitions(
    subject: Subject, rounds: Rounds, arms: Sequence[Arm], length: Length, start: float, progress: Progress
) -> Iterator[list[Round]]:
    each = subject.settings.rounds
    for number in range(length.repetitions):
        if number and time.monotonic() - start > length.limit_s:
            return
        phase = Phase(arms, number * each, each)
        with progress(f"Repetition {number + 1} of {length.repetitions}", phase.processes) as advance:
            yield rounds.measure(phase, advance)


def verdicts_of(number: int, rounds: Sequence[Round], settings: Settings) -> list[ExamVerdict]:
    """All verdicts that follow from the rounds of one repetition."""
    arms = list(rounds[0])
    count = sum(name.startswith("still-") for name in arms)
    found = []
    for pair in range(count):
        found += _verdicts(number, rounds, settings, 0.0, pair, f"again-{pair}")
    for position, slowdown in enumerate(SLOWDOWNS):
        if f"slow-{slowdown:.0%}" in arms:
            found += _verdicts(number, rounds, settings, slowdown, position % count, f"slow-{slowdown:.0%}")
    return found


def _verdicts(
    number: int, rounds: Sequence[Round], settings: Settings, slowdown: float, pair: int, head: str
) -> list[ExamVerdict]:
    base = f"still-{pair}"
    pairs = samples.pairs(rounds, base, head)
    rules, level = settings.rules_for(pairs), FIRST_LOOK * settings.level
    return [
        ExamVerdict(
            repetition=number,
            benchmark=each.name,
            slowdown=slowdown,
            pair=pair,
            slower=is_slower(pairs[each.name], rules[each.name], level / len(pairs))
            if slowdown
            else each.verdict is Verdict.SLOWER,
            p_slower=each.p_slower,
            ratio=each.ratio,
            low=each.low,
            high=each.high,
            pair_sd=float(pairs[each.name].std(ddof=1)),
            pairs=each.pairs,
            mean_over_5_percent=sum(mean_ratio(each_round, base, head, each.name) > 1.05 for each_round in rounds),
        )
        for each in judge(pairs, rules, level, visible=False)
    ]


def mean_ratio(found: Round, base: str, head: str, name: str) -> float:
    """Head's mean over base's as pytest-benchmark's `--benchmark-compare-fail=mean:…` compares them."""
    means = [np.mean([each.mean_s for each in found[arm].times[name]]) for arm in (base, head)]
    return float(means[1] / means[0])
