"""From pytest-benchmark's JSON to pairs: one log-ratio for each benchmark and round.

The replicate is the process. Timings within one process share its memory layout and hash seed; their scatter predicts
a third of what processes really differ by, so however many there are, two processes give one number: the median of the
ratios of their slices, each with the one that lies beside it in time (`lockstep`).
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from heartbench.benchmarks.gate.signflip import Ratios

FORMAT = 3
"""Counts the ways in which samples were measured and kept: rounds of another one are not gone on from."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What one process measured of one benchmark: times of a call, in s.

    Attributes:
        median_s: of all rounds of pytest-benchmark.
        mean_s: of all its rounds.
        slices: the median of the rounds in each slice, by the number of the turn.
        spin_s: only in an exam: what a spin of an empty loop took just before, in s.
    """

    median_s: float
    mean_s: float
    slices: Mapping[int, float]
    spin_s: float = math.nan


def log_ratio(base: Timing, head: Timing) -> float:
    """ln(head / base): the median over the turns in which both measured; of the whole medians where there is none."""
    shared = base.slices.keys() & head.slices.keys()
    if not shared:
        return math.log(head.median_s / base.median_s)
    return median(math.log(head.slices[turn] / base.slices[turn]) for turn in shared)


def mean_log_ratio(base: Timing, head: Timing) -> float:
    """Return ln(head / base) of the means of all rounds: rare slow calls move it, and so does every disturbance."""
    return math.log(head.mean_s / base.mean_s)


@dataclass(frozen=True, slots=True)
class Sample:
    """What one process of one arm measured.

    Attributes:
        times: by benchmark, those alone that were measured and passed.
        failures: why a benchmark, or a whole file, failed.
        benchmarks: all that were collected.
        python: the interpreter's version.
        wall_s: how long the process took, in s: of those in lockstep its share.
    """

    times: Mapping[str, Timing]
    failures: Mapping[str, str] = field(default_factory=dict)
    benchmarks: Sequence[str] = ()
    python: str = ""
    wall_s: float = math.nan


def from_pytest_benchmark(document: Mapping[str, Any], failed: Mapping[str, str]) -> dict[str, Timing]:
    """The times in a document that pytest-benchmark wrote, without those of benchmarks that failed afterwards.

    A time of 0 s (less than the clock can tell) has no logarithm; such a benchmark is left out too.
    """
    found: dict[str, Timing] = {}
    for entry in document.get("benchmarks", ()):
        stats, seen = entry["stats"], entry["extra_info"]
        slices = dict(seen.get("heartbench_slices", ()))
        if entry["fullname"] not in failed and min([stats["median"], *slices.values()]) > 0:
            spin_s = seen.get("heartbench_spin_s", math.nan)
            found[entry["fullname"]] = Timing(stats["median"], stats["mean"], slices, spin_s)
    return found


def write(sample: Sample, path: Path) -> None:
    """Keep a sample; whoever is killed in the middle leaves no half of one behind."""
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(asdict(sample)), "utf-8")
    unfinished.replace(path)


def read(path: Path) -> Sample:
    """Read what `write` kept."""
    document = json.loads(path.read_text("utf-8"))
    times = {
        name: Timing(**each | {"slices": {int(turn): time_s for turn, time_s in each["slices"].items()}})
        for name, each in document.pop("times").items()
    }
    return Sample(times=times, **document)


Round = Mapping[str, Sample]
"""The samples of one round by the name of their arm."""


def apart(rounds: Sequence[Round], base: str, head: str) -> list[str]:
    """The benchmarks of which two processes of a round took no turn side by side."""
    both = [(each[base].times, each[head].times) for each in rounds if base in each and head in each]
    found = (name for a, b in both for name in a.keys() & b.keys() if not a[name].slices.keys() & b[name].slices.keys())
    return sorted(set(found))


def pairs(
    rounds: Sequence[Round], base: str, head: str, compare: Callable[[Timing, Timing], float] = log_ratio
) -> dict[str, Ratios]:
    """The log-ratios head / base of each benchmark that both arms measured in every round in which either did."""
    measured = [(each[base].times, each[head].times) for each in rounds if base in each and head in each]
    names = dict.fromkeys(name for times, _ in measured for name in times)
    found = {}
    for name in names:
        both = [(a[name], b[name]) for a, b in measured if name in a and name in b]
        if both and len(both) == sum(name in a or name in b for a, b in measured):
            found[name] = np.array([compare(*pair) for pair in both], dtype=np.float64)
    return found


def typical_s(rounds: Sequence[Round], arm: str) -> dict[str, float]:
    """The median over an arm's processes of each benchmark's time, in s."""
    found: dict[str, list[float]] = {}
    for each in rounds:
        for name, timing in each[arm].times.items() if arm in each else ():
            found.setdefault(name, []).append(timing.median_s)
    return {name: float(np.median(times)) for name, times in found.items()}


def failures(rounds: Sequence[Round], arm: str) -> dict[str, tuple[int, str]]:
    """How often each benchmark (or file) of an arm failed, and why it did first."""
    found: dict[str, tuple[int, str]] = {}
    for each in rounds:
        for name, reason in each[arm].failures.items() if arm in each else ():
            count, first = found.get(name, (0, reason))
            found[name] = (count + 1, first)
    return found
