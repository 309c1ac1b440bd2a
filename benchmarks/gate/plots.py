"""The gate's two plots: its power curve, and a benchmark over time. Both return matplotlib axes."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes

from heartbench.analysis.report import style
from heartbench.benchmarks.gate.error_rates import Share
from heartbench.benchmarks.gate.history import Series
from heartbench.benchmarks.gate.report_formats import unit_of

REVISION_LETTERS = 8
MOST_TICKS = 12
APART = 0.08
"""Shift between series along the slowdown, in percentage points, so that no interval hides another."""


@style.styled
def power_curve(measured_on: str, series: Mapping[str, Sequence[tuple[float, Share]]]) -> Axes:
    """Plot the share of verdicts *slower* against the injected slowdown (a fraction), with exact 95% intervals."""
    ax = style.axes()
    colors = (style.BLUE, style.GREEN, style.ORANGE)
    for number, ((label, all_points), color) in enumerate(zip(series.items(), colors, strict=False)):
        points = [(slowdown, share) for slowdown, share in all_points if share.total]
        if not points:
            continue
        x = [100 * slowdown + APART * (number - 1) for slowdown, _ in points]
        y = np.array([100 * share.value for _, share in points])
        low, high = (np.array([100 * share.interval[side] for _, share in points]) for side in (0, 1))
        ax.errorbar(x, y, yerr=(y - low, high - y), color=color, marker="o", capsize=3, label=label)
    ax.set(xlabel="slowdown injected into the measured function, %", ylabel="verdicts “slower”, %", ylim=(-3, 103))
    ax.legend(loc="lower right")
    style.state(ax, finding(series))
    style.caption(ax, measured_on)
    return ax


def finding(series: Mapping[str, Sequence[tuple[float, Share]]]) -> str:
    """Return the finding: the false alarms, and the slowdown that the gate detects nine times in ten."""
    points = dict(next(iter(series.values())))
    detected = [slowdown for slowdown, share in points.items() if slowdown and share.value >= 0.9]
    false = points.get(0.0, Share(0, 0))
    slowdown = f"{min(detected):.0%}" if detected else f"not even {max(points):.0%}"
    alarms = f"{false.count} false alarm{'s'[: false.count != 1]}"
    return f"The gate detects {slowdown} nine times in ten, with {alarms} in {false.total} verdicts"


@style.styled
def through_time(series: Series) -> Axes:
    """Plot a benchmark's median time at each revision, with its levels and their changes."""
    ax = style.axes()
    times = np.array([result.median_s for result in series.results])
    scale, unit = unit_of(times.max())
    x = np.arange(len(times))
    ax.plot(x, times / scale, "o", color=style.GREY, markersize=4)
    borders = [0, *(change.position for change in series.changes), len(times)]
    for start, end in pairwise(borders):
        ax.plot([start - 0.4, end - 0.6], [np.median(times[start:end]) / scale] * 2, color=style.BLUE)
    for row, change in enumerate(series.changes):
        color = style.ORANGE if change.ratio > 1 else style.GREEN
        label = f"{change.revision[:REVISION_LETTERS]}: {change.ratio - 1:+.1%}"
        style.mark(ax, change.position - 0.5, label, color, row % 3)
    step = max(1, math.ceil(len(times) / MOST_TICKS))
    ax.set_xticks(x[::step], [result.revision[:REVISION_LETTERS] for result in series.results[::step]], rotation=30)
    ax.set(xlabel="revision, by time", ylabel=f"median time of a call, {unit}")
    style.state(ax, _changes(series))
    style.caption(
        ax, f"{len(times)} revisions on {series.machine or 'one machine'}. Measured; change points are advice."
    )
    return ax


def _changes(series: Series) -> str:
    name = series.benchmark.partition("::")[2] or series.benchmark
    if not series.changes:
        return f"{name}: no lasting change in {len(series.results)} revisions"
    return f"{name}: {len(series.changes)} lasting change{'s'[: len(series.changes) > 1]}"
