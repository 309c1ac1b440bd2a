"""What each threshold costs on each shipped profile: false stales with their interval, and detection time.

Simulated: one fleet whose nodes differ in nothing but their network, under each tail that the profile's longest outages
may have. A profile without outages has one row a threshold, tail "none".
"""

from collections.abc import Callable, Iterator, Sequence

import pandas as pd
from matplotlib.axes import Axes

from heartbench.benchmarks.report import style
from heartbench.benchmarks.report.units import digits
from heartbench.benchmarks.thresholds.evidence import outage_tails, settings_of, simulate_gaps
from heartbench.benchmarks.thresholds.qos import DAY_S, judge
from heartbench.benchmarks.thresholds.sites import cells_of, sites_of
from heartbench.benchmarks.thresholds.tune import frontier
from heartbench.hub.config import HubSettings
from heartbench.simulator.profile import PROFILES, Tail
from heartbench.simulator.scenario import Scenario, load_scenario

THRESHOLDS_S = tuple(range(10, 121, 5))
NODES, DURATION_S, SEED = 300, DAY_S, 1
INTERVAL_S = 10.0
NO_TAIL = "none"


def compare_profiles(
    profiles: Sequence[str] | None = None,
    thresholds_s: Sequence[float] = THRESHOLDS_S,
    nodes: int = NODES,
    duration_s: float = DURATION_S,
    seed: int = SEED,
    progress: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:
    """Simulate a fleet on each profile (None: all that are shipped), heartbeats every 10 s, and judge each threshold.

    Returns:
        A row a profile, tail and threshold: profile, tail, and the columns of `Qos.frame()` with false_stale_low and
        false_stale_high (95 % interval, per node-day).
    """
    settings = settings_of([float(each) for each in thresholds_s], HubSettings.of())
    frames = []
    for profile in profiles or PROFILES.names():
        for tail, scenario in fleets(profile, nodes, duration_s, seed):
            progress(f"thresholds: {profile}, tail {tail}")
            gaps, site = simulate_gaps(scenario), sites_of(scenario)
            cells = cells_of(gaps.node, duration_s, None if site is None else site[gaps.node])
            frame = frontier(judge(gaps, settings, duration_s, cells))
            frame.insert(0, "profile", profile)
            frame.insert(1, "tail", tail)
            frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def fleets(profile: str, nodes: int, duration_s: float, seed: int) -> Iterator[tuple[str, Scenario]]:
    """The same fleet on a profile, under each of its tails."""
    scenario = load_scenario("wireguard-5g", [f"group.edge.profile={profile}"]).with_nodes(nodes)
    scenario = scenario.model_copy(update={"duration_s": duration_s, "seed": seed})
    if not outage_tails(scenario):
        yield NO_TAIL, scenario
        return
    for tail in Tail:
        yield str(tail), scenario.with_tail(tail)


@style.styled
def plot_profiles(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """False stales against the threshold, a line a profile and tail with its interval; dotted where none was seen."""
    ax = ax or style.axes()
    some = frame[frame.false_stale > 0]
    lowest = float(some.false_stale_per_node_day.min()) / 3 if len(some) else 1e-4
    for color, ((profile, tail), rows) in zip((*style.SERIES, style.GREEN), groups(frame), strict=False):
        label = profile if tail == NO_TAIL else f"{profile}, {tail} tail"
        low, high = rows.false_stale_low.clip(lower=lowest), rows.false_stale_high.clip(lower=lowest)
        ax.fill_between(rows.stale_after_s, low, high, color=color, alpha=0.15, linewidth=0)
        rates = rows.false_stale_per_node_day.where(rows.false_stale > 0)
        ax.plot(rows.stale_after_s, rates, color=color, marker="o", markersize=4, label=label)
        ax.plot(rows.stale_after_s, high.where(rows.false_stale == 0), color=color, linestyle=(0, (1, 1.5)))
    ax.plot([], [], color=style.INK, linestyle=(0, (1, 1.5)), label="none was seen: at most so many")
    style.log_scale(ax, "y")
    ax.set_ylim(bottom=lowest)
    ax.set_xlabel("stale after so many seconds without a sign of life")
    ax.set_ylabel("false stales per node-day")
    ax.legend(loc="upper right")
    style.state(ax, finding(frame))
    return ax


def groups(frame: pd.DataFrame) -> list[tuple[tuple[str, str], pd.DataFrame]]:
    """Each profile and tail, the noisiest first."""
    found = [((str(p), str(t)), rows) for (p, t), rows in frame.groupby(["profile", "tail"], sort=False)]
    return sorted(found, key=lambda each: -float(each[1].false_stale.sum()))


def finding(frame: pd.DataFrame) -> str:
    """What the plot shows, in a sentence: the noisiest profile and tail, at 30 s and at the largest threshold."""
    (profile, _), rows = groups(frame)[0]
    rates = rows.set_index("stale_after_s").false_stale_per_node_day
    first = 30.0 if 30.0 in rates.index else rates.index.min()
    return (
        f"On {profile} a living node is called stale {digits(rates[first])} times a day at {first:g} s, "
        f"{digits(rates.iloc[-1])} times at {rates.index.max():g} s"
    )
