"""What an exam showed: error rates with their intervals.

gate-exam.md            the tables, to be read
gate-exam.json          the same figures, and what they were measured on
gate-exam.svg           the power curve
gate-exam-verdicts.csv  every verdict
gate-exam-samples.csv.gz  every process, and every pair of two, from which the verdicts can be computed again
"""

import csv
import gzip
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from heartbench.analysis.report import style
from heartbench.benchmarks.gate import plots
from heartbench.benchmarks.gate.exam import SLOWDOWNS, Exam, ExamVerdict, bases
from heartbench.benchmarks.gate.samples import Timing, log_ratio, mean_log_ratio, pairs
from heartbench.benchmarks.gate.selftest import Share

CLASSES = (0.01, 0.02, 0.04, math.inf)
"""Pair deviations that power is shown for: benchmarks that scatter by at most so much."""
STATISTICS: Mapping[str, Callable[[Timing, Timing], float]] = {
    "slice by slice": log_ratio,
    "by their medians": lambda base, head: math.log(head.median_s / base.median_s),
    "by their means": mean_log_ratio,
}
"""How two processes could be compared."""
LOCKSTEP, APART = ("still-0", "again-0"), ("still-0", "still-1")
"""Arms with the same code that took turns, and such that ran one after the other."""
ARMS_OF_A_COMPARISON = 3
STEADY = 0.02
"""The pair deviation up to which a benchmark is shown apart in the power curve."""


def alarms(exam: Exam) -> Share:
    """False alarms: base against base called slower."""
    still = [each for each in exam.verdicts if not each.slowdown]
    return Share(sum(each.slower for each in still), len(still))


def power(exam: Exam, slowdown: float, pair_sd: float = math.inf) -> Share:
    """Slowdowns found on benchmarks that scatter by at most `pair_sd`."""
    chosen = _slowed(exam, slowdown, pair_sd)
    return Share(sum(each.slower for each in chosen), len(chosen))


def _slowed(exam: Exam, slowdown: float, pair_sd: float) -> list[ExamVerdict]:
    scatter = scatters(exam)
    return [each for each in exam.verdicts if each.slowdown == slowdown and scatter[each.benchmark] <= pair_sd]


def scatters(exam: Exam) -> dict[str, float]:
    """Each benchmark's pair deviation: of base against base, pooled over the repetitions."""
    found: dict[str, list[float]] = {}
    for each in exam.verdicts:
        if not each.slowdown:
            found.setdefault(each.benchmark, []).append(each.pair_sd**2)
    return {name: math.sqrt(float(np.mean(squares))) for name, squares in found.items()}


def attained(exam: Exam, slowdown: float) -> float:
    """What an injected slowdown came to, as a fraction: the median over its verdicts."""
    return float(np.median([each.ratio for each in exam.verdicts if each.slowdown == slowdown])) - 1


def scatter_by_statistic(exam: Exam) -> dict[str, tuple[float, float]]:
    """The median pair deviation over the benchmarks by how processes are compared: in lockstep, and apart (or NaN)."""
    return {
        label: (_median_scatter(exam, LOCKSTEP, by), math.nan if by is log_ratio else _median_scatter(exam, APART, by))
        for label, by in STATISTICS.items()
    }


def _median_scatter(exam: Exam, arms: tuple[str, str], by: Callable[[Timing, Timing], float]) -> float:
    variances: dict[str, list[float]] = {}
    for repetition in exam.rounds:
        for name, ratios in pairs(repetition, *arms, by).items():
            variances.setdefault(name, []).append(float(ratios.var(ddof=1)))
    return math.sqrt(float(np.median([np.mean(each) for each in variances.values()]))) if variances else math.nan


def summary(exam: Exam) -> dict[str, Any]:
    """All figures of an exam."""
    names = list(scatters(exam))
    return {
        "schema": "heartbench.exam/1",
        "revision": exam.revision,
        "suite": list(exam.suite),
        "settings": exam.settings.model_dump(mode="json", exclude={"python"}),  # a path of this machine
        "python": exam.python,
        "core": exam.core,
        "seed": exam.seed,
        "repetitions": len(exam.rounds),
        "rounds": exam.settings.rounds,
        "benchmarks": len(names),
        "wall_s": exam.wall_s,
        "comparison_s": exam.process_s * ARMS_OF_A_COMPARISON * exam.settings.rounds,
        "alarms": _share(alarms(exam)),
        "power": [
            {
                "slowdown": slowdown,
                "attained": attained(exam, slowdown),
                "pair_sd_at_most": None if math.isinf(limit) else limit,
                **_share(power(exam, slowdown, limit)),
            }
            for slowdown in SLOWDOWNS
            for limit in CLASSES
        ],
        "pair_sd": scatters(exam),
        "pair_sd_by_comparison": {
            label: {"lockstep": together, "apart": None if math.isnan(apart) else apart}
            for label, (together, apart) in scatter_by_statistic(exam).items()
        },
    }


def _share(share: Share) -> dict[str, Any]:
    value = share.value if share.total else None  # JSON has no NaN
    return {"count": share.count, "total": share.total, "share": value, "ci": share.interval}


def markdown(exam: Exam) -> str:
    """The exam as tables."""
    minutes = exam.process_s * ARMS_OF_A_COMPARISON * exam.settings.rounds / 60
    lines = [
        "# The exam of the regression gate",
        "",
        f"{len(exam.rounds)} repetitions of {exam.settings.rounds} rounds on {len(scatters(exam))} benchmarks at "
        f"{exam.revision[:10]}; Python {exam.python.split()[0]}, core {exam.core}, seed {exam.seed}. "
        f"A comparison with these settings takes {minutes:.1f} minutes. Measured; no sample was changed.",
        "",
        "| base against base | called slower | 95 % interval |",
        "| --- | --- | --- |",
        f"| the gate, before confirmation | {_row(alarms(exam))} |",
        "",
        "| injected | attained | pair deviation | the gate finds | 95 % interval |",
        "| --- | --- | --- | --- | --- |",
    ]
    for slowdown in SLOWDOWNS:
        for limit in CLASSES:
            scatter = "any" if math.isinf(limit) else f"up to {limit:.0%}"
            shown = f"{slowdown:.0%} | {attained(exam, slowdown):.1%} | {scatter}"
            lines.append(f"| {shown} | {_row(power(exam, slowdown, limit))} |")
    lines += ["", "| two processes compared | median pair deviation, in lockstep | one after the other |"]
    lines += ["| --- | --- | --- |"]
    for label, (together, apart) in scatter_by_statistic(exam).items():
        lines.append(f"| {label} | {together:.2%} | {'–' if math.isnan(apart) else f'{apart:.2%}'} |")
    lines += ["", "| benchmark | pair deviation |", "| --- | --- |"]
    lines += [f"| `{name}` | {value:.2%} |" for name, value in sorted(scatters(exam).items(), key=lambda item: item[1])]
    return "\n".join(lines) + "\n"


def _row(share: Share) -> str:
    low, high = share.interval
    return f"{share.count} of {share.total} | {low:.1%} to {high:.1%}" if share.total else "none measured | "


def save(exam: Exam, directory: Path) -> list[Path]:
    """Write everything about an exam; returns the files."""
    directory.mkdir(parents=True, exist_ok=True)
    files = [directory / f"gate-exam{end}" for end in (".md", ".json", "-verdicts.csv", "-samples.csv.gz")]
    files[0].write_text(markdown(exam), "utf-8")
    files[1].write_text(json.dumps(summary(exam), indent=2) + "\n", "utf-8")
    with files[2].open("w", encoding="utf-8", newline="") as table:
        writer = csv.DictWriter(table, [field.name for field in fields(ExamVerdict)])
        writer.writeheader()
        writer.writerows(asdict(each) for each in exam.verdicts)
    with gzip.GzipFile(files[3], "wb", mtime=0) as packed:
        packed.write("".join(f"{','.join(map(str, row))}\n" for row in processes(exam)).encode())
    picture = directory / "gate-exam.svg"
    style.save(plots.power_curve(*power_series(exam)), picture)
    return [*files, picture]


def power_series(exam: Exam) -> tuple[str, dict[str, list[tuple[float, Share]]]]:
    """The points of the power curve by series, base against base at 0, and what they were measured on."""
    series = {"the gate": [(0.0, alarms(exam)), *((x, power(exam, x)) for x in SLOWDOWNS)]}
    if any(scatter > STEADY for scatter in scatters(exam).values()):
        label = f"the gate, benchmarks that scatter by up to {STEADY:.0%}"
        series[label] = [(x, power(exam, x, STEADY)) for x in SLOWDOWNS if power(exam, x, STEADY).total]
    size = f"{len(exam.rounds)} repetitions, {len(scatters(exam))} benchmarks"
    return f"heartbench bench --self-test --seed {exam.seed}: {size}, {exam.revision[:10]}. Measured.", series


def processes(exam: Exam) -> Iterator[Sequence[object]]:
    """Every process and benchmark, a row each, with a head; the log-ratio is that with base in the same round."""
    yield ("repetition", "round", "arm", "benchmark", "median_s", "mean_s", "spin_s", "slices", "base", "log_ratio")
    for repetition, rounds in enumerate(exam.rounds):
        for (number, each), (arm, base) in product(enumerate(rounds), bases(rounds).items()):
            for name, timing in each[arm].times.items():
                other = each[base].times.get(name)
                figures = (f"{value:.6g}" for value in (timing.median_s, timing.mean_s, timing.spin_s))
                ratio = f"{log_ratio(other, timing):.6g}" if other else ""
                yield (repetition, number, arm, f'"{name}"', *figures, len(timing.slices), base, ratio)
