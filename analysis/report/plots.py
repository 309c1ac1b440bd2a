"""The three plots of a threshold: its cost, its place among the gaps, and what the dashboard shows.

Each draws on the given axes, or on new ones, and returns them.
"""

from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from heartbench.analysis.gaps import Gaps
from heartbench.analysis.goals import unit_of
from heartbench.analysis.qos import DAY_S
from heartbench.analysis.report import style
from heartbench.analysis.tune import Recommendation, ThresholdFigures, row_number
from heartbench.analysis.verdict import chosen_label, decided_by, figure, interval_text
from heartbench.simulator.units import NODE_DAYS

BINS_PER_DECADE = 30
WIDE_BAND, NARROW_BAND = 0.12, 0.3  # opacity of a band


@style.styled
def plot_frontier(found: Recommendation, ax: Axes | None = None) -> Axes:
    """Plot false stales against detection time: one point per threshold, the goal as an area, both settings marked.

    One curve per group; the wide band covers the networks that fit the observations, the narrow one the simulation.
    """
    ax = ax or style.axes()
    unit, goal = unit_of(found.goal), found.goal
    days = NODE_DAYS[unit]
    right = 1.2 * max(goal.max_detection_s, *found.settings_s)
    lowest = min([goal.max_false_stale_per_node_day, *map(least_rate, found.judged.values())]) * days / 3
    for (name, frame), color in zip(found.judged.items(), cycle(style.SERIES)):
        for band, alpha in (("false_stale_network", WIDE_BAND), ("false_stale", NARROW_BAND)):
            low, high = (np.maximum(frame[f"{band}_{end}"] * days, lowest / 10) for end in ("low", "high"))
            ax.fill_between(frame.detection_p99_s, low, high, color=color, alpha=alpha, linewidth=0)
        rate = np.maximum(frame.false_stale_per_node_day * days, lowest / 10)
        ax.plot(frame.detection_p99_s, rate, color=color, label=name)
    ax.set_xlim(0, right)
    ax.set_ylim(bottom=lowest)
    style.log_scale(ax, "y")
    draw_goal(ax, goal.max_detection_s, goal.max_false_stale_per_node_day * days)
    for row, color, label in chosen_settings(found):
        style.point(ax, row.detection_p99_s, max(row.false_stale_per_node_day * days, lowest), label, color)
    ax.set_xlabel("detection time, p99 (s)")
    ax.set_ylabel(f"false stales per {unit}")
    label_bands(ax, found)
    ax.legend(loc="upper right")
    style.state(ax, frontier_finding(found))
    return ax


def label_bands(ax: Axes, found: Recommendation) -> None:
    """Add the bands to the legend."""
    if any(frame.false_stale_network_high.notna().any() for frame in found.judged.values()):
        ax.fill_between([], [], color=style.GREY, alpha=WIDE_BAND, linewidth=0, label="95% interval, network")
    ax.fill_between([], [], color=style.GREY, alpha=NARROW_BAND, linewidth=0, label="95% interval, simulation")


def chosen_settings(found: Recommendation) -> list[tuple[ThresholdFigures, str, str]]:
    """Return figures, colour and label of the current and the recommended setting, for the deciding group."""
    marks = {found.current_s: (style.GREY, "current"), found.recommended_s: (style.GREEN, chosen_label(found))}
    return [(found.decides(s)[1], marks[s][0], f"{marks[s][1]}: {s:g} s") for s in found.settings_s]


def mark_settings(ax: Axes, found: Recommendation) -> None:
    """Draw both settings as lines."""
    for place, (row, color, label) in enumerate(chosen_settings(found)):
        style.mark(ax, row.stale_after_s, label, color, place)


def least_rate(frame: pd.DataFrame) -> float:
    """Return the lowest positive rate of a frontier, per node-day; infinite if there is none."""
    rates = frame.false_stale_per_node_day
    return float(rates[rates > 0].min()) if (rates > 0).any() else np.inf


def draw_goal(ax: Axes, detection_s: float, rate: float) -> None:
    """Shade the settings that meet the goal."""
    bottom = ax.get_ylim()[0]
    ax.add_patch(Rectangle((0, bottom), detection_s, rate - bottom, color=style.GREEN, alpha=0.10, linewidth=0))
    ax.plot([0, detection_s, detection_s], [rate, rate, bottom], color=style.GREEN, linewidth=1)
    ax.annotate("goal", (0, bottom), xytext=(6, 6), textcoords="offset points", color=style.GREEN)


def frontier_finding(found: Recommendation) -> str:
    """Return the title of the frontier: the intervals of both settings, for the deciding group."""
    unit = unit_of(found.goal)
    if not found.met:
        return f"No threshold meets both sides of the goal; {found.recommended_s:g} s comes closest"
    rows = [found.decides(s)[1] for s in found.settings_s]
    rates = [interval_text(row.deciding_interval, NODE_DAYS[unit]) for row in rows]
    if len(rows) == 1:
        return f"{found.recommended_s:g} s is the lowest threshold that meets the goal: {rates[0]} per {unit} (95%)"
    return (
        f"False stales per {unit} (95%): {rates[0]} at {found.current_s:g} s, {rates[1]} at {found.recommended_s:g} s"
        + (decided_by(found))
    )


@style.styled
def plot_gaps(gaps: Gaps, found: Recommendation, ax: Axes | None = None) -> Axes:
    """Plot how often gaps of each length occur, with both thresholds."""
    ax = ax or style.axes()
    lengths = gaps.up_s[gaps.up_s > 0]
    node_days = float(lengths.sum()) / DAY_S
    usual, longest = float(np.median(lengths)), max(float(lengths.max()), 2 * found.recommended_s)
    shortest = max(float(lengths.min()), usual / 20)
    bins = np.geomspace(shortest, longest, int(np.ceil(np.log10(longest / shortest) * BINS_PER_DECADE)) + 1)
    counts, _ = np.histogram(lengths, bins)
    ax.stairs(counts / node_days, bins, fill=True, color=style.BLUE, alpha=0.85)
    style.log_scale(ax, "x")
    style.log_scale(ax, "y")
    ax.set_ylim(0.5 / node_days, 5 * counts.max() / node_days)
    mark_settings(ax, found)
    ax.set_xlabel("gap between two messages (s)")
    ax.set_ylabel("gaps per node-day, by length")
    style.state(ax, gap_finding(lengths, found))
    return ax


def gap_finding(lengths_s: NDArray[np.float64], found: Recommendation) -> str:
    """Return the title of the gap plot: how rare longer gaps are in the trace."""

    def rarity(stale_after_s: float) -> str:
        longer = int(np.count_nonzero(lengths_s > stale_after_s))
        share = float(f"{len(lengths_s) / max(longer, 1):.2g}")
        return f"one gap in {share:,.0f} is" if longer else f"none of {len(lengths_s):,} gaps is"

    title = ", ".join(f"{rarity(s)} longer than {s:g} s" for s in found.settings_s)
    return title[0].upper() + title[1:]


@style.styled
def plot_flaps(found: Recommendation, nodes: int, ax: Axes | None = None) -> Axes:
    """Plot the fleet's flaps, and the visible ones that flap suppression lets through."""
    ax = ax or style.axes()
    frame = found.fleet
    flaps, flashes = (frame[name].where(frame[name] > 0) for name in ("flaps_per_hour", "flashes_per_hour"))
    ax.plot(frame.stale_after_s, flashes, color=style.BLUE, label="visible flaps")
    ax.plot(frame.stale_after_s, flaps, color=style.BLUE, linewidth=1.2, linestyle=":", label="all flaps")
    style.log_scale(ax, "y")
    style.log_scale(ax, "x")
    mark_settings(ax, found)
    ax.set_xlabel("stale_after (s)")
    ax.set_ylabel(f"status changes per hour, {nodes:,} nodes")
    ax.legend(loc="lower left")
    style.state(ax, flap_finding(found, nodes))
    return ax


def flap_finding(found: Recommendation, nodes: int) -> str:
    """Return the title of the flap plot: how often nodes flap visibly."""
    flashes = found.fleet.flashes_per_hour
    rates = (f"{frequency(flashes[row_number(found.fleet, s)])} at {s:g} s" for s in found.settings_s)
    return f"A dashboard of {nodes:,} {'node' if nodes == 1 else 'nodes'} shows a flap {', '.join(rates)}"


def frequency(per_hour: float) -> str:
    """Return a frequency in the shortest unit in which it is at least one."""
    units = {"an hour": 1.0, "a day": 24.0, "a week": 168.0}
    unit = next((name for name, hours in units.items() if per_hour * hours >= 1), "a week")
    return f"{figure(per_hour * units[unit])} times {unit}" if per_hour else "never"
