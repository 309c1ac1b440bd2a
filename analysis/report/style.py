"""The style of every plot: a title that states the finding, axes with units, few lines, no frame.

Colours are those of Okabe and Ito, which colour-blind readers can distinguish.
"""

import functools
import io
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#6B7280"
SERIES = (BLUE, ORANGE, PURPLE)
INK, PAPER, LINE = "#1F2937", "#FFFFFF", "#E5E7EB"
SIZE_INCHES = (8.6, 4.6)
TITLE_COLUMNS_PER_INCH = 9.2

STYLE: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": GREY,
    "axes.facecolor": PAPER,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 10.5,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlepad": 14,
    "axes.titlesize": 12.5,
    "axes.titleweight": "bold",
    "figure.constrained_layout.use": True,
    "figure.dpi": 110,
    "figure.facecolor": PAPER,
    "font.size": 10,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "lines.linewidth": 2.0,
    "svg.hashsalt": "heartbench",
    "text.color": INK,
    "xtick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.color": GREY,
    "ytick.labelcolor": INK,
}


Arguments = ParamSpec("Arguments")


def styled(plot: Callable[Arguments, Axes]) -> Callable[Arguments, Axes]:
    """Decorate a plotting function so that it uses this style, regardless of the session's."""

    @functools.wraps(plot)
    def wrapper(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Axes:
        with mpl.rc_context(STYLE):
            return plot(*args, **kwargs)

    return wrapper


@styled
def axes() -> Axes:
    """Return empty axes on a new figure (`axes.figure`)."""
    return Figure(figsize=SIZE_INCHES).subplots()


def state(ax: Axes, finding: str) -> None:
    """Set the title, a sentence that states the finding, wrapped to the width of the axes."""
    width_inches = ax.get_position().width * whole(ax).get_figwidth()
    ax.set_title("\n".join(textwrap.wrap(finding, max(20, int(width_inches * TITLE_COLUMNS_PER_INCH)))))


def log_scale(ax: Axes, axis: str) -> None:
    """Set an axis (`x` or `y`) to a logarithmic scale, with plain figures instead of powers of ten."""
    (ax.set_xscale if axis == "x" else ax.set_yscale)("log")
    chosen = ax.xaxis if axis == "x" else ax.yaxis
    chosen.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    chosen.set_minor_formatter(NullFormatter())
    low, high = chosen.get_view_interval()
    if high < 300 * low:
        chosen.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))


def mark(ax: Axes, x: float, label: str, color: str, row: int = 0) -> None:
    """Draw a vertical line with a label, `row` lines below the upper end. Set scale and limits first."""
    ax.axvline(x, color=color, linewidth=1.4, linestyle=(0, (4, 2)), zorder=3)
    label_beside(ax, (x, 1.0), (5, -3 - 18 * row), label, color, xycoords=("data", "axes fraction"), va="top", zorder=4)


def point(ax: Axes, x: float, y: float, label: str, color: str) -> None:
    """Draw a point with a label. Set scale and limits first."""
    ax.plot([x], [y], "o", color=color, markersize=9, markeredgecolor=PAPER, markeredgewidth=1.5, zorder=5)
    label_beside(ax, (x, y), (8, 10), label, color, zorder=6)


def label_beside(
    ax: Axes, at: tuple[float, float], offset: tuple[int, int], label: str, color: str, **how: Any
) -> None:
    """Draw a label to the right of a place, or to the left if it would leave the axes."""
    left = ax.transAxes.inverted().transform(ax.transData.transform((at[0], 1.0)))[0] > 0.7
    how |= {"ha": "right" if left else "left", "color": color, "fontweight": "bold", "textcoords": "offset points"}
    background = {"facecolor": PAPER, "edgecolor": "none", "alpha": 0.85, "pad": 1.5}
    ax.annotate(label, at, xytext=(-offset[0] if left else offset[0], offset[1]), bbox=background, **how)


def beside(ax: Axes, x: float, y: float, label: str, color: str) -> None:
    """Label a line to the right of its last point, instead of in a legend."""
    ax.annotate(label, (x, y), xytext=(8, 0), textcoords="offset points", va="center", color=color, fontweight="bold")


def caption(ax: Axes, text: str) -> None:
    """Write a caption, command and seed, below a plot in its own file."""
    whole(ax).supxlabel(text, fontsize=8, color=GREY, x=0.01, ha="left")


def svg(ax: Axes) -> str:
    """Return the figure as an `<svg>` element; equal figures give equal text."""
    buffer = io.StringIO()
    with mpl.rc_context(STYLE):
        whole(ax).savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def save(ax: Axes, path: Path) -> None:
    """Write the figure to a file in the format of its suffix."""
    with mpl.rc_context(STYLE):
        whole(ax).savefig(path)


def whole(ax: Axes) -> Figure:
    """Return the figure of the axes."""
    figure = ax.get_figure(root=True)
    if figure is None:
        raise ValueError("the axes were removed from their figure")
    return figure
