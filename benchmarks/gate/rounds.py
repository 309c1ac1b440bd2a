"""Rounds of fresh processes, those of a round in lockstep, every finished round kept.

Hash seed and order (of starting, and of turns) follow from the seed and the round's number alone, so that a measurement
that goes on after a kill is the one that was begun. Drawing the order is what makes the sign-flip test exact: were base
always first, whatever favours the second would look like a change.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.gate import samples
from heartbench.benchmarks.gate.process import Measurer, Order, hash_seed
from heartbench.benchmarks.gate.progress import Progress
from heartbench.benchmarks.gate.samples import Round, Sample
from heartbench.benchmarks.gate.worktrees import Tree


@dataclass(frozen=True, slots=True)
class Arm:
    """One side of a comparison: a worktree, and in an exam by how much its benchmarks are slowed (`Order.spins`)."""

    name: str
    tree: Tree
    spins: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Phase:
    """Some rounds over all benchmarks or those that are named.

    Attributes:
        groups: the arms that are measured in lockstep; one group of a round after the other.
        first: number of the first round.
    """

    groups: Sequence[Sequence[Arm]]
    first: int
    rounds: int
    benchmarks: Sequence[str] = ()

    @property
    def processes(self) -> int:
        """How many processes the phase takes."""
        return self.rounds * sum(map(len, self.groups))


@dataclass(frozen=True, slots=True)
class Rounds:
    """Measures phases, and keeps each process's sample in `directory`."""

    measurer: Measurer
    directory: Path
    seed: int

    def measure(self, phase: Phase, advance: Callable[[float], None]) -> list[Round]:
        """The samples of all rounds; those that are kept already are not measured again.

        Raises:
            BenchmarkError: a process failed as a whole, or ran another Python than the one before.
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
            wanted = {
                arm.name: Order(arm.tree, hash_seed(self.seed, number), phase.benchmarks, arm.spins) for arm in group
            }
            for name, sample in self.measurer.measure(wanted, f"turns {self.seed} {number}").items():
                samples.write(sample, files[name])
        return {name: samples.read(file) for name, file in files.items()}


def warm_up(rounds: Rounds, arms: Sequence[Arm], progress: Progress) -> Round:
    """Run each benchmark once in each arm, to compile, and to see what there is; the times mean nothing."""
    wanted = {arm.name: Order(arm.tree, hash_seed(rounds.seed, 0), warm_up=True) for arm in arms}
    with progress("Warming up", len(arms)) as advance:
        found = rounds.measurer.measure(wanted, "warming up")
        advance(len(arms))
    return found


def check_python(rounds: Sequence[Round]) -> None:
    """Refuse samples of different interpreters.

    Raises:
        BenchmarkError: two processes ran different versions.
    """
    versions = {sample.python for each in rounds for sample in each.values()}
    if len(versions) > 1:
        raise BenchmarkError(f"not one Python but {len(versions)}: {'; '.join(sorted(versions))}; measure again afresh")
