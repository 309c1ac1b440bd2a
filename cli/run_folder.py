"""The folder of a run while it is under way: what was measured is never lost, and nothing else is left behind."""

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
    """A run directory. Where the run fails, what was measured stays and is pointed to; else nothing of it is left."""
    from heartbench.simulator.run_directory import RUNS, RunDirectory

    wanted = RUNS if out is None else out
    was_there = next((folder for folder in (wanted, *wanted.parents) if folder.exists()), wanted)
    directory = RunDirectory.create(out, scenario, engine)
    try:
        yield directory
    except BaseException:
        if was_measured(directory):
            warn(f"{directory.path}: what was measured until it failed lies there, without a run.json")
        else:
            clear(directory.path, was_there)
        raise


def was_measured(directory: "RunDirectory") -> bool:
    """Whether anything was: an engine writes the truth once it has measured, an own hub what it hears at once."""
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
