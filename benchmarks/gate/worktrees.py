"""The two revisions, each in its own git worktree, at paths of equal length.

The length of a path affects the environment and the arguments of a process, and so shifts its stack: equal lengths keep
that out of the comparison. Both sides get the head's test files (`overlay.py`).

Nothing here changes the project's own work tree or index. Submodules and large-file pointers are not filled in.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from shutil import rmtree

from heartbench.benchmarks.errors import BenchmarkError

IDENTITY = {
    f"GIT_{role}_{field}": value
    for role in ("AUTHOR", "COMMITTER")
    for field, value in (("NAME", "heartbench"), ("EMAIL", "heartbench@localhost"), ("DATE", "2000-01-01T00:00:00Z"))
}
"""Author and time of a commit of the work tree: the same changes always give the same commit."""
INHERITED = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")
"""Variables set in git's hooks; they would point every command at the wrong tree."""


def git(folder: Path, *arguments: str, given: str = "") -> str:
    """Return the output of a git command with the input `given`.

    Raises:
        BenchmarkError: it failed; the message is git's.
    """
    environment = {key: value for key, value in os.environ.items() if key not in INHERITED} | IDENTITY
    command = ["git", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, input=given, capture_output=True, text=True, check=False
    )
    if done.returncode:
        output = (done.stderr or done.stdout).strip().splitlines()
        raise BenchmarkError(f"{folder}: git {arguments[0]}: {output[-1] if output else f'status {done.returncode}'}")
    return done.stdout.strip()


def commit_of(project: Path, revision: str) -> str:
    """Return the full name of a commit.

    Raises:
        BenchmarkError: the project is not in a git repository, or the revision does not exist.
    """
    git(project, "rev-parse", "--git-dir")
    try:
        return git(project, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except BenchmarkError:
        raise BenchmarkError(
            f"{revision}: no such revision in {project}; expected one known to git rev-parse"
        ) from None


def commit_of_work_tree(project: Path) -> str:
    """Return HEAD, or a commit (on no branch) of HEAD with the changes of tracked files."""
    head = commit_of(project, "HEAD")
    return git(project, "stash", "create") or head


@dataclass(frozen=True, slots=True)
class Tree:
    """A worktree, and the folder of the project in it (another one only in a larger repository)."""

    path: Path
    project: Path


@contextmanager
def laid(project: Path, folder: Path, revisions: Sequence[str], command: Sequence[str]) -> Iterator[list[Tree]]:
    """Create a prepared worktree of each revision; remove all of them in the end."""
    paths = [folder / str(number) for number in range(len(revisions))]
    try:
        trees = [lay(project, path, revision) for path, revision in zip(paths, revisions, strict=True)]
        for tree in trees:
            prepare(tree, command)
        yield trees
    finally:
        for path in paths:
            remove(project, path)


def lay(project: Path, path: Path, revision: str) -> Tree:
    """Create a worktree of a revision at `path`; replace one that a killed run left there."""
    remove(project, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    git(project, "worktree", "add", "--detach", "--force", str(path), revision)
    return Tree(path, path / git(project, "rev-parse", "--show-prefix"))


def remove(project: Path, path: Path) -> None:
    """Remove a worktree if it exists."""
    if path.exists():
        rmtree(path)
    git(project, "worktree", "prune")


def differing(project: Path, base: str, head: str, pathspecs: Sequence[str] = ()) -> list[str]:
    """Return the files that differ between two revisions (or trees), as paths relative to the project.

    Without pathspecs these are the files of the whole repository; a rename counts as two files.
    """
    options = ("-r", "--name-only", "--no-renames", "-z")
    found = git(project, "diff-tree", *options, base, head, "--", *pathspecs).split("\0")
    prefix = git(project, "rev-parse", "--show-prefix") or "."
    return [PurePath(os.path.relpath(path, prefix)).as_posix() for path in found if path]


def files_at(project: Path, revision: str, pathspecs: Sequence[str]) -> list[str]:
    """Return the files of a revision that the pathspecs match, as paths relative to the project."""
    empty = git(project, "hash-object", "-t", "tree", os.devnull)
    return differing(project, empty, revision, pathspecs)


def overlay(tree: Tree, revision: str, files: Sequence[str]) -> None:
    """Replace files of a worktree by those of another revision; delete the ones that it does not have."""
    if files:
        source = (f"--source={revision}", "--staged", "--worktree")
        named = ("--pathspec-from-file=-", "--pathspec-file-nul")
        git(tree.project, "--literal-pathspecs", "restore", *source, *named, given="\0".join(files))


def prepare(tree: Tree, command: Sequence[str]) -> None:
    """Run the project's command that prepares a fresh worktree.

    Raises:
        BenchmarkError: it failed; the message ends with its last line.
    """
    if not command:
        return
    done = subprocess.run(list(command), cwd=tree.project, capture_output=True, text=True, check=False)
    if done.returncode:
        output = (done.stderr or done.stdout).strip().splitlines()[-1:] or [""]
        raise BenchmarkError(f"prepare = {list(command)}: status {done.returncode} in {tree.project}: {output[0]}")
