"""From pytest-benchmark's JSON to pairs: one log-ratio per benchmark and round.

The replicate is the process. Timings within one process share its memory layout and hash seed, and their scatter
predicts only a third of the difference between processes. So two processes give one number, however many timings they
have: the median of the ratios of their slices, each with the one of the same turn (`lockstep.py`).
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
"""Version of how samples are measured and stored: rounds of another version are not resumed."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The times of one call of one benchmark in one process, in s, over all rounds of pytest-benchmark.

    `slices` are the medians of the rounds in each slice, by the number of the turn. `spin_s`, only in a self-test, is
    the time of one spin of an empty loop just before.
    """

    median_s: float
    mean_s: float
    slices: Mapping[int, float]
    spin_s: float = math.nan


def log_ratio(base: Timing, head: Timing) -> float:
    """Return ln(head / base): the median over the shared turns, or the ratio of the medians if there are none."""
    shared = base.slices.keys() & head.slices.keys()
    if not shared:
        return math.log(head.median_s / base.median_s)
    return median(math.log(head.slices[turn] / base.slices[turn]) for turn in shared)


def mean_log_ratio(base: Timing, head: Timing) -> float:
    """Return ln(head / base) of the means of all rounds: rare slow calls and disturbances change it."""
    return math.log(head.mean_s / base.mean_s)


@dataclass(frozen=True, slots=True)
class Sample:
    """The measurements of one process of one arm: times and reasons of failure by benchmark (or file).

    `times` are those of benchmarks that passed, `benchmarks` all that were collected. `wall_s` is the time that the
    process took; if interleaved, its share of the time of all.
    """

    times: Mapping[str, Timing]
    failures: Mapping[str, str] = field(default_factory=dict)
    benchmarks: Sequence[str] = ()
    python: str = ""
    wall_s: float = math.nan


def from_pytest_benchmark(document: Mapping[str, Any], failed: Mapping[str, str]) -> dict[str, Timing]:
    """Return the times in a document that pytest-benchmark wrote, without those of benchmarks that failed afterwards.

    A time of 0 s (below the resolution of the clock) has no logarithm; such a benchmark is left out, too.
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
    """Write a sample atomically."""
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(asdict(sample)), "utf-8")
    unfinished.replace(path)


def read(path: Path) -> Sample:
    """Read what `write` wrote."""
    document = json.loads(path.read_text("utf-8"))
    times = {
        name: Timing(**each | {"slices": {int(turn): time_s for turn, time_s in each["slices"].items()}})
        for name, each in document.pop("times").items()
    }
    return Sample(times=times, **document)


Round = Mapping[str, Sample]
"""The samples of one round by the name of their arm."""


def apart(rounds: Sequence[Round], base: str, head: str) -> list[str]:
    """Return the benchmarks for which two processes of a round share no turn."""
    both = [(each[base].times, each[head].times) for each in rounds if base in each and head in each]
    found = (name for a, b in both for name in a.keys() & b.keys() if not a[name].slices.keys() & b[name].slices.keys())
    return sorted(set(found))


def pairs(
    rounds: Sequence[Round], base: str, head: str, compare: Callable[[Timing, Timing], float] = log_ratio
) -> dict[str, Ratios]:
    """Return the log-ratios head / base of each benchmark that both arms measured in every round in which one did."""
    measured = [(each[base].times, each[head].times) for each in rounds if base in each and head in each]
    names = dict.fromkeys(name for times, _ in measured for name in times)
    found = {}
    for name in names:
        both = [(a[name], b[name]) for a, b in measured if name in a and name in b]
        if both and len(both) == sum(name in a or name in b for a, b in measured):
            found[name] = np.array([compare(*pair) for pair in both], dtype=np.float64)
    return found


def medians(rounds: Sequence[Round], arm: str, of: Callable[[Timing], float]) -> dict[str, float]:
    """Return the median of a figure over the processes of an arm, for each benchmark."""
    found: dict[str, list[float]] = {}
    for each in rounds:
        for name, timing in each[arm].times.items() if arm in each else ():
            found.setdefault(name, []).append(of(timing))
    return {name: float(np.median(times)) for name, times in found.items()}


def failures(rounds: Sequence[Round], arm: str) -> dict[str, tuple[int, str]]:
    """Return how often each benchmark (or file) of an arm failed, and the first reason."""
    found: dict[str, tuple[int, str]] = {}
    for each in rounds:
        for name, reason in each[arm].failures.items() if arm in each else ():
            count, first = found.get(name, (0, reason))
            found[name] = (count + 1, first)
    return found
