"""The directory of a run while it goes on: if it fails, what was measured stays and nothing else is left behind."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from heartbench.hub.program import warn

if TYPE_CHECKING:
    from heartbench.simulator.run_directory import RunDirectory


@contextmanager
def made(out: Path | None, scenario: str, engine: str) -> Iterator["RunDirectory"]:
    """Create a run directory. If the run fails, it stays only if something was measured, and a warning names it."""
    from heartbench.simulator.run_directory import RUNS, RunDirectory

    wanted = RUNS if out is None else out
    was_there = next((folder for folder in (wanted, *wanted.parents) if folder.exists()), wanted)
    directory = RunDirectory.create(out, scenario, engine)
    try:
        yield directory
    except BaseException:  # also on Ctrl-C: nothing half-written may stay
        if was_measured(directory):
            warn(f"{directory.path}: the run failed; what was measured until then is there, without a run.json")
        else:
            clear(directory.path, was_there)
        raise


def was_measured(directory: "RunDirectory") -> bool:
    """Whether anything was: the truth is there if a block was done, and a managed hub records messages at once."""
    if directory.truth.exists() or not directory.observer.exists():
        return directory.truth.exists()
    with directory.observer.open("rb") as lines:
        return any(line.startswith(b'["receipt"') for line in lines)


def clear(folder: Path, was_there: Path) -> None:
    """Remove what a folder holds, then the folder and those above it, up to one that was there before."""
    for child in list(folder.iterdir()):
        if child.is_dir():
            shutil.rmtree(child)
        else:
            child.unlink()
    with suppress(OSError):  # another run has put its own there
        while folder != was_there:
            folder.rmdir()
            folder = folder.parent
