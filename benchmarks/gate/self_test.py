"""The gate's self-test: compare a revision with itself, and with itself really slowed down.

Every repetition gives false alarms and power together. Its arms are measured in groups, one group after the other; the
arms of a group are interleaved as those of a comparison are:

    still-0, again-0, slow-2%, slow-10%     the same code twice, for a suite of A/A verdicts; and the same code with
    still-1, again-1, slow-3%               extra spins of an empty loop *inside* each measured call
    still-2, again-2, slow-5%

The number of spins for a slowdown of 1% is calibrated first, for each benchmark: a guess from the loop's own time, then
a correction by the effect of that guess over some rounds. No sample is ever changed. The report contains the attained
slowdowns.

Each slowed benchmark is judged as if it alone had changed, at the level of Holm's first step; A/A comparisons are
judged as a suite. There is no second look and no confirmation: these are the error rates of the first look.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.gate import samples, signflip, worktrees
from heartbench.benchmarks.gate.checkpoint import checkpoint
from heartbench.benchmarks.gate.compare import Subject
from heartbench.benchmarks.gate.phases import FIRST_LOOK
from heartbench.benchmarks.gate.process import Measurer, pinned
from heartbench.benchmarks.gate.rounds import Arm, Phase, Progress, Rounds, silent, warm_up
from heartbench.benchmarks.gate.samples import Round
from heartbench.benchmarks.gate.settings import Settings
from heartbench.benchmarks.gate.verdict import Verdict, check_reach, is_slower, judge

SLOWDOWNS = (0.02, 0.03, 0.05, 0.10)
PROBED = 0.10
"""The slowdown that the spins are calibrated with: far above the noise, and near enough to scale linearly."""
CALIBRATION_ROUNDS = 6
CALIBRATION = 90_000
"""Number of the first calibration round; those of the self-test begin at 0."""


@dataclass(frozen=True, slots=True)
class SelfTestVerdict:
    """One verdict of the self-test, of the group of arms with the number `pair`.

    `slowdown` is the injected one as a fraction, 0 in an A/A comparison; `pair_sd` the standard deviation of the
    log-ratios of this verdict's own pairs.
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


@dataclass(frozen=True, slots=True)
class SelfTest:
    """The result of a self-test of the subject's head, and the conditions it was measured under.

    All verdicts follow from `rounds`, those of each repetition. `process_s` is the mean time of a process.
    """

    verdicts: Sequence[SelfTestVerdict]
    rounds: Sequence[Sequence[Round]]
    subject: Subject
    python: str
    core: int
    process_s: float
    wall_s: float


@dataclass(frozen=True, slots=True)
class Length:
    """How long a self-test is: repetitions, A/A comparisons in each, and the time after which none starts, in s."""

    repetitions: int = 5
    pairs: int = 3
    limit_s: float = math.inf


def run_self_test(
    subject: Subject,
    length: Length,
    *,
    core: int | None = None,
    fresh: bool = False,
    progress: Progress = silent,
    save: Callable[[SelfTest], object] = lambda _: None,
) -> SelfTest:
    """Run the self-test; one that was interrupted, or that `save` could not write, resumes from its finished rounds.

    `fresh` starts over instead.

    Raises:
        BenchmarkError: it could not be measured.
    """
    start = time.monotonic()
    plan = subject.plan(pairs=length.pairs, slowdowns=SLOWDOWNS)
    with (
        checkpoint(subject.project, f"self-test-{subject.head[:7]}", plan, fresh=fresh) as directory,
        pinned(core) as chosen,
        worktrees.laid(subject.project, directory / "trees", [subject.head] * 2, subject.settings.prepare) as trees,
    ):
        measurer = Measurer(subject.python, subject.suite, subject.settings, directory / "work")
        rounds = Rounds(measurer, directory / "rounds", subject.seed)
        groups = _calibrated(rounds, trees, length, progress)
        repetitions = list(_repetitions(subject, rounds, groups, length, start, progress))
        verdicts = [
            each for number, found in enumerate(repetitions) for each in verdicts_of(number, found, subject.settings)
        ]
        walls = [sample.wall_s for found in repetitions for each in found for sample in each.values()]
        python = next(iter(repetitions[0][0].values())).python
        process_s, wall_s = float(np.mean(walls)), time.monotonic() - start
        result = SelfTest(verdicts, repetitions, subject, python, chosen, process_s, wall_s)
        save(result)
        (directory / "report.json").write_text("{}", "utf-8")
    return result


def _calibrated(rounds: Rounds, trees: Sequence[worktrees.Tree], length: Length, progress: Progress) -> list[list[Arm]]:
    """Return the groups of arms, with the spins that their slowdowns take."""
    still, other = Arm("still", trees[0], {}), Arm("other", trees[1], {})
    warm = warm_up(rounds, [still, other], progress)
    check_reach(
        rounds.measurer.settings.rounds, max(1, len(warm["still"].times)), FIRST_LOOK * rounds.measurer.settings.level
    )
    with progress("Calibrating", 3 * CALIBRATION_ROUNDS) as advance:
        guess = spins_for_all(rounds.measure(Phase([[still]], CALIBRATION, CALIBRATION_ROUNDS), advance), "still")
        probed = Arm("probed", trees[1], {name: PROBED * spins for name, spins in guess.items()})
        phase = Phase([[still, probed]], CALIBRATION + CALIBRATION_ROUNDS, CALIBRATION_ROUNDS)
        spins = corrected(guess, rounds.measure(phase, advance))
    groups = [[Arm(f"still-{k}", trees[0], {}), Arm(f"again-{k}", trees[1], {})] for k in range(length.pairs)]
    for position, slowdown in enumerate(SLOWDOWNS):
        more = {name: slowdown * all_ for name, all_ in spins.items()}
        groups[position % length.pairs].append(Arm(f"slow-{slowdown:.0%}", trees[1], more))
    return groups


def spins_for_all(rounds: Sequence[Round], arm: str) -> dict[str, float]:
    """Return for each benchmark the spins of an empty loop that take as long as one call: the median over processes."""
    found = samples.medians(rounds, arm, lambda timing: timing.median_s / timing.spin_s)
    if not found:
        raise BenchmarkError("no benchmark was measured, so the gate cannot be tested")
    return found


def corrected(spins: Mapping[str, float], rounds: Sequence[Round]) -> dict[str, float]:
    """Return the spins, corrected by the slowdown that PROBED of them attained; an implausible one changes nothing."""
    attained = {name: math.expm1(signflip.estimate(x)) for name, x in samples.pairs(rounds, "still", "probed").items()}
    plausible = {name: PROBED / x for name, x in attained.items() if PROBED / 2 < x < PROBED * 2}
    return {name: number * plausible.get(name, 1.0) for name, number in spins.items()}


def _repetitions(
    subject: Subject,
    rounds: Rounds,
    groups: Sequence[Sequence[Arm]],
    length: Length,
    start: float,
    progress: Progress,
) -> Iterator[list[Round]]:
    each = subject.settings.rounds
    for number in range(length.repetitions):
        if number and time.monotonic() - start > length.limit_s:
            return
        phase = Phase(groups, number * each, each)
        with progress(f"Repetition {number + 1} of {length.repetitions}", phase.processes) as advance:
            yield rounds.measure(phase, advance)


def bases(rounds: Sequence[Round]) -> dict[str, str]:
    """Return the arm that each arm is compared with: the base of its group (`still-…` with itself)."""
    pairs = sum(name.startswith("still-") for name in rounds[0])
    found = {f"{kind}-{k}": f"still-{k}" for k in range(pairs) for kind in ("still", "again")}
    return found | {f"slow-{x:.0%}": f"still-{position % pairs}" for position, x in enumerate(SLOWDOWNS)}


def verdicts_of(number: int, rounds: Sequence[Round], settings: Settings) -> list[SelfTestVerdict]:
    """Return all verdicts that follow from the rounds of one repetition."""
    slowdowns = {f"slow-{x:.0%}": x for x in SLOWDOWNS}
    compared = [(head, base) for head, base in bases(rounds).items() if head != base]
    found = (_verdicts(number, rounds, settings, slowdowns.get(head, 0.0), base, head) for head, base in compared)
    return [each for verdicts in found for each in verdicts]


def _verdicts(
    number: int, rounds: Sequence[Round], settings: Settings, slowdown: float, base: str, head: str
) -> list[SelfTestVerdict]:
    pairs = samples.pairs(rounds, base, head)
    rules, level = settings.rules_for(pairs), FIRST_LOOK * settings.level
    return [
        SelfTestVerdict(
            repetition=number,
            benchmark=each.name,
            slowdown=slowdown,
            pair=int(base.removeprefix("still-")),
            slower=is_slower(pairs[each.name], rules[each.name], level / len(pairs))
            if slowdown
            else each.verdict is Verdict.SLOWER,
            p_slower=each.p_slower,
            ratio=each.ratio,
            low=each.low,
            high=each.high,
            pair_sd=float(pairs[each.name].std(ddof=1)),
            pairs=each.pairs,
        )
        for each in judge(pairs, rules, level, visible=False)
    ]
