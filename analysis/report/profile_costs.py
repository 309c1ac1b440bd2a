"""The cost of each threshold on a wired and on a mobile network: false stales with their intervals, and detection time.

The same fleet is simulated on each profile.
"""

from collections.abc import Callable, Sequence

import pandas as pd
from matplotlib.axes import Axes

from heartbench.analysis.evidence import policies_at, simulated
from heartbench.analysis.networks import network_rates
from heartbench.analysis.qos import DAY_S
from heartbench.analysis.report import style
from heartbench.analysis.report.plots import NARROW_BAND, WIDE_BAND
from heartbench.analysis.report.units import digits
from heartbench.analysis.study import judge_nodes
from heartbench.analysis.tune import frontier
from heartbench.hub import HubSettings
from heartbench.simulator.scenario import Scenario, load_scenario

PROFILES = ("lan", "wireguard-5g")
THRESHOLDS_S = tuple(range(10, 121, 5))
NODES, DURATION_S, SEED = 300, DAY_S, 1
INTERVAL_S = 10.0


def compare_profiles(
    thresholds_s: Sequence[float] = THRESHOLDS_S,
    nodes: int = NODES,
    duration_s: float = DURATION_S,
    progress: Callable[[str], None] = lambda _: None,
) -> pd.DataFrame:
    """Simulate a fleet on each of PROFILES, heartbeats every 10 s, and evaluate each threshold.

    Returns:
        One row per profile and threshold: profile, and the columns of `tune.frontier()`.
    """
    policies = policies_at([float(each) for each in thresholds_s], HubSettings.of())
    frames = []
    for profile in PROFILES:
        progress(f"thresholds: {profile}")
        evidence = simulated(fleet(profile, nodes, duration_s))
        rates = network_rates(evidence, policies)
        (name,) = evidence.groups
        frame = frontier(judge_nodes(evidence, evidence.gaps.node, policies), rates.get(name))
        frame.insert(0, "profile", profile)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def fleet(profile: str, nodes: int, duration_s: float) -> Scenario:
    """Return the fleet on a profile."""
    scenario = load_scenario("wireguard-5g", [f"group.edge.profile={profile}"]).with_nodes(nodes)
    return scenario.model_copy(update={"duration_s": duration_s, "seed": SEED})


@style.styled
def plot_profiles(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Plot false stales against the threshold, one line per profile with its intervals; dotted if none occurred.

    The wide band covers 95% of the networks that fit the observations; the narrow one only the simulation.
    """
    ax = ax or style.axes()
    some = frame[frame.false_stale > 0]
    lowest = float(some.false_stale_per_node_day.min()) / 3 if len(some) else 1e-4
    for color, (profile, rows) in zip((*style.SERIES, style.GREEN), groups(frame), strict=False):
        for band, alpha in (("false_stale_network", WIDE_BAND), ("false_stale", NARROW_BAND)):
            low, high = (rows[f"{band}_{end}"].clip(lower=lowest) for end in ("low", "high"))
            ax.fill_between(rows.stale_after_s, low, high, color=color, alpha=alpha, linewidth=0)
        rates = rows.false_stale_per_node_day.where(rows.false_stale > 0)
        ax.plot(rows.stale_after_s, rates, color=color, marker="o", markersize=4, label=profile)
        none = rows.false_stale_high.where(rows.false_stale == 0)
        ax.plot(rows.stale_after_s, none, color=color, linestyle=(0, (1, 1.5)))
    ax.plot([], [], color=style.INK, linestyle=(0, (1, 1.5)), label="none occurred: upper end of 95%")
    style.log_scale(ax, "y")
    ax.set_ylim(bottom=lowest)
    ax.set_xlabel("stale_after (s)")
    ax.set_ylabel("false stales per node-day")
    ax.legend(loc="upper right")
    style.state(ax, finding(frame))
    return ax


def groups(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return the profiles with their rows, the noisiest first."""
    found = [(str(profile), rows) for profile, rows in frame.groupby("profile", sort=False)]
    return sorted(found, key=lambda each: -float(each[1].false_stale.sum()))


def finding(frame: pd.DataFrame) -> str:
    """Return the title: false stales on the noisiest profile, at 30 s and at the largest threshold."""
    profile, rows = groups(frame)[0]
    rates = rows.set_index("stale_after_s").false_stale_per_node_day
    first = 30.0 if 30.0 in rates.index else rates.index.min()
    return (
        f"On {profile} a live node is marked stale {digits(rates[first])} times a day at {first:g} s, "
        f"{digits(rates.iloc[-1])} times at {rates.index.max():g} s"
    )
