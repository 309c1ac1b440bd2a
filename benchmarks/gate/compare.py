"""A comparison from the name of a revision to the report: create the worktrees, measure, remove them."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.gate import overlay, samples, worktrees
from heartbench.benchmarks.gate.checkpoint import checkpoint
from heartbench.benchmarks.gate.counts import LONGEST_S, count_all
from heartbench.benchmarks.gate.error_rates import ErrorRates, Share
from heartbench.benchmarks.gate.overlay import Changes
from heartbench.benchmarks.gate.phases import AGAIN, BASE, HEAD, Comparison
from heartbench.benchmarks.gate.process import Measurer, interpreter, paths_of, pinned
from heartbench.benchmarks.gate.report import Report
from heartbench.benchmarks.gate.rounds import Arm, Progress, Rounds, silent
from heartbench.benchmarks.gate.settings import Settings, chosen_suite
from heartbench.benchmarks.gate.verdict import Judgement, Verdict


@dataclass(frozen=True, slots=True)
class Subject:
    """What is compared, and how: everything that the samples depend on."""

    project: Path
    suite: tuple[str, ...]
    settings: Settings
    python: Path
    base: str
    head: str
    seed: int

    def plan(self, **more: object) -> str:
        """Return all that a sample depends on, with what else a self-test adds, as it is stored beside the rounds."""
        names = ("base", "head", "suite", "python", "seed")
        settings = self.settings.model_dump(mode="json")
        about = {name: getattr(self, name) for name in names} | {"settings": settings, "samples": samples.FORMAT}
        return json.dumps(about | more, indent=2, default=str)

    def changes(self) -> Changes:
        """Return the files that differ between the revisions, and which of them both sides take from the head."""
        suite = paths_of(self.suite)
        return overlay.changes(self.project, self.base, self.head, suite, self.settings.overlay)


def subject(project: Path, against: str, suite: Sequence[str], settings: Settings, seed: int = 0) -> Subject:
    """Resolve what is to be compared; nothing is measured yet.

    Raises:
        BenchmarkError: there is no such project, revision, suite or interpreter.
    """
    if not project.is_dir():
        raise BenchmarkError(f"--project {project}: no such directory")
    project = project.resolve()
    base, head = worktrees.commit_of(project, against), worktrees.commit_of_work_tree(project)
    chosen = chosen_suite(project, suite, settings)
    return Subject(project, chosen, settings, interpreter(project, settings), base, head, seed)


def compare(
    subject: Subject,
    *,
    core: int | None = None,
    fresh: bool = False,
    counting: bool = False,
    progress: Progress = silent,
) -> Report:
    """Measure and judge both revisions; measure nothing if only files that both sides take from the head differ.

    `fresh` starts over instead of resuming an interrupted comparison; `counting` also counts instructions and
    allocations, if the tools are installed.

    Raises:
        BenchmarkError: it could not be measured, or nothing was.
    """
    start = time.monotonic()
    changes = subject.changes()
    if not changes.compared:
        return nothing_compared(subject, changes)
    name = f"{subject.base[:7]}-{subject.head[:7]}"
    with (
        checkpoint(subject.project, name, subject.plan(), fresh=fresh) as directory,
        pinned(core) as chosen,
        laid_out(subject, changes, directory, progress) as comparison,
    ):
        found = comparison.report()
        if counting:
            short = [name for name, time_s in found.base_s.items() if time_s <= LONGEST_S]
            counts, notes = count_all(comparison.rounds.measurer, comparison.arms, short, progress)
            found = replace(found, counts=counts, notes=[*found.notes, *notes])
        report = replace(
            found,
            base=subject.base,
            head=subject.head,
            seed=subject.seed,
            core=chosen,
            not_compared=changes.overlaid,
            wall_s=time.monotonic() - start,
        )
        (directory / "report.json").write_text(json.dumps(report.as_json(), indent=2), "utf-8")
    return report


def nothing_compared(subject: Subject, changes: Changes) -> Report:
    """Return the report on revisions without a difference to measure: one row per test file."""
    files = overlay.test_files(subject.project, subject.head, paths_of(subject.suite))
    differs = "only files that both sides take from the head differ" if changes.overlaid else "no tracked file differs"
    reason = f"{differs}; nothing was measured"
    return Report(
        judgements=[Judgement(file, Verdict.NOT_COMPARED, note=reason) for file in files],
        error_rates=ErrorRates(Share(0, 0), Share(0, 0)),
        suite=subject.suite,
        base=subject.base,
        head=subject.head,
        seed=subject.seed,
        not_compared=changes.overlaid,
        notes=[reason],
    )


@contextmanager
def laid_out(subject: Subject, changes: Changes, directory: Path, progress: Progress) -> Iterator[Comparison]:
    """Prepare a comparison with its three worktrees; remove them in the end."""
    measurer = Measurer(subject.python, subject.suite, subject.settings, directory / "work")
    revisions = (subject.base, subject.base, subject.head)
    with worktrees.laid(subject.project, directory / "trees", revisions, subject.settings.prepare) as laid:
        trees = dict(zip((BASE, AGAIN, HEAD), laid, strict=True))
        own = _own_benchmarks(measurer, trees[BASE])
        unseen = overlay.overlaid(trees[BASE], trees[HEAD], changes.overlaid, paths_of(subject.suite))
        for arm in (BASE, AGAIN):
            worktrees.overlay(trees[arm], subject.head, changes.overlaid)
        arms = tuple(Arm(arm, tree) for arm, tree in trees.items())
        rounds = Rounds(measurer, directory / "rounds", subject.seed)
        yield Comparison(subject.suite, subject.settings, arms, rounds, own, progress, unseen.reason)


def _own_benchmarks(measurer: Measurer, tree: worktrees.Tree) -> list[str]:
    """Return the benchmarks of base's own suite, to report which are gone; none if it cannot be collected."""
    there = [node for node in measurer.suite if (tree.project / node.partition("::")[0]).exists()]
    try:
        return replace(measurer, suite=there).collect(tree) if there else []
    except BenchmarkError:
        return []
