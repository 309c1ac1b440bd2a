"""The rounds of a measurement on disk, so that a measurement that was killed resumes from there.

    <project>/.benchmarks/heartbench/<name>-<n>/plan.json      what is measured: a run with an equal plan resumes
                                               /rounds/*.json  one file for each process of a finished round
                                               /report.json    written last: the measurement is complete
                                               /trees/         worktrees, only while it runs

A finished measurement is never reused: the same command measures again, in a new directory.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import IO

PLACE = Path(".benchmarks", "heartbench")


@contextmanager
def checkpoint(project: Path, name: str, plan: str, *, fresh: bool = False) -> Iterator[Path]:
    """Open and lock the directory of a measurement: the newest unfinished one with this plan, or a new one."""
    parent = project / PLACE
    parent.mkdir(parents=True, exist_ok=True)
    (parent / ".gitignore").write_text("*\n", "utf-8")
    for number in count(_first(parent, name, plan, fresh)):
        directory = parent / f"{name}-{number}"
        (directory / "rounds").mkdir(parents=True, exist_ok=True)
        with (directory / "lock").open("w") as lock:
            if _locked(lock) and _is_open(directory, plan):
                (directory / "plan.json").write_text(plan, "utf-8")
                yield directory
                return


def _first(parent: Path, name: str, plan: str, fresh: bool) -> int:
    """Return the number of the newest directory that this plan can resume, or the next free one."""
    found = (each.name.removeprefix(f"{name}-") for each in parent.glob(f"{name}-*"))
    numbers = [int(number) for number in found if number.isdigit()]
    resumable = [number for number in numbers if not fresh and _is_open(parent / f"{name}-{number}", plan)]
    return max(resumable, default=max(numbers, default=0) + 1)


def _is_open(directory: Path, plan: str) -> bool:
    """Return whether a measurement with this plan may start or resume in a directory."""
    file = directory / "plan.json"
    if (directory / "report.json").exists():
        return False
    return not file.exists() or file.read_text("utf-8") == plan


def _locked(lock: IO[str]) -> bool:
    """Acquire the lock, unless another process holds it; it lasts until the file is closed."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
