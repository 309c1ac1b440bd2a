"""The benefit of bounding blocking work, and the cost of each policy: five ways under an open-loop load.

`compare` measures each way and load in its own process (`openloop.py`).
"""

from collections.abc import Callable, Sequence

import pandas as pd
from matplotlib.axes import Axes

from heartbench.analysis.report import style
from heartbench.analysis.report.units import share_text, time_text
from heartbench.benchmarks.executors.openloop import LOADS, WAYS
from heartbench.benchmarks.fresh_process import output_of

COLORS = dict(zip(WAYS, (style.GREY, style.PURPLE, style.BLUE, style.GREEN, style.ORANGE), strict=True))
FLOOR_MS = 0.5
"""Shorter times are those of the event loop's own timers, ms."""


def compare(
    ways: Sequence[str] = tuple(WAYS),
    loads: Sequence[str] = tuple(LOADS),
    progress: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:
    """Measure each way under each load (shares of the capacity: "0.5" … "5", and "waves"), in about 5 s each.

    Returns:
        One row per trial: way, load, and the fields of `openloop.Figures`.

    Raises:
        BenchmarkError: a trial failed.
    """
    rows = []
    for load in loads:
        for way in ways:
            progress(f"executors: {way}, load {load}")
            rows.append({"way": way, "load": load, **output_of("executors.openloop", [way, load])})
    return pd.DataFrame(rows)


@style.styled
def plot_heartbeats(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Plot how late the hub on the same event loop processes heartbeats (p99), against the load."""
    ax = lines(frame, frame.heartbeat_late_p99_s * 1000, "lateness of heartbeats, p99 (ms)", FLOOR_MS, ax)
    return with_finding(ax, frame, heartbeat_finding)


@style.styled
def plot_waiting(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Plot the greatest number of messages waiting in the hub's memory, against the load."""
    ax = lines(frame, frame.peak_in_hub, "most messages waiting in the hub", 1.0, ax)
    return with_finding(ax, frame, waiting_finding)


@style.styled
def plot_waits(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Plot how long messages waited that were done (p99), against the load."""
    ax = lines(frame, frame.wait_p99_s * 1000, "wait of a message, p99 (ms)", FLOOR_MS, ax)
    return with_finding(ax, frame, waits_finding)


def with_finding(ax: Axes, frame: pd.DataFrame, finding: Callable[[pd.DataFrame], str]) -> Axes:
    """Set the title to the finding at the greatest load, if every way was measured."""
    load = max(frame.load.unique(), key=LOADS.__getitem__)
    rows = frame[frame.load == load].set_index("way")
    found = finding(rows) if set(WAYS) <= set(rows.index) else "not every way was measured"
    style.state(ax, f"At {load} times the capacity: {found}")
    return ax


def heartbeat_finding(most: pd.DataFrame) -> str:
    """Return how late heartbeats are."""
    late = most.heartbeat_late_p99_s
    bounded = max(late["bounded, block"], late["bounded, reject"])
    return (
        f"heartbeats are {time_text(late['bounded, caller runs'])} late if the caller runs the excess, "
        f"{time_text(bounded)} if streams wait or work is refused"
    )


def waiting_finding(most: pd.DataFrame) -> str:
    """Return how many messages wait in the hub."""
    held = most.peak_in_hub
    return (
        f"{held['unbounded pool']:,.0f} messages wait in the hub with an unbounded pool, "
        f"{held['bounded, block']:,.0f} if streams wait, {held['bounded, reject']:,.0f} if work is refused"
    )


def waits_finding(most: pd.DataFrame) -> str:
    """Return how long messages wait, or how many are refused."""
    waits, refused = most.wait_p99_s, most.refused["bounded, reject"] / most.offered["bounded, reject"]
    return (
        f"messages wait {time_text(waits['bounded, block'])} in the hub or at the node, or {share_text(refused)} are "
        f"refused and the others wait {time_text(waits['bounded, reject'])}"
    )


def lines(frame: pd.DataFrame, values: "pd.Series[float]", label: str, floor: float, ax: Axes | None) -> Axes:
    """Draw one line per way over the steady loads, and one marker for its waves."""
    ax = ax or style.axes()
    steady = [load for load in LOADS if load in set(frame.load) and load != "waves"]
    places = {load: at for at, load in enumerate([*steady, "waves"])}
    shown = frame.assign(value=values.clip(lower=floor))
    for way, rows in shown.groupby("way", sort=False):
        value, color = rows.set_index("load").value, COLORS[str(way)]
        ax.plot([places[load] for load in steady], value[steady], color=color, marker="o", label=way)
        if "waves" in value:
            ax.plot([places["waves"]], [value["waves"]], color=color, marker="D", linestyle="")
    ax.set_xticks([places[load] for load in frame.load.unique()], [tick(load) for load in frame.load.unique()])
    style.log_scale(ax, "y")
    ax.set(xlabel="arriving messages, as a share of the capacity", ylabel=label)
    ax.legend(loc="upper left")
    return ax


def tick(load: str) -> str:
    """Return the label of a load."""
    return "0.9 in waves" if load == "waves" else f"{load} ×"
