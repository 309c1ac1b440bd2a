"""Which files both sides of a comparison take from the head, and which benchmarks are therefore not compared.

Both sides run the head's test files, so that a benchmark that was added or fixed can run on base too. A change in a
file that both sides take from the head cannot be measured. So by default only these are overlaid:

    test_*.py, *_test.py     below the folders of the suite, and the files that the suite names
    conftest.py              below these folders, and in the folders above them

and the files that the project's `overlay` adds. An overlaid file that differs between the revisions may be used

    a test file              by its own benchmarks, if the part that they run differs (`code_diff.py`)
    a conftest.py            by the benchmarks in its folder and below, if its code differs
    any other file           by every benchmark; also a test file or a conftest.py that another Python file mentions

and a benchmark that may use one is *not compared*, unless it is slower in spite of that.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path, PurePosixPath

from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.gate import worktrees
from heartbench.benchmarks.gate.code_diff import code_differs, part_differs
from heartbench.benchmarks.gate.worktrees import Tree

TEST_FILES = ("test_*.py", "*_test.py")
CONFTEST = "conftest.py"


@dataclass(frozen=True, slots=True)
class Changes:
    """The files that differ between the revisions, relative to the project; overlaid ones are not compared."""

    compared: Sequence[str]
    overlaid: Sequence[str]


def changes(project: Path, base: str, head: str, suite: Sequence[str], more: Sequence[str]) -> Changes:
    """Return the files that differ between two revisions; `more` are pathspecs that are overlaid besides test files.

    Raises:
        BenchmarkError: a path of the suite, or of `more`, is not in git at the head.
    """
    for path in (*suite, *more):
        if not worktrees.files_at(project, head, [path]):
            raise BenchmarkError(f"{path}: not in git at the head; commit it, or git add it")
    overlaid = worktrees.differing(project, base, head, [*test_pathspecs(project, suite), *more])
    rest = set(worktrees.differing(project, base, head)) - set(overlaid)
    return Changes(sorted(rest), sorted(overlaid))


def test_files(project: Path, revision: str, suite: Sequence[str]) -> list[str]:
    """Return the suite's test files at a revision."""
    found = worktrees.files_at(project, revision, test_pathspecs(project, suite))
    return [path for path in found if PurePosixPath(path).name != CONFTEST]


def test_pathspecs(project: Path, suite: Sequence[str]) -> list[str]:
    """Return git pathspecs of the suite's test files and of the conftests that pytest loads with them."""
    found = []
    for path in suite:
        place = PurePosixPath(escape(path))
        below = [place / "**" / name for name in (*TEST_FILES, CONFTEST)] if (project / path).is_dir() else [place]
        found += [*below, *(parent / CONFTEST for parent in place.parents)]
    return [f":(glob){pathspec}" for pathspec in dict.fromkeys(found)]


@dataclass(frozen=True, slots=True)
class Overlaid:
    """The changed files that both sides take from the head, to determine which benchmarks may use them.

    Attributes:
        versions: base's and head's text by file, relative to the project; empty if the file does not exist.
        shared: the files that every benchmark may use.
    """

    versions: Mapping[str, tuple[str, str]]
    shared: frozenset[str]

    def reason(self, benchmark: str) -> str:
        """Return the reason for which a benchmark (a node id) is not compared; empty if it is."""
        test_file, _, test = benchmark.partition("::")
        test = re.split(r"::|\[", test)[0]
        for file in self.versions:
            if self._may_use(file, test_file, test):
                what = f"its code in {file}" if file == test_file else f"{file}, which it may use,"
                return f"{what} differs, and both sides take it from the head"
        return ""

    def _may_use(self, file: str, test_file: str, test: str) -> bool:
        base, head = self.versions[file]
        if file == test_file and file not in self.shared:
            return bool(base) and part_differs(base, head, test)
        path = PurePosixPath(file)
        above = path.name == CONFTEST and PurePosixPath(test_file).is_relative_to(path.parent)
        return (file in self.shared or above) and (path.suffix != ".py" or code_differs(base, head))


def overlaid(base: Tree, head: Tree, files: Sequence[str], suite: Sequence[str]) -> Overlaid:
    """Return the changed `files` that both sides will take from the head; nothing may be overlaid into `base` yet."""
    versions = {file: (_text(base.project / file), _text(head.project / file)) for file in files}
    return Overlaid(versions, frozenset(file for file in files if _is_shared(file, (base, head), suite)))


def _is_shared(file: str, trees: Sequence[Tree], suite: Sequence[str]) -> bool:
    """Return whether a file is neither a test file nor a conftest, or another Python file mentions its name."""
    path = PurePosixPath(file)
    if file not in suite and not any(path.match(name) for name in (*TEST_FILES, CONFTEST)):
        return True
    name = re.compile(rf"\b{re.escape(path.stem)}\b")
    others = (other for tree in trees for other in tree.path.rglob("*.py") if other != tree.project / file)
    return any(name.search(_text(other)) for other in others)


def _text(path: Path) -> str:
    return path.read_text("utf-8", "replace") if path.is_file() else ""
