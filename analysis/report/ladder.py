"""The plot of the ladder: the gap at the hub against the length of the outage, with the threshold."""

import pandas as pd
from matplotlib.axes import Axes

from heartbench.analysis.report.style import GREY, SERIES, axes, log_scale, state, styled


@styled
def plot_ladder(rows: pd.DataFrame, stale_after_s: float) -> Axes:
    """Plot gaps against outages from `Ladder.rows`, one line per phase, and the threshold."""
    ax = axes()
    for color, (phase, line) in zip(SERIES * 3, rows.groupby("phase"), strict=False):
        ax.plot(line["outage_s"], line["gap_s"], color=color, label=f"outage begins at {phase:g} of the interval")
    ax.plot(rows["outage_s"], rows["outage_s"], color=GREY, linewidth=1, linestyle=":", label="the outage itself")
    ax.axhline(stale_after_s, color=GREY, linewidth=1.4, linestyle=(0, (4, 2)))
    ax.annotate(
        f"stale after {stale_after_s:g} s",
        (rows["outage_s"].min(), stale_after_s),
        xytext=(4, 4),
        textcoords="offset points",
        color=GREY,
        fontweight="bold",
    )
    log_scale(ax, "y")
    ax.set_xlabel("length of the outage (s)")
    ax.set_ylabel("longest gap at the hub (s)")
    ax.set_ylim(bottom=0.8 * min(rows["gap_s"].min(), stale_after_s))
    ax.legend(loc="lower right")
    state(ax, _finding(rows, stale_after_s))
    return ax


def _finding(rows: pd.DataFrame, stale_after_s: float) -> str:
    over = rows[rows["gap_s"] > stale_after_s]
    if over.empty:
        return f"No outage up to {rows['outage_s'].max():g} s makes a gap longer than {stale_after_s:g} s"
    first = over.sort_values("outage_s").iloc[0]
    return (
        f"TCP turns an outage of {first['outage_s']:.3g} s into a gap of {first['gap_s']:.3g} s, "
        f"longer than the {stale_after_s:g} s threshold"
    )
