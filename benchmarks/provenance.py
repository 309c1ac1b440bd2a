"""Provenance of a result: the command, the revision of the sources, the machine and the versions of the packages."""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.gate.worktrees import git

PACKAGES = ("heartbench", "grpcio", "numba", "numpy", "pandas", "protobuf", "pyarrow")
CHANGED = "+changes"


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine that made a result."""

    platform: str
    cpu: str
    cpus: int | None


@dataclass(frozen=True, slots=True)
class Provenance:
    """What made a result, as `run.json` holds it; a revision or version that is not known is None."""

    command: str
    revision: str | None
    machine: Machine
    versions: Mapping[str, str | None]


def provenance(command: str) -> Provenance:
    """Return the provenance of a result of this process.

    The caller names the command, because the one that started this process may be another.
    """
    versions = {"python": platform.python_version()} | {name: version_of(name) for name in PACKAGES}
    machine = Machine(platform.platform(), cpu(), os.cpu_count())
    return Provenance(command, revision(Path(__file__).resolve()), machine, versions)


def revision(source: Path) -> str | None:
    """Return the commit that `source` is checked out from, marked if sources differ; None if it is not in a commit."""
    try:
        git(source.parent, "ls-files", "--error-unmatch", source.name)
        changed = git(source.parent, "status", "--porcelain", "--untracked-files=no")
        return git(source.parent, "rev-parse", "HEAD") + (CHANGED if changed else "")
    except (BenchmarkError, OSError):  # installed inside another project's repository, perhaps, or there is no git
        return None


def cpu() -> str:
    """Return the processor's name, or an empty string if the system does not report it."""
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
