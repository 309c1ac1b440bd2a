"""Where the rounds of a measurement are kept, so that one that was killed goes on from there.

    <project>/.benchmarks/heartbench/<name>-<n>/plan.json      what is measured: a run with the same plan goes on
                                               /rounds/*.json  one file for each process of a finished round
                                               /report.json    written last: the measurement is complete
                                               /trees/         worktrees, only while it runs

The plan holds everything that a sample depends on. A finished measurement is never reused: asking again measures
again, beside it.
"""

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import IO, Any

PLACE = Path(".benchmarks", "heartbench")


@contextmanager
def kept(project: Path, name: str, plan: Mapping[str, Any], *, fresh: bool = False) -> Iterator[Path]:
    """The directory of a measurement, locked: the newest unfinished one with this plan, else a new one."""
    parent = project / PLACE
    parent.mkdir(parents=True, exist_ok=True)
    (parent / ".gitignore").write_text("*\n", "utf-8")
    for number in count(_first(parent, name, plan) if not fresh else _next(parent, name)):
        directory = parent / f"{name}-{number}"
        (directory / "rounds").mkdir(parents=True, exist_ok=True)
        with (directory / "lock").open("w") as lock:
            if _locked(lock) and _is_open(directory, plan):
                (directory / "plan.json").write_text(json.dumps(plan, indent=2), "utf-8")
                yield directory
                return


def _numbers(parent: Path, name: str) -> list[int]:
    found = (each.name.removeprefix(f"{name}-") for each in parent.glob(f"{name}-*"))
    return sorted(int(number) for number in found if number.isdigit())


def _next(parent: Path, name: str) -> int:
    return max(_numbers(parent, name), default=0) + 1


def _first(parent: Path, name: str, plan: Mapping[str, Any]) -> int:
    """The number of the newest directory that this plan can go on in, or the next free one."""
    going_on = [number for number in _numbers(parent, name) if _is_open(parent / f"{name}-{number}", plan)]
    return max(going_on, default=_next(parent, name))


def _is_open(directory: Path, plan: Mapping[str, Any]) -> bool:
    """Whether a measurement by this plan may go on, or begin, in a directory."""
    file = directory / "plan.json"
    if (directory / "report.json").exists():
        return False
    return not file.exists() or json.loads(file.read_text("utf-8")) == json.loads(json.dumps(plan))


def _locked(lock: IO[str]) -> bool:
    """Take the lock, unless another process has it: it lasts until the file is closed."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
