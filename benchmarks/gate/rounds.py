"""Rounds of fresh processes, those of a round interleaved, every finished round stored.

Hash seeds and orders (of starting, and of turns) follow from the seed and the round's number alone, so a resumed
measurement equals an uninterrupted one. The random order is what makes the sign-flip test exact: if base always ran
first, any advantage of the second process would look like a change.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.gate import samples
from heartbench.benchmarks.gate.process import Measurer, Order, hash_seed
from heartbench.benchmarks.gate.samples import Round, Sample
from heartbench.benchmarks.gate.worktrees import Tree

Advance = Callable[[float], None]
"""Reports a number of finished steps."""
Progress = Callable[[str, float], AbstractContextManager[Advance]]
"""Shows a piece of work with its description and number of steps."""


def silent(_description: str, _steps: float) -> AbstractContextManager[Advance]:
    """Show nothing."""
    return nullcontext(lambda _: None)


@dataclass(frozen=True, slots=True)
class Arm:
    """One side of a comparison: a worktree, and in a self-test the spins that slow its benchmarks (`Order.spins`)."""

    name: str
    tree: Tree
    spins: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Phase:
    """Some rounds over the named benchmarks, or over all.

    Attributes:
        groups: the arms that are interleaved; within a round, one group runs after the other.
        first: number of the first round.
    """

    groups: Sequence[Sequence[Arm]]
    first: int
    rounds: int
    benchmarks: Sequence[str] = ()

    @property
    def processes(self) -> int:
        """Number of processes in the phase."""
        return self.rounds * sum(map(len, self.groups))


@dataclass(frozen=True, slots=True)
class Rounds:
    """Measures phases, and stores each process's sample in `directory`."""

    measurer: Measurer
    directory: Path
    seed: int

    def measure(self, phase: Phase, advance: Advance) -> list[Round]:
        """Return the samples of all rounds; measure only those that are not stored yet.

        Raises:
            BenchmarkError: a process failed as a whole, or ran a different Python than the others.
        """
        measured: list[Round] = []
        for number in range(phase.first, phase.first + phase.rounds):
            found: dict[str, Sample] = {}
            for group in phase.groups:
                found |= self._samples(phase, group, number)
                advance(len(group))
            measured.append(found)
        check_python(measured)
        return measured

    def _samples(self, phase: Phase, group: Sequence[Arm], number: int) -> dict[str, Sample]:
        files = {arm.name: self.directory / f"{number:05d}-{arm.name}.json" for arm in group}
        if not all(file.exists() for file in files.values()):
            seed = hash_seed(self.seed, number)
            wanted = {arm.name: Order(arm.tree, seed, phase.benchmarks, arm.spins) for arm in group}
            for name, sample in self.measurer.measure(wanted, f"turns {self.seed} {number}").items():
                samples.write(sample, files[name])
        return {name: samples.read(file) for name, file in files.items()}


def warm_up(rounds: Rounds, arms: Sequence[Arm], progress: Progress) -> Round:
    """Run each benchmark once in each arm, to compile it and to find out whether it works; the times mean nothing."""
    wanted = {arm.name: Order(arm.tree, hash_seed(rounds.seed, 0), warm_up=True) for arm in arms}
    with progress("Warming up", len(arms)) as advance:
        found = rounds.measurer.measure(wanted, "warming up")
        advance(len(arms))
    return found


def check_python(rounds: Sequence[Round]) -> None:
    """Raise BenchmarkError for samples of different versions of Python."""
    versions = {sample.python for each in rounds for sample in each.values()}
    if len(versions) > 1:
        raise BenchmarkError(
            f"processes ran {len(versions)} versions of Python: {'; '.join(sorted(versions))}; "
            "use --fresh to start over"
        )
