"""Judges without noise beside the clock: how many instructions and allocations a call of a benchmark takes.

Instructions are counted by callgrind without address randomisation, allocations by memray in the project's own
environment; either is left out where the tool is not there. A count is no time (a copy of memory is few instructions),
so it turns nothing red: it says whether a change that the clock suspects is in the code.

With a fixed hash seed the counts of Python are repeatable to the instruction, and 2.5 % apart between seeds: two seeds
are counted. Base is counted twice, in its two worktrees: what differs between them is not repeatable, and said so.
Benchmarks that start threads or take longer than LONGEST_S are not counted.
"""

import json
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from shutil import rmtree, which
from statistics import median_low

from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.gate.phases import AGAIN, BASE, HEAD
from heartbench.benchmarks.gate.process import COUNTING_PROBE, Measurer, Order
from heartbench.benchmarks.gate.progress import Progress
from heartbench.benchmarks.gate.report import Count, Counts
from heartbench.benchmarks.gate.rounds import Arm

HASH_SEEDS = (1, 2)
SWITCH = "PyNumber_InPlaceMatrixMultiply"
LONGEST_S = 0.01
"""A call that takes longer on the clock is not counted: callgrind is fifty times as slow."""
SAME = 0.005
"""Base and base again may differ by this fraction and be called repeatable: tiny calls vary by some instructions."""
NO_ASLR = ("setarch", "-R")


@dataclass(frozen=True, slots=True)
class Counter:
    """A way to count: what, and the command that a process is run under."""

    what: str
    prefix: Sequence[str] = ()
    requests: bool = False
    """Whether Valgrind was started so that it must be told when to instrument."""

    def count(self, measurer: Measurer, arm: Arm, hash_seed: int, names: Sequence[str]) -> dict[str, int]:
        """The counts of one process, by benchmark."""
        name = f"{self.what:.5}-{arm.name:.4}-{hash_seed}"
        folder = measurer.directory / name
        rmtree(folder, ignore_errors=True)
        folder.mkdir()
        order = Order(arm.tree, hash_seed, names, warm_up=True)
        told = {"count": {"what": self.what, "folder": str(folder), "requests": self.requests}}
        prefix = [part.format(folder=folder) for part in self.prefix]
        measurer.run(order, name, ["-p", COUNTING_PROBE], prefix, told)
        found = json.loads((folder / "counted.json").read_text("utf-8"))
        calls: dict[str, list[int]] = {}
        counts = found["allocations"] or _profiles(folder, len(found["counted"]))
        for each, count in zip(found["counted"], counts, strict=True):
            calls.setdefault(each, []).append(count)
        rmtree(folder)
        return {each: median_low(its) for each, its in calls.items() if each not in found["threaded"]}


def counters(python: Path) -> list[Counter]:
    """The ways to count that this machine and the project's interpreter have."""
    found = []
    if which("valgrind") and which(NO_ASLR[0]) and not _status([*NO_ASLR, "true"]):
        output = "--callgrind-out-file={folder}/profile"
        switch = (f"--toggle-collect={SWITCH}", f"--dump-after={SWITCH}")
        told = platform.machine() == "x86_64"
        late = ("--instr-atstart=no",) if told else ()
        found.append(Counter("instructions", (*NO_ASLR, "valgrind", "--tool=callgrind", output, *switch, *late), told))
    if not _status([str(python), "-c", "import memray"]):
        found.append(Counter("allocations"))
    return found


def count_all(
    measurer: Measurer, arms: Sequence[Arm], names: Sequence[str], progress: Progress
) -> tuple[Counts, list[str]]:
    """Count base, base again and head, each at every hash seed; and in words what could not be counted."""
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
    """One benchmark's count over the hash seeds; None where it was not counted everywhere."""
    if not all(name in each for each in counts.values()):
        return None
    base, again, head = ([counts[arm, seed][name] for seed in HASH_SEEDS] for arm in (BASE, AGAIN, HEAD))
    same = all(abs(first - second) <= SAME * first for first, second in zip(base, again, strict=True))
    return Count(sum(base) / len(base), sum(head) / len(head), same)


def _profiles(folder: Path, calls: int) -> list[int]:
    """What callgrind collected, call by call."""
    found = []
    for number in range(1, calls + 1):
        lines = (folder / f"profile.{number}").read_text("utf-8", "replace").splitlines()
        found.append(int(next(line for line in reversed(lines) if line.startswith("totals:")).split()[1]))
    return found


def _status(command: Sequence[str]) -> int:
    return subprocess.run(command, capture_output=True, check=False).returncode
