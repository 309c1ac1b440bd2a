"""From pytest-benchmark's JSON to pairs: one time for each process and benchmark, one log-ratio for each round.

The replicate is the process. Timings within one process share its memory layout and hash seed; their scatter predicts
a third of what processes really differ by, so however many there are, they give one number: the median of a pass, and
of the passes the quickest. What disturbs a pass (a neighbour on the other half of the core: half speed for a tenth of a
second to some seconds, seen by no counter of the guest) only ever makes it slower.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from heartbench.benchmarks.gate.signflip import Ratios


@dataclass(frozen=True, slots=True)
class Pass:
    """What pytest-benchmark measured of one benchmark in one pass over the suite: times of a call, in s.

    `turn_s` is what a turn of an empty loop took around it (the slower of before and after), in s.
    """

    median_s: float
    mean_s: float
    q1_s: float
    min_s: float
    turn_s: float = math.nan


DISTURBED = 1.3
"""With a neighbour on the same core the empty loop takes 1.6 times as long; alone it wanders by 1.05."""

Times = Sequence[Pass]
"""The passes of one process over one benchmark."""


def time_s(times: Times) -> float:
    """The one number that a process gives for a benchmark: the median of its quickest pass, in s."""
    return min(each.median_s for each in times)


@dataclass(frozen=True, slots=True)
class Sample:
    """What one process of one arm measured.

    Attributes:
        times: by benchmark, those alone that were measured and passed.
        failures: why a benchmark, or a whole file, failed.
        benchmarks: all that were collected.
        python: the interpreter's version.
        wall_s: how long the process took, in s.
    """

    times: Mapping[str, Times]
    failures: Mapping[str, str] = field(default_factory=dict)
    benchmarks: Sequence[str] = ()
    python: str = ""
    wall_s: float = math.nan


def from_pytest_benchmark(document: Mapping[str, Any], failed: Mapping[str, str]) -> dict[str, list[Pass]]:
    """The times in a document that pytest-benchmark wrote, without those of benchmarks that failed afterwards.

    A median of 0 s (less than the clock can tell) has no logarithm; such a benchmark is left out too.
    """
    found: dict[str, list[Pass]] = {}
    for entry in document.get("benchmarks", ()):
        stats = entry["stats"]
        turn_s = entry["extra_info"].get("heartbench_turn_s", math.nan)
        each = Pass(stats["median"], stats["mean"], stats["q1"], stats["min"], turn_s)
        found.setdefault(entry["fullname"], []).append(each)
    return {name: times for name, times in found.items() if name not in failed and time_s(times) > 0}


def quiet_turn_s(seen: Iterable[Sample]) -> float:
    """What a turn of the empty loop takes on this core when nothing disturbs it, in s: the best that was seen."""
    turns = [each.turn_s for sample in seen for times in sample.times.values() for each in times]
    return min((turn_s for turn_s in turns if not math.isnan(turn_s)), default=math.nan)


def disturbed(sample: Sample, quiet_s: float) -> list[str]:
    """The benchmarks of which every pass was disturbed, judged by the empty loop alone and never by their own times."""
    return [name for name, times in sample.times.items() if all(each.turn_s > DISTURBED * quiet_s for each in times)]


def joined(sample: Sample, more: Sample) -> Sample:
    """A sample with the passes of one more process for some of its benchmarks."""
    times = {name: [*passes, *more.times.get(name, ())] for name, passes in sample.times.items()}
    failures = {**more.failures, **sample.failures}
    passed = {name: passes for name, passes in times.items() if name not in failures}
    return replace(sample, times=passed, failures=failures, wall_s=sample.wall_s + more.wall_s)


def write(sample: Sample, path: Path) -> None:
    """Keep a sample; whoever is killed in the middle leaves no half of one behind."""
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps(asdict(sample)), "utf-8")
    unfinished.replace(path)


def read(path: Path) -> Sample:
    """Read what `write` kept."""
    document = json.loads(path.read_text("utf-8"))
    times = {name: [Pass(**each) for each in passes] for name, passes in document.pop("times").items()}
    return Sample(times=times, **document)


Round = Mapping[str, Sample]
"""The samples of one round by the name of their arm."""


def pairs(rounds: Sequence[Round], base: str, head: str) -> dict[str, Ratios]:
    """The log-ratios head / base of each benchmark that both arms measured in every round in which either did."""
    measured = [(each[base].times, each[head].times) for each in rounds if base in each and head in each]
    names = dict.fromkeys(name for times, _ in measured for name in times)
    found = {}
    for name in names:
        both = [(time_s(a[name]), time_s(b[name])) for a, b in measured if name in a and name in b]
        if both and len(both) == sum(name in a or name in b for a, b in measured):
            base_s, head_s = np.array(both, dtype=np.float64).T
            found[name] = np.log(head_s / base_s)
    return found


def typical_s(rounds: Sequence[Round], arm: str) -> dict[str, float]:
    """The median over an arm's processes of each benchmark's time, in s."""
    found: dict[str, list[float]] = {}
    for each in rounds:
        for name, times in each[arm].times.items() if arm in each else ():
            found.setdefault(name, []).append(time_s(times))
    return {name: float(np.median(times)) for name, times in found.items()}


def failures(rounds: Sequence[Round], arm: str) -> dict[str, tuple[int, str]]:
    """How often each benchmark (or file) of an arm failed, and why it did first."""
    found: dict[str, tuple[int, str]] = {}
    for each in rounds:
        for name, reason in each[arm].failures.items() if arm in each else ():
            count, first = found.get(name, (0, reason))
            found[name] = (count + 1, first)
    return found
