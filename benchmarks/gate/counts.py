"""Noise-free evidence beside the clock: how many instructions and allocations one call of a benchmark takes.

`call_counter.py` counts inside the measured process: instructions under Valgrind's cachegrind without address
randomisation, allocations by memray in the project's own environment. A tool that is not installed is left out. A count
is not a time (a copy of memory is few instructions), so it never fails a build: it shows whether a change that the
clock suspects is in the code.

With a fixed hash seed the counts of Python code repeat, and they differ by 2.5% between seeds: two seeds are counted.
Base is counted twice, in its two worktrees: if the two differ, the count is marked as not repeatable. Benchmarks that
start threads or take longer than LONGEST_S are not counted.
"""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from shutil import rmtree, which

from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.gate.phases import AGAIN, BASE, HEAD
from heartbench.benchmarks.gate.process import CALL_COUNTER, Measurer, Order
from heartbench.benchmarks.gate.report import Count, Counts
from heartbench.benchmarks.gate.rounds import Arm, Progress

HASH_SEEDS = (1, 2)
LONGEST_S = 0.01
"""Benchmarks with longer calls are not counted: cachegrind makes them about twenty times as slow."""
SAME = 0.005
"""Two counts of base may differ by this fraction and still be repeatable: tiny calls vary by some instructions."""
NO_ASLR = ("setarch", "-R")
CACHEGRIND = ("valgrind", "-q", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file={folder}/%p")


@dataclass(frozen=True, slots=True)
class Counter:
    """What is counted, and the command that the counted process runs under."""

    what: str
    prefix: Sequence[str] = ()

    def count(self, measurer: Measurer, arm: Arm, hash_seed: int, names: Sequence[str]) -> dict[str, int]:
        """Return the counts of one process, by benchmark."""
        name = f"{self.what:.5}-{arm.name:.4}-{hash_seed}"
        folder = measurer.directory / name
        rmtree(folder, ignore_errors=True)
        folder.mkdir()
        count = {"what": self.what, "folder": str(folder)}
        order = Order(arm.tree, hash_seed, names, warm_up=True, count=count)
        prefix = [part.format(folder=str(folder).replace("%", "%%")) for part in self.prefix]
        measurer.run(order, name, ["-p", CALL_COUNTER], prefix)
        found: dict[str, int] = json.loads((folder / "counts.json").read_text("utf-8"))
        rmtree(folder)
        return found


def counters(python: Path) -> list[Counter]:
    """Return what can be counted with the tools of this machine and of the project's interpreter."""
    found = []
    if which("valgrind") and which(NO_ASLR[0]) and _works([*NO_ASLR, "true"]):
        found.append(Counter("instructions", (*NO_ASLR, *CACHEGRIND)))
    if _works([str(python), "-c", "import memray"]):
        found.append(Counter("allocations"))
    return found


def count_all(
    measurer: Measurer, arms: Sequence[Arm], names: Sequence[str], progress: Progress
) -> tuple[Counts, list[str]]:
    """Count both worktrees of base and that of head at each hash seed; return the counts, and notes on what failed."""
    found: dict[str, dict[str, Count]] = {}
    notes: list[str] = []
    for counter in counters(measurer.python):
        counts: dict[tuple[str, int], dict[str, int]] = {}
        try:
            with progress(f"Counting {counter.what}", len(HASH_SEEDS) * len(arms)) as advance:
                for seed, arm in product(HASH_SEEDS, arms):
                    counts[arm.name, seed] = counter.count(measurer, arm, seed, names)
                    advance(1)
        except BenchmarkError as error:
            notes.append(f"{counter.what} could not be counted: {error}")
        else:
            found[counter.what] = {name: count for name in names if (count := _joined(counts, name))}
    return found, notes


def _joined(counts: dict[tuple[str, int], dict[str, int]], name: str) -> Count | None:
    """Return one benchmark's count over the hash seeds, or None unless every process counted it."""
    if not all(name in each for each in counts.values()):
        return None
    base, again, head = ([counts[arm, seed][name] for seed in HASH_SEEDS] for arm in (BASE, AGAIN, HEAD))
    same = all(abs(first - second) <= SAME * first for first, second in zip(base, again, strict=True))
    return Count(sum(base) / len(base), sum(head) / len(head), same)


def _works(command: Sequence[str]) -> bool:
    return not subprocess.run(command, capture_output=True, check=False).returncode
