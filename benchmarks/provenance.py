"""What made a result: the command, the revision of the sources, the machine and the versions of what it runs on."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("heartbench", "grpcio", "numba", "numpy", "pandas", "protobuf", "pyarrow")
CHANGED = "+changes"


def provenance(command: str) -> dict[str, Any]:
    """Return `command`, `revision` (None: not known), `machine` and `versions` as `run.json` holds them.

    The caller names the command: how this process was started need not be what made the result.
    """
    return {
        "command": command,
        "revision": revision(Path(__file__).resolve()),
        "machine": {"platform": platform.platform(), "cpu": cpu(), "cpus": os.cpu_count()},
        "versions": {"python": platform.python_version()} | {name: version_of(name) for name in PACKAGES},
    }


def revision(source: Path) -> str | None:
    """Return the commit that `source` is checked out from, marked where sources differ; None where it is of none."""
    if git(source.parent, "ls-files", "--error-unmatch", source.name) is None:
        return None  # installed somewhere inside another project's repository, perhaps
    commit = git(source.parent, "rev-parse", "HEAD")
    changed = git(source.parent, "status", "--porcelain", "--untracked-files=no")
    return commit and commit + (CHANGED if changed else "")


def git(folder: Path, *arguments: str) -> str | None:
    """Return what git says; None where it says nothing good, or is not there."""
    try:
        done = subprocess.run(  # noqa: S603 (the words are ours)
            ["git", *arguments],  # noqa: S607 (the user's git)
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def cpu() -> str:
    """Return the processor's name, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def version_of(package: str) -> str | None:
    """Return the installed version of a package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
