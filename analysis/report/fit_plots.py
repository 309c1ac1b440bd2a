"""A recording beside the network that was fitted to it: three distributions, and the recording as a strip of time.

The strip leaves out the pauses of the prober: two days of one month would be two lines at its ends.
"""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from heartbench.analysis.fit import Fit, Kind
from heartbench.analysis.fit.events import find_runs, lengths_s
from heartbench.analysis.fit.fitting import correlation_of, usual_probes
from heartbench.analysis.fit.stated import stated
from heartbench.analysis.posterior import draw_networks
from heartbench.analysis.report import style
from heartbench.simulator.recordings import Recording
from heartbench.simulator.tail import log_survival

Floats = NDArray[np.float64]

SIZE_INCHES = (12.5, 8.2)
SERIES, MODEL, HELD, LOST = style.BLUE, style.ORANGE, style.PURPLE, style.INK
POINTS, BINS = 400, 900
BAND = (0.025, 0.975)
MOST_MARKS = 2000
LEAST_MS = 1e-3
FEW = 3
"""Up to so many probes per bin, or runs of losses per hundred, are drawn one by one."""


@style.styled
def plot_fit(recording: Recording, fit: Fit) -> Axes:
    """Plot data against fit, and the recording as a strip of time; return the axes of the strip."""
    figure = Figure(figsize=SIZE_INCHES)
    grid = figure.add_gridspec(2, 3, height_ratios=(1.25, 1))
    delays, outages, likeness = (figure.add_subplot(grid[0, column]) for column in range(3))
    draw_delays(delays, recording, fit)
    draw_outages(outages, recording, fit)
    draw_likeness(likeness, recording, fit)
    ax = figure.add_subplot(grid[1, :])
    draw_strip(ax, recording, fit)
    return ax


def save_fit_plot(recording: Recording, fit: Fit, path: Path) -> None:
    """Write the plot to a file in the format of its suffix, whole or not at all."""
    unfinished = path.with_name(f"{path.stem}.unfinished{path.suffix}")
    try:
        style.save(plot_fit(recording, fit), unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def draw_delays(ax: Axes, recording: Recording, fit: Fit) -> None:
    """Draw the share of round trips that are slower, of the recording and of the fit."""
    ordered = np.maximum(np.sort(recording.rtt_s[usual_probes(recording, fit.from_s)]) * 1000, LEAST_MS)
    slower = np.geomspace(1, 0.5 / len(ordered), POINTS)
    place = np.clip(((1 - slower) * len(ordered)).astype(int), 0, len(ordered) - 1)
    ax.plot(ordered[place], slower, color=SERIES, label="recording")
    shares = np.clip(slower, 1e-5, 1 - 1e-4)
    ax.plot(
        np.maximum(fit.profile.rtt_quantile(1 - shares) * 1000, LEAST_MS),
        shares,
        color=MODEL,
        linestyle="--",
        label="fit",
    )
    style.log_scale(ax, "x")
    style.log_scale(ax, "y")
    ax.set_xlabel("round trip (ms)")
    ax.set_ylabel("share of the probes that take longer")
    ax.legend(loc="lower left")
    ax.set_title("Delay")


def draw_outages(ax: Axes, recording: Recording, fit: Fit) -> None:
    """Draw how many runs of losses and stalls are at least as long, and the fitted outages with their band."""
    ax.set_title("Outages")
    ax.set_xlabel("length (s)")
    ax.set_ylabel("per hour, this long or longer")
    runs = find_runs(recording)
    if not len(runs):
        _say(ax, f"no probe was lost in {fit.hours:.3g} h")
        return
    lengths = np.sort(lengths_s(recording, runs))
    rank = np.arange(len(lengths), 0, -1) / fit.hours
    dots = "o" if len(lengths) < 100 * FEW else ""
    ax.step(lengths, rank, where="pre", color=SERIES, marker=dots, markersize=4, label="losses and stalls")
    longest = max(float(lengths[-1]), fit.from_s)
    if fit.outages:
        grid = np.geomspace(fit.interval_s, 3 * longest, POINTS)
        rates = stated(fit.profile, [f"outage.per_hour.{each!r}s" for each in grid.tolist()])
        ax.plot(grid, [each.value or np.nan for each in rates.values()], color=MODEL, linestyle="--", label="fit")
        _draw_band(ax, fit, grid[grid >= fit.from_s])
    style.log_scale(ax, "x")
    style.log_scale(ax, "y")
    ax.axvline(fit.from_s, color=style.GREY, linewidth=1, linestyle=":")
    ax.set_ylim(0.2 / fit.hours, max(2 * len(lengths) / fit.hours, 2 / fit.hours))
    ax.legend(loc="upper right")


def _draw_band(ax: Axes, fit: Fit, grid: Floats) -> None:
    observed = fit.profile.outage.observed
    if observed is None or not observed.count:
        return
    drawn = draw_networks(observed, seed=1)
    survival = np.exp(log_survival(grid[:, None] - observed.from_s, drawn.shape, drawn.scale_s))
    low, high = np.quantile(drawn.per_hour * survival, BAND, axis=1)
    ax.fill_between(grid, np.maximum(low, 1e-9), high, color=MODEL, alpha=0.15, linewidth=0, label="95% interval")


def draw_likeness(ax: Axes, recording: Recording, fit: Fit) -> None:
    """Draw the correlation of delays over the time between two probes."""
    found = correlation_of(recording, fit.from_s)
    ax.set_title("How long delays stay alike")
    if not len(found.lag_s):
        _say(ax, "all delays are the same")
        return
    ax.plot(found.lag_s, found.seen, "o", color=SERIES, markersize=4, label="recording")
    ax.plot(found.lag_s, found.model, color=MODEL, linestyle="--", label="fit")
    style.log_scale(ax, "x")
    ax.set_ylim(min(-0.15, float(np.nanmin(found.seen)) - 0.05), 1.05)
    ax.set_xlabel("time between two probes (s)")
    ax.set_ylabel("correlation of delays (normal scores)")
    ax.legend(loc="upper right")


def draw_strip(ax: Axes, recording: Recording, fit: Fit) -> None:
    """Draw the round trips over the time observed, with pauses, lost probes, outages and held stalls marked."""
    at_s = observed_before(recording)
    size_s, unit = _unit(at_s[-1])
    at = at_s / size_s
    edges = np.linspace(at[0], at[-1] + 1e-9, min(BINS, recording.probes) + 1)
    rtt = np.maximum(recording.rtt_s * 1000, LEAST_MS)
    answered = ~np.isnan(rtt)
    middle, low, median, high = _binned(at[answered], rtt[answered], edges)
    ax.fill_between(middle, low, high, color=SERIES, alpha=0.35, linewidth=0.6, step="mid", label="round trips")
    dots = "." if recording.probes < FEW * BINS else ""
    ax.plot(middle, median, color=SERIES, linewidth=0.8, marker=dots, markersize=2.5)
    style.log_scale(ax, "y")
    bottom, top = ax.get_ylim()
    marks = thinned(at[~answered], float(edges[-1]))
    if len(marks):
        ax.plot(marks, np.full(len(marks), bottom / 1.25), "|", color=LOST, markersize=7, label="lost")
        ax.set_ylim(bottom / 1.6, top)
    _mark_outages(ax, recording, fit, at_s, size_s)
    after_pauses = at[recording.stretch_starts[1:]]
    if len(after_pauses):
        whole = ax.get_xaxis_transform()
        ax.vlines(after_pauses, 0, 1, transform=whole, color=style.GREY, linewidth=1, linestyle=":", label="pauses")
    ax.set_xlim(edges[0], edges[-1])
    name = "time observed, without pauses" if len(after_pauses) else "time"
    ax.set_xlabel(f"{name} ({unit})", loc="left")  # the legend is on the right
    ax.set_ylabel("round trip (ms)")
    ax.legend(loc="upper right", bbox_to_anchor=(1.0, -0.09), ncols=5)
    ax.set_title(finding(fit))


def observed_before(recording: Recording) -> Floats:
    """Return for how long the network was observed before each probe, in s."""
    steps = np.diff(recording.sent_s, prepend=recording.sent_s[0])
    steps[recording.stretch_starts[1:]] = recording.interval_s
    return np.cumsum(steps)


def thinned(at: Floats, end: float) -> Floats:
    """Return the first of these times in each of MOST_MARKS parts of the strip up to `end`: more are not to be seen."""
    return at[np.unique((at * (MOST_MARKS / end)).astype(np.int64), return_index=True)[1]]


def _unit(seconds: float) -> tuple[float, str]:
    """Return the unit in which a person would give a time: its length in s, and its name."""
    return (3600.0, "h") if seconds > 3 * 3600 else (60.0, "min") if seconds > 300 else (1.0, "s")


def _length(seconds: float) -> str:
    """Return a length of time with up to three digits, and no power of ten."""
    size_s, unit = _unit(seconds)
    return f"{float(f'{seconds / size_s:.3g}'):,.10g} {unit}"


def _binned(at: Floats, values: Floats, edges: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return middle, least, median and greatest of each bin; NaN where nothing is, so that lines break."""
    bins = np.searchsorted(edges, at, "right") - 1
    order = np.lexsort((values, bins))
    ranked, bins = values[order], bins[order]
    first = np.searchsorted(bins, np.arange(len(edges) - 1), "left")
    end = np.searchsorted(bins, np.arange(len(edges) - 1), "right")
    empty = end <= first
    last = np.minimum(np.maximum(end - 1, 0), len(ranked) - 1)
    first = np.minimum(first, len(ranked) - 1)
    picked = [np.where(empty, np.nan, ranked[index]) for index in (first, (first + last) // 2, last)]
    return (edges[:-1] + edges[1:]) / 2, picked[0], picked[1], picked[2]


def _mark_outages(ax: Axes, recording: Recording, fit: Fit, at_s: Floats, size_s: float) -> None:
    """Shade outages; each is wide enough to be seen. The probes are drawn `at_s`, in a unit of `size_s`."""
    least_s = at_s[-1] / 1500
    for held, color, name in ((False, MODEL, "outages"), (True, HELD, "held stalls")):
        chosen = [each for each in fit.outages if (each.kind is Kind.HOLD) == held]
        begin_s = at_s[np.searchsorted(recording.sent_s, [each.at_s for each in chosen])]
        length_s = np.maximum([each.length_s for each in chosen], least_s)
        spans = list(zip(begin_s / size_s, length_s / size_s, strict=True))
        if spans:
            ax.broken_barh(
                spans, (0.0, 1.0), transform=ax.get_xaxis_transform(), color=color, alpha=0.35, linewidth=0, label=name
            )


def finding(fit: Fit) -> str:
    """Return the title: what was seen, in a sentence."""
    held = sum(each.kind is Kind.HOLD for each in fit.outages)
    longest = max((each.length_s for each in fit.outages), default=0.0)
    seen = f"{fit.probes:,} probes in {fit.hours:.3g} h, {fit.lost / fit.probes:.2%} lost"
    count = len(fit.outages)
    if not count:
        return f"{seen}; no outage of {_length(fit.from_s)} or more"
    if count == 1:
        return f"{seen}; one {'held stall' if held else 'outage'} of {_length(longest)}"
    what = "held stalls" if held == count else "outages"
    which = f", {held} of them held" if 0 < held < count else ""
    return f"{seen}; {count} {what} of {_length(fit.from_s)} or more{which}, the longest {_length(longest)}"


def _say(ax: Axes, text: str) -> None:
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=style.GREY)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda *_: ""))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda *_: ""))
