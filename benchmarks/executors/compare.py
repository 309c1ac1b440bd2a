"""What bounding blocking work buys, and what each policy costs: five ways under arrivals that do not wait.

`compare` measures, each way and load in a process of its own (`openloop` says how); the plots draw.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence

import pandas as pd
from matplotlib.axes import Axes

from heartbench.analysis.report import style
from heartbench.analysis.report.units import share_text, time_text
from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.executors.openloop import LOADS, WAYS

COLORS = dict(
    zip(WAYS, (style.GREY, style.PURPLE, style.BLUE, style.GREEN, style.ORANGE), strict=True),
)
FLOOR_MS = 0.5
"""Below this the event loop's own timers are what is seen, ms."""


def compare(
    ways: Sequence[str] = tuple(WAYS),
    loads: Sequence[str] = tuple(LOADS),
    progress: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:
    """Measure each way under each load (shares of the capacity: "0.5" … "5", and "waves"); some 5 s each.

    Returns:
        A row a trial: way, load; offered, done, refused (messages), throughput_per_s; wait_p50_s, wait_p99_s,
        wait_p999_s (from due to begun, of those that were done); peak_in_hub, peak_at_nodes (messages waiting);
        peak_bytes (resident, above the start's), threads; recovery_s (from the last arrival until all is done);
        heartbeat_late_p50_s, heartbeat_late_p99_s, heartbeat_late_max_s (at a hub on the same event loop).

    Raises:
        BenchmarkError: A trial failed.
    """
    rows = []
    for load in loads:
        for way in ways:
            progress(f"executors: {way}, load {load}")
            rows.append(in_a_process(way, load))
    return pd.DataFrame(rows)


def in_a_process(way: str, load: str) -> dict[str, object]:
    """Measure one way under one load in a fresh process."""
    words = [sys.executable, "-m", "heartbench.benchmarks.executors.openloop", way, load]
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603  (the words are ours)
    if done.returncode:
        raise BenchmarkError(f"executors {words[3:]}: {(done.stderr.strip() or 'killed').splitlines()[-1]}")
    row: dict[str, object] = json.loads(done.stdout)
    return row


@style.styled
def plot_heartbeats(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """How late the hub on the same event loop sees heartbeats (p99), against the load."""
    ax = lines(frame, "heartbeat_late_p99_s", 1000, ax or style.axes(), floor=FLOOR_MS)
    ax.set_ylabel("a heartbeat is seen late by, p99 (ms)")
    state(ax, frame, heartbeat_finding)
    return ax


@style.styled
def plot_waiting(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """The most messages that waited in the hub's memory, against the load."""
    ax = lines(frame, "peak_in_hub", 1, ax or style.axes(), floor=1.0)
    ax.set_ylabel("messages waiting in the hub, at most")
    state(ax, frame, waiting_finding)
    return ax


@style.styled
def plot_waits(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """How long messages that were done had waited (p99), against the load."""
    ax = lines(frame, "wait_p99_s", 1000, ax or style.axes(), floor=FLOOR_MS)
    ax.set_ylabel("a message waits for its work, p99 (ms)")
    state(ax, frame, waits_finding)
    return ax


def state(ax: Axes, frame: pd.DataFrame, finding: Callable[[pd.DataFrame], str]) -> None:
    """Set the title: a sentence about the greatest load; only what is shown if not every way was tried."""
    load = greatest(frame)
    rows = frame[frame.load == load].set_index("way")
    found = finding(rows) if set(WAYS) <= set(rows.index) else "not every way was tried"
    style.state(ax, f"At {load} times the capacity {found}")


def heartbeat_finding(most: pd.DataFrame) -> str:
    """What becomes of heartbeats."""
    late = most.heartbeat_late_p99_s
    bounded = max(late["bounded, block"], late["bounded, reject"])
    return (
        f"heartbeats are seen {time_text(late['bounded, caller runs'])} late where the caller runs what is too much, "
        f"{time_text(bounded)} where it waits or is refused"
    )


def waiting_finding(most: pd.DataFrame) -> str:
    """What the hub holds."""
    held = most.peak_in_hub
    return (
        f"{held['unbounded pool']:,.0f} messages wait in the hub with an unbounded pool, "
        f"{held['bounded, block']:,.0f} where streams wait, {held['bounded, reject']:,.0f} where work is refused"
    )


def waits_finding(most: pd.DataFrame) -> str:
    """What becomes of messages."""
    waits, refused = most.wait_p99_s, most.refused["bounded, reject"] / most.offered["bounded, reject"]
    return (
        f"a message waits {time_text(waits['bounded, block'])}, in the hub or before it, or {share_text(refused)} are "
        f"refused and the others wait {time_text(waits['bounded, reject'])}"
    )


def lines(frame: pd.DataFrame, column: str, factor: float, ax: Axes, floor: float) -> Axes:
    """A line a way over the steady loads, and its waves beside them."""
    steady = [load for load in LOADS if load in set(frame.load) and load != "waves"]
    places = {load: at for at, load in enumerate(steady)} | {"waves": len(steady) + 0.0}
    for way, rows in frame.groupby("way", sort=False):
        values = (rows.set_index("load")[column] * factor).clip(lower=floor)
        color = COLORS[str(way)]
        ax.plot([places[load] for load in steady], values[steady], color=color, marker="o", label=way)
        if "waves" in values:
            ax.plot([places["waves"]], [values["waves"]], color=color, marker="D", linestyle="")
    ax.set_xticks([places[load] for load in frame.load.unique()], [tick(load) for load in frame.load.unique()])
    style.log_scale(ax, "y")
    ax.set_xlabel("messages that come, as a share of the capacity")
    ax.legend(loc="upper left")
    return ax


def tick(load: str) -> str:
    """A load as the axis names it."""
    return "0.9 in waves" if load == "waves" else f"{load} ×"


def greatest(frame: pd.DataFrame) -> str:
    """The greatest load that was tried."""
    return str(max(frame.load.unique(), key=LOADS.__getitem__))
