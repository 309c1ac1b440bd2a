"""Rounds of fresh processes: each arm once in a round, in shuffled order, every finished process kept.

Order and hash seed of a round follow from the seed and the round's number alone, so that a measurement that goes on
after a kill is the one that was begun. The shuffle is what makes the sign-flip test exact: were base always first,
whatever favours the second process would look like a change.

A benchmark that was disturbed in every pass of a process (`samples.disturbed`) is measured again in another process of
the same round, arm and hash seed, at most REPEATS times. The rule is the same for all arms and does not look at the
benchmark's own times, so the pairs stay as symmetric as they were.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.gate import samples
from heartbench.benchmarks.gate.process import Measurer, Order, hash_seed
from heartbench.benchmarks.gate.progress import Progress
from heartbench.benchmarks.gate.samples import Round, Sample
from heartbench.benchmarks.gate.worktrees import Tree

REPEATS = 2


@dataclass(frozen=True, slots=True)
class Arm:
    """One side of a comparison: a worktree, and in an exam by how much its benchmarks are slowed (`Order.turns`)."""

    name: str
    tree: Tree
    turns: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Phase:
    """Some rounds of some arms, over all benchmarks or those that are named."""

    arms: Sequence[Arm]
    first: int
    rounds: int
    benchmarks: Sequence[str] = ()

    @property
    def processes(self) -> int:
        """How many processes the phase takes."""
        return self.rounds * len(self.arms)


@dataclass(frozen=True, slots=True)
class Rounds:
    """Measures phases, and keeps each process's sample in `directory`."""

    measurer: Measurer
    directory: Path
    seed: int
    quiet_turn_s: float = math.nan
    """What is undisturbed (`samples.quiet_turn_s`); NaN repeats nothing."""

    def measure(self, phase: Phase, advance: Callable[[float], None]) -> list[Round]:
        """The samples of all rounds; those that are kept already are not measured again.

        Raises:
            BenchmarkError: a process failed as a whole, or ran another Python than the one before.
        """
        measured: list[Round] = []
        for number in range(phase.first, phase.first + phase.rounds):
            found: dict[str, Sample] = {}
            for arm in order(phase.arms, self.seed, number):
                found[arm.name] = self._sample(phase, arm, number)
                advance(1)
            measured.append(found)
        check_python(measured)
        return measured

    def _file(self, phase: Phase, arm: Arm, number: int) -> Path:
        return self.directory / f"{number:05d}-{phase.arms.index(arm):02d}.json"

    def _sample(self, phase: Phase, arm: Arm, number: int) -> Sample:
        file = self._file(phase, arm, number)
        if not file.exists():
            wanted = Order(arm.tree, hash_seed(self.seed, number), phase.benchmarks, arm.turns)
            samples.write(self._undisturbed(wanted, file.stem), file)
        return samples.read(file)

    def _undisturbed(self, wanted: Order, name: str) -> Sample:
        """Measure, and again what was disturbed all the time."""
        sample = self.measurer.measure(wanted, name)
        for _ in range(REPEATS):
            again = samples.disturbed(sample, self.quiet_turn_s)
            if not again:
                break
            sample = samples.joined(sample, self.measurer.measure(replace(wanted, benchmarks=again), name))
        return sample


def warm_up(rounds: Rounds, arms: Sequence[Arm], progress: Progress) -> Round:
    """Run each benchmark once in each arm, to compile, and to see what there is; the times mean nothing."""
    found: dict[str, Sample] = {}
    with progress("Warming up", len(arms)) as advance:
        for position, arm in enumerate(arms):
            wanted = Order(arm.tree, hash_seed(rounds.seed, 0), warm_up=True)
            found[arm.name] = rounds.measurer.measure(wanted, f"warm-{position:02d}")
            advance(1)
    return found


def order(arms: Sequence[Arm], seed: int, number: int) -> list[Arm]:
    """The arms of a round as they are run."""
    shuffled = list(arms)
    random.Random(f"order {seed} {number}").shuffle(shuffled)
    return shuffled


def check_python(rounds: Sequence[Round]) -> None:
    """Refuse samples of different interpreters.

    Raises:
        BenchmarkError: two processes ran different versions.
    """
    versions = {sample.python for each in rounds for sample in each.values()}
    if len(versions) > 1:
        raise BenchmarkError(f"not one Python but {len(versions)}: {'; '.join(sorted(versions))}; measure again afresh")
