"""The plot of both hubs' memory in the wave."""

from collections.abc import Mapping
from math import ceil
from typing import Any

from matplotlib.axes import Axes

from heartbench.analysis.report import style

COLORS = {"hub": style.BLUE, "old way": style.ORANGE}
LABELS = {"hub": "this hub", "old way": "unbounded executor, no limits"}


@style.styled
def wave_plot(record: Mapping[str, Any]) -> Axes:
    """Draw the figures in `wave.json`: resident memory over time, and when a hub was killed."""
    ax = style.axes()
    limit_mib = record["limit_mib"]
    ax.axhline(limit_mib, color=style.GREY, linewidth=1.2, linestyle=(0, (4, 2)))
    ax.annotate(
        f"killed above {limit_mib:g} MiB",
        (1.0, limit_mib),
        xycoords=("axes fraction", "data"),
        xytext=(0, 4),
        textcoords="offset points",
        ha="right",
        color=style.GREY,
    )
    for name, result in record["results"].items():
        at_s, mib = zip(*result["curve"], strict=True)
        ax.plot(at_s, mib, color=COLORS[name], label=LABELS[name])
        if not result["survived"]:
            ax.plot(at_s[-1:], mib[-1:], "X", color=COLORS[name], markersize=10, markeredgecolor=style.PAPER, zorder=5)
    ax.set(xlabel="time since the hub was ready [s]", ylabel="resident memory of the hub [MiB]")
    ax.set_xlim(left=0)
    ax.set_ylim(0, 1.15 * max(limit_mib, *(result["peak_mib"] for result in record["results"].values())))
    ax.legend(loc="center right")
    style.state(ax, finding(record))
    style.caption(ax, record["command"])
    return ax


def finding(record: Mapping[str, Any]) -> str:
    """Return the finding of the two curves, in one sentence."""
    hub, old = record["results"]["hub"], record["results"]["old way"]
    wave = f"{record['nodes']} nodes sending {record['megabytes']:g} MB each"
    ours = f"the hub stays under {ceil(hub['peak_mib'])} MiB" if hub["survived"] else "the hub is killed"
    theirs = (
        f"the same hub without bounds reaches {old['peak_mib']:.0f} MiB"
        if old["survived"]
        else f"the same hub without bounds is killed after {old['lasted_s']:.0f} s"
    )
    return f"{wave}: {ours}, {theirs}"
