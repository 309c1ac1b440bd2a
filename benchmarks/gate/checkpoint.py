"""The rounds of a measurement on disk, so that a measurement that was killed resumes from there.

    <project>/.benchmarks/heartbench/<name>-<n>/plan.json      what is measured: a run with an equal plan resumes
                                               /rounds/*.json  one file for each process of a finished round
                                               /report.json    written last: the measurement is complete
                                               /trees/         worktrees, only while it runs

A finished measurement is never reused: the same command measures again, in a new directory.
"""

import fcntl
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import IO

from heartbench.benchmarks.gate import samples
from heartbench.benchmarks.gate.settings import Settings

PLACE = Path(".benchmarks", "heartbench")


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a sample depends on.

    Attributes:
        pairs: A/A comparisons in each repetition of a self-test; 0 in a comparison.
        slowdowns: those that a self-test injects, as fractions.
    """

    base: str
    head: str
    suite: Sequence[str]
    python: str
    seed: int
    settings: Settings
    pairs: int = 0
    slowdowns: Sequence[float] = ()

    @property
    def text(self) -> str:
        """The plan as it is stored and compared."""
        document = {**asdict(self), "samples": samples.FORMAT, "settings": self.settings.model_dump(mode="json")}
        return json.dumps(document, indent=2)


@contextmanager
def checkpoint(project: Path, name: str, plan: Plan, *, fresh: bool = False) -> Iterator[Path]:
    """Open and lock the directory of a measurement: the newest unfinished one with this plan, or a new one."""
    parent = project / PLACE
    parent.mkdir(parents=True, exist_ok=True)
    (parent / ".gitignore").write_text("*\n", "utf-8")
    for number in count(_first(parent, name, plan, fresh)):
        directory = parent / f"{name}-{number}"
        (directory / "rounds").mkdir(parents=True, exist_ok=True)
        with (directory / "lock").open("w") as lock:
            if _locked(lock) and _is_open(directory, plan):
                (directory / "plan.json").write_text(plan.text, "utf-8")
                yield directory
                return


def _first(parent: Path, name: str, plan: Plan, fresh: bool) -> int:
    """Return the number of the newest directory that this plan can resume, or the next free one."""
    found = (each.name.removeprefix(f"{name}-") for each in parent.glob(f"{name}-*"))
    numbers = [int(number) for number in found if number.isdigit()]
    resumable = [number for number in numbers if not fresh and _is_open(parent / f"{name}-{number}", plan)]
    return max(resumable, default=max(numbers, default=0) + 1)


def _is_open(directory: Path, plan: Plan) -> bool:
    """Return whether a measurement with this plan may start or resume in a directory."""
    file = directory / "plan.json"
    if (directory / "report.json").exists():
        return False
    return not file.exists() or file.read_text("utf-8") == plan.text


def _locked(lock: IO[str]) -> bool:
    """Acquire the lock, unless another process holds it; it lasts until the file is closed."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
