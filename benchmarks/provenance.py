"""Where a result comes from: the command, the machine, the revision and the versions that made it."""

import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("heartbench", "grpcio", "numba", "numpy", "pandas", "pyarrow")


def provenance() -> dict[str, Any]:
    """Return command, machine, revision and versions, as results hold them."""
    return {"command": command(), "machine": machine(), "revision": revision(), "versions": versions()}


def command() -> str:
    """The command line as one could type it again."""
    return shlex.join(["heartbench", *sys.argv[1:]])


def machine() -> dict[str, Any]:
    """What a figure of speed depends on."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "python": platform.python_version(),
    }


def revision() -> str:
    """The commit that the code is of, `+` behind it where files have changed since; the version outside a clone."""
    here = Path(__file__).resolve().parent
    try:
        commit = _git(here, "rev-parse", "--short=12", "HEAD")
        return commit + ("+" if _git(here, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return versions()["heartbench"]


def versions() -> dict[str, str]:
    """Versions of what the result depends on; what is not installed is left out."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _git(folder: Path, *arguments: str) -> str:
    run = subprocess.run(  # noqa: S603 (no shell, our own arguments)
        ["git", "-C", str(folder), *arguments],  # noqa: S607 (whichever git the user has)
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
