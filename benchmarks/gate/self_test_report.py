"""The result of a self-test: error rates with their intervals, as files.

gate-exam.md              the tables, for reading
gate-exam.json            the same figures, and the conditions they were measured under
gate-exam.svg             the power curve
gate-exam-verdicts.csv    every verdict
gate-exam-samples.csv.gz  every process and every pair of two, from which the verdicts can be recomputed
"""

import gzip
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from heartbench.analysis.report import style
from heartbench.benchmarks.gate import plots
from heartbench.benchmarks.gate.error_rates import Share
from heartbench.benchmarks.gate.samples import Timing, log_ratio, mean_log_ratio, pairs
from heartbench.benchmarks.gate.self_test import SLOWDOWNS, SelfTest, bases
from heartbench.benchmarks.markdown_table import table

CLASSES = (0.01, 0.02, 0.04, math.inf)
"""Upper limits of the pair deviation, by which benchmarks are grouped to report their power."""
STATISTICS: Mapping[str, Callable[[Timing, Timing], float]] = {
    "slice by slice": log_ratio,
    "by their medians": lambda base, head: math.log(head.median_s / base.median_s),
    "by their means": mean_log_ratio,
}
"""Ways to compare two processes."""
LOCKSTEP, APART = ("still-0", "again-0"), ("still-0", "still-1")
"""Two arms with the same code that ran interleaved, and two that ran one after the other."""
ARMS_OF_A_COMPARISON = 3
INTERVAL = "95% interval"
STEADY = 0.02
"""Benchmarks up to this pair deviation have a curve of their own in the plot."""


def alarms(result: SelfTest) -> Share:
    """Return the false alarms: A/A comparisons with the verdict slower."""
    still = [each for each in result.verdicts if not each.slowdown]
    return Share(sum(each.slower for each in still), len(still))


def power(result: SelfTest, slowdown: float, pair_sd: float = math.inf) -> Share:
    """Return the slowdowns detected on benchmarks that scatter by at most `pair_sd`."""
    scatter = scatters(result)
    chosen = [each for each in result.verdicts if each.slowdown == slowdown and scatter[each.benchmark] <= pair_sd]
    return Share(sum(each.slower for each in chosen), len(chosen))


def scatters(result: SelfTest) -> dict[str, float]:
    """Return each benchmark's pair deviation in A/A comparisons, pooled over the repetitions."""
    found: dict[str, list[float]] = {}
    for each in result.verdicts:
        if not each.slowdown:
            found.setdefault(each.benchmark, []).append(each.pair_sd**2)
    return {name: math.sqrt(float(np.mean(squares))) for name, squares in found.items()}


def attained(result: SelfTest, slowdown: float) -> float:
    """Return the slowdown that an injected one came to, as a fraction: the median over its verdicts."""
    return float(np.median([each.ratio for each in result.verdicts if each.slowdown == slowdown])) - 1


def scatter_by_statistic(result: SelfTest) -> dict[str, tuple[float, float]]:
    """Return the median pair deviation by statistic: of interleaved processes, and of others (or NaN)."""
    lockstep = {label: _median_scatter(result, LOCKSTEP, by) for label, by in STATISTICS.items()}
    apart = {label: _median_scatter(result, APART, by) for label, by in STATISTICS.items() if by is not log_ratio}
    return {label: (scatter, apart.get(label, math.nan)) for label, scatter in lockstep.items()}


def _median_scatter(result: SelfTest, arms: tuple[str, str], by: Callable[[Timing, Timing], float]) -> float:
    variances: dict[str, list[float]] = {}
    for repetition in result.rounds:
        for name, ratios in pairs(repetition, *arms, by).items():
            variances.setdefault(name, []).append(float(ratios.var(ddof=1)))
    return math.sqrt(float(np.median([np.mean(each) for each in variances.values()]))) if variances else math.nan


def summary(result: SelfTest) -> dict[str, Any]:
    """Return all figures of a self-test as the object that `--json` prints."""
    names = list(scatters(result))
    return {
        "schema": "heartbench.exam/1",
        "revision": result.subject.head,
        "suite": list(result.subject.suite),
        "settings": result.subject.settings.model_dump(mode="json", exclude={"python"}),  # a path of this machine
        "python": result.python,
        "core": result.core,
        "seed": result.subject.seed,
        "repetitions": len(result.rounds),
        "rounds": result.subject.settings.rounds,
        "benchmarks": len(names),
        "wall_s": result.wall_s,
        "comparison_s": result.process_s * ARMS_OF_A_COMPARISON * result.subject.settings.rounds,
        "alarms": _share(alarms(result)),
        "power": [
            {
                "slowdown": slowdown,
                "attained": attained(result, slowdown),
                "pair_sd_at_most": None if math.isinf(limit) else limit,
                **_share(power(result, slowdown, limit)),
            }
            for slowdown in SLOWDOWNS
            for limit in CLASSES
        ],
        "pair_sd": scatters(result),
        "pair_sd_by_comparison": {
            label: {"lockstep": together, "apart": None if math.isnan(apart) else apart}
            for label, (together, apart) in scatter_by_statistic(result).items()
        },
    }


def _share(share: Share) -> dict[str, Any]:
    value = share.value if share.total else None  # JSON has no NaN
    return {"count": share.count, "total": share.total, "share": value, "ci": share.interval}


def markdown(result: SelfTest) -> str:
    """Return the tables of a self-test."""
    tested, rounds = result.subject, result.subject.settings.rounds
    minutes = result.process_s * ARMS_OF_A_COMPARISON * rounds / 60
    about = (
        f"{len(result.rounds)} repetitions of {rounds} rounds on {len(scatters(result))} benchmarks at "
        f"{tested.head[:10]}; Python {result.python.split()[0]}, core {result.core}, seed {tested.seed}. "
        f"A comparison with these settings takes {minutes:.1f} minutes. Measured; no sample was changed.\n"
    )
    injected = [
        [f"{x:.0%}", f"{attained(result, x):.1%}", _limit(limit), *_cells(power(result, x, limit))]
        for x, limit in product(SLOWDOWNS, CLASSES)
    ]
    compared = [
        [label, f"{together:.2%}", "–" if math.isnan(apart) else f"{apart:.2%}"]
        for label, (together, apart) in scatter_by_statistic(result).items()
    ]
    by_scatter = sorted(scatters(result).items(), key=lambda item: item[1])
    tables = {
        ("A/A comparison", "slower", INTERVAL): [["the gate, before confirmation", *_cells(alarms(result))]],
        ("injected", "attained", "pair deviation", "detected", INTERVAL): injected,
        ("two processes compared", "median pair deviation, interleaved", "one after the other"): compared,
        ("benchmark", "pair deviation"): [[f"`{name}`", f"{value:.2%}"] for name, value in by_scatter],
    }
    shown = (table(columns, rows, "---") for columns, rows in tables.items())
    return "\n".join(["# Self-test of the regression gate\n", about, *shown])


def _limit(pair_sd: float) -> str:
    return "any" if math.isinf(pair_sd) else f"up to {pair_sd:.0%}"


def _cells(share: Share) -> list[str]:
    low, high = share.interval
    return [f"{share.count} of {share.total}", f"{low:.1%} to {high:.1%}"] if share.total else ["none measured", ""]


def save(result: SelfTest, directory: Path) -> list[Path]:
    """Write all files of a self-test; return their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    files = [directory / f"gate-exam{end}" for end in (".md", ".json", "-verdicts.csv", "-samples.csv.gz")]
    files[0].write_text(markdown(result), "utf-8")
    files[1].write_text(json.dumps(summary(result), indent=2) + "\n", "utf-8")
    pd.DataFrame(map(asdict, result.verdicts)).to_csv(files[2], index=False, lineterminator="\r\n")
    with gzip.GzipFile(files[3], "wb", mtime=0) as packed:
        packed.write("".join(f"{','.join(map(str, row))}\n" for row in processes(result)).encode())
    picture = directory / "gate-exam.svg"
    style.save(plots.power_curve(*power_series(result)), picture)
    return [*files, picture]


def power_series(result: SelfTest) -> tuple[str, dict[str, list[tuple[float, Share]]]]:
    """Return the caption of the power curve, and its points by series; the A/A comparison is at 0."""
    series = {"the gate": [(0.0, alarms(result)), *((x, power(result, x)) for x in SLOWDOWNS)]}
    if any(scatter > STEADY for scatter in scatters(result).values()):
        label = f"the gate, benchmarks that scatter by up to {STEADY:.0%}"
        series[label] = [(x, power(result, x, STEADY)) for x in SLOWDOWNS if power(result, x, STEADY).total]
    size = f"{len(result.rounds)} repetitions, {len(scatters(result))} benchmarks"
    return (
        f"heartbench bench --self-test --seed {result.subject.seed}: {size}, {result.subject.head[:10]}. Measured.",
        series,
    )


def processes(result: SelfTest) -> Iterator[Sequence[object]]:
    """Return a header and one row per process and benchmark; the log-ratio is that to base in the same round."""
    yield ("repetition", "round", "arm", "benchmark", "median_s", "mean_s", "spin_s", "slices", "base", "log_ratio")
    for repetition, rounds in enumerate(result.rounds):
        for (number, each), (arm, base) in product(enumerate(rounds), bases(rounds).items()):
            for name, timing in each[arm].times.items():
                other = each[base].times.get(name)
                figures = (f"{value:.6g}" for value in (timing.median_s, timing.mean_s, timing.spin_s))
                ratio = f"{log_ratio(other, timing):.6g}" if other else ""
                yield (repetition, number, arm, f'"{name}"', *figures, len(timing.slices), base, ratio)
