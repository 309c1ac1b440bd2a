"""The plot of a sweep: small multiples, one row per figure, one column per level of what neither axis nor colour shows.

The axis shows the first varied key, colour the next; thresholds and groups count as keys that come last. Dots are
single seeds, lines join all seeds together; those of a single seed have its 95% interval. Lines only guide the eye.
"""

import textwrap
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from heartbench.analysis.report import style
from heartbench.analysis.sweep.plan import Sweep
from heartbench.analysis.sweep.summary import Dimension, dimensions, finding, summary_of

MOST_COLUMNS = 6
PANEL_INCHES = (3.0, 2.1)
MOST_TICKS = 8
FAR_APART = 20.0
"""Ratio of the largest to the smallest value from which an axis is logarithmic."""
ROOM = 1.08
RATE = "false_stale_per_node_day"
DOT, OPACITY = 3.5, 0.6
BESIDE = 0.2
"""Distance of the first and last colour at a mark of the axis, in distances of two marks."""

FIGURES = {
    RATE: "false stales\nper node-day",
    "detection_p99_s": "detection time,\np99 (s)",
    "flashes_per_hour": "visible flaps\nper hour",
}


@style.styled
def plot_sweep(sweep: Sweep, table: pd.DataFrame) -> Axes:
    """Plot a sweep's table on a new figure, and return its first panel."""
    found = shown_dimensions(sweep, table)
    along, colour, columns = found[0], found[1:2], panels(found[2:])
    shown = columns[:MOST_COLUMNS]
    size = 2.2 + PANEL_INCHES[0] * max(len(shown), 2), 1.0 + PANEL_INCHES[1] * len(FIGURES)
    figure = Figure(figsize=size)
    grid = figure.subplots(len(FIGURES), len(shown), sharex=True, sharey="row", squeeze=False)
    summary = summary_of(sweep, table)
    for (row, (name, label)), (column, chosen) in product(enumerate(FIGURES.items()), enumerate(shown)):
        ax = grid[row, column]
        for series, color, aside in coloured(colour):
            picked = chosen | series
            places = {level: place + aside for place, level in enumerate(along.texts)}
            dots = pick(table, picked)
            ax.plot(dots[along.column].map(places), dots[name], "o", color=color, markersize=DOT, alpha=OPACITY)
            if along.column != "seed":
                _draw_means(ax, pick(summary, picked), along.column, places, name, color, len(sweep.seeds) == 1)
        if row == 0:
            ax.set_title(title(found, chosen), fontsize=10, fontweight="normal")
        if column == 0:
            ax.set_ylabel(label)
            _scale(ax, table[name], summary.false_stale_high if name == RATE else table[name])
        if row == len(FIGURES) - 1:
            _label_axis(ax, along)
    _legend(figure, colour)
    wrapped = textwrap.wrap(finding(sweep, summary), int(size[0] * style.TITLE_COLUMNS_PER_INCH))
    figure.suptitle("\n".join(wrapped), x=0.01, ha="left", fontsize=12.5, fontweight="bold")
    figure.supxlabel(_caption(sweep, len(shown), len(columns)), fontsize=8, color=style.GREY, x=0.01, ha="left")
    first: Axes = grid[0, 0]
    return first


def shown_dimensions(sweep: Sweep, table: pd.DataFrame) -> list[Dimension]:
    """Return what varies in the table, in the order in which it is shown; the seed if nothing but the group does."""
    several = [each for each in dimensions(sweep, table) if len(each.texts) > 1]
    if several and several[0].column != "group":
        return several
    return [Dimension("seed", "seed", {seed: str(seed) for seed in sweep.seeds}), *several]


def panels(rest: Sequence[Dimension]) -> list[dict[str, Any]]:
    """Return the levels that each column of panels shows."""
    return [dict(zip([d.column for d in rest], levels, strict=True)) for levels in product(*(d.texts for d in rest))]


def coloured(colour: Sequence[Dimension]) -> Iterator[tuple[dict[str, Any], Any, float]]:
    """Yield each level that has a colour, with it, and how far to the right of its place it is drawn."""
    if not colour:
        yield {}, style.BLUE, 0.0
        return
    (dimension,) = colour
    count = len(dimension.texts)
    shades = style.SERIES if count <= len(style.SERIES) else mpl.colormaps["viridis"](np.linspace(0, 0.9, count))
    for place, (level, color) in enumerate(zip(dimension.texts, shades, strict=False)):
        yield {dimension.column: level}, color, BESIDE * ((place + 0.5) / count - 0.5)


def title(found: Sequence[Dimension], chosen: dict[str, Any]) -> str:
    """Return what a column of panels shows, a line for each dimension."""
    return "\n".join(f"{each.name} {each.texts[chosen[each.column]]}" for each in found if each.column in chosen)


def pick(frame: pd.DataFrame, levels: dict[str, Any]) -> pd.DataFrame:
    """Return the rows that have these levels."""
    for name, level in levels.items():
        frame = frame[frame[name] == level]
    return frame


def _draw_means(
    ax: Axes, means: pd.DataFrame, along: str, places: dict[Any, float], name: str, color: Any, one_seed: bool
) -> None:
    """Draw the means over seeds as a line, and of a single seed the interval of its false stales."""
    x = means[along].map(places)
    ax.plot(x, means[name], color=color, linewidth=1.4)
    if one_seed and name == RATE:
        ax.vlines(x, means.false_stale_low, means.false_stale_high, color=color, linewidth=1.0)


def _scale(ax: Axes, values: pd.Series, highest: pd.Series) -> None:
    """Set limits that show all values, 0 among them, and a logarithmic scale if they span orders of magnitude."""
    positive = values[values > 0]
    if not len(positive):
        return
    if positive.max() > FAR_APART * positive.min():
        ax.set_yscale("symlog", linthresh=float(positive.min()))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    ax.set_ylim(0, ROOM * max(float(positive.max()), float(highest.max())))


def _label_axis(ax: Axes, along: Dimension) -> None:
    texts = list(along.texts.values())
    every = max(1, len(texts) // MOST_TICKS)
    ax.set_xticks(range(0, len(texts), every), texts[::every])
    ax.margins(x=0.08)
    ax.set_xlabel(along.name)


def _legend(figure: Figure, colour: Sequence[Dimension]) -> None:
    for dimension in colour:
        lines = [mpl.lines.Line2D([], [], color=color) for _, color, _ in coloured(colour)]
        figure.legend(
            lines, dimension.texts.values(), title=dimension.name, loc="outside right center", alignment="left"
        )


def _caption(sweep: Sweep, shown: int, columns: int) -> str:
    seeds = (
        "one seed; vertical lines: 95% interval of the simulation"
        if len(sweep.seeds) == 1
        else "dots: single seeds; lines: all seeds together"
    )
    cut = "" if shown == columns else f"; {shown} of {columns} columns, the table has all"
    return f"{seeds}; each axis mark is a level of its own, not a scale{cut}"
