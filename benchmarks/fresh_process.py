"""Measurements in fresh processes: what a process did before affects its memory and its times."""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from heartbench.benchmarks.errors import BenchmarkError


def output_of(module: str, words: Sequence[object]) -> dict[str, Any]:
    """Return the JSON object that a module of heartbench.benchmarks prints when run with these arguments.

    Raises:
        BenchmarkError: it failed; the message ends with its last line.
    """
    command = [sys.executable, "-m", f"heartbench.benchmarks.{module}", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  (the words are ours)
    if done.returncode:
        raise BenchmarkError(f"{module} {command[3:]}: {(done.stderr.strip() or 'killed').splitlines()[-1]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
