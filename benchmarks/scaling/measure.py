"""The growth of cost with size: the time of an operation at sizes of 10² to 10⁶, and the exponent of the power law.

An exponent of 0 is a constant cost, 1 a cost proportional to the size. It is the slope of a straight line through
log(time) over log(size); its 95% interval is Student's, from the residuals. With this few points it is wide, and caches
bend the line.
"""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy.stats import linregress, t

from heartbench.analysis.report import style
from heartbench.benchmarks.scaling.subjects import SUBJECTS, Work

CALLS = 31
LONGEST_S = 1.5
"""Time limit for the calls of one size, s."""
SLOW = 0.5
"""Exponent below which a cost grows slowly: less than tenfold at a hundred times the size."""
COLORS = (*style.SERIES, style.GREEN, style.GREY, style.INK, "#B8860B")


def measure_scaling(
    subjects: Sequence[str] = tuple(SUBJECTS),
    sizes: Mapping[str, Sequence[int]] | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:
    """Time each operation at each size (None: those of SUBJECTS).

    Returns:
        One row per subject and size: subject, of (what the size counts), size, operation_s (CPU time of one operation,
        the median of calls), calls.
    """
    rows = []
    for subject in subjects:
        make, of, usual = SUBJECTS[subject]
        for size in (sizes or {}).get(subject, usual):
            progress(f"scaling: {subject}, {size:,} {of}")
            seconds, calls = operation_s(make(size))
            rows.append({"subject": subject, "of": of, "size": size, "operation_s": seconds, "calls": calls})
    return pd.DataFrame(rows)


def operation_s(work: Work) -> tuple[float, int]:
    """Return the CPU time of one operation, the median of calls, and the number of calls."""
    call, operations = work
    call()
    times: list[float] = []
    gc.collect()
    gc.disable()  # its pauses are measured with the histories
    try:
        while len(times) < CALLS and sum(times) < LONGEST_S:
            began = time.thread_time()
            call()
            times.append(time.thread_time() - began)
    finally:
        gc.enable()
    return median(times) / operations, len(times)


def fit_slopes(frame: pd.DataFrame) -> pd.DataFrame:
    """Fit a power law to each subject.

    Returns:
        One row per subject: subject, of, slope, low and high (95% interval; NaN with fewer than three sizes).
    """
    rows = []
    for (subject, of), each in frame.groupby(["subject", "of"], sort=False):
        fit = linregress(np.log(each["size"]), np.log(each.operation_s))
        free = len(each) - 2
        reach = float(t.ppf(0.975, free)) * fit.stderr if free > 0 else np.nan
        rows.append(
            {"subject": subject, "of": of, "slope": fit.slope, "low": fit.slope - reach, "high": fit.slope + reach}
        )
    return pd.DataFrame(rows)


@style.styled
def plot_scaling(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Plot the time against the size, one line per subject, each relative to its smallest size."""
    ax = ax or style.axes()
    slopes = fit_slopes(frame).set_index("subject").slope
    for color, (subject, rows) in zip(COLORS, frame.groupby("subject", sort=False), strict=False):
        label = f"{subject}: {rows.of.iloc[0]}^{slopes[subject]:.2f}"
        ax.plot(rows["size"], rows.operation_s / rows.operation_s.iloc[0], color=color, marker="o", label=label)
    style.log_scale(ax, "x")
    style.log_scale(ax, "y")
    ax.set_xlabel("size")
    ax.set_ylabel("cost, relative to the smallest size")
    ax.legend(loc="upper left", fontsize=9)
    style.state(ax, finding(slopes))
    return ax


def finding(slopes: "pd.Series[float]") -> str:
    """Return the finding of the plot, in one sentence."""
    slow = slopes[slopes < SLOW].sort_values()
    if slow.empty:
        return "All costs grow with the size"
    return f"Nearly constant: {', '.join(map(str, slow.index))}. The other costs grow with the size"
