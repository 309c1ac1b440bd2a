"""The rates that a profile states for a fleet: those of all networks that fit its observed outages (`networks`).

The nodes have the heartbeat interval of the log, and else the defaults of a scenario: no keepalive, no tunnel.
"""

from collections.abc import Callable
from math import ceil

from heartbench.analysis.coincidence import LONG
from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.evidence import policies_at
from heartbench.analysis.networks import SIMULATED_NODE_DAYS, NetworkRates, alone, best_estimate, response_of
from heartbench.analysis.posterior import draw_networks
from heartbench.analysis.promise.shifts import Kind, Reference
from heartbench.analysis.qos import DAY_S
from heartbench.hub import HubSettings
from heartbench.simulator.profile import load_profile
from heartbench.simulator.scenario import read_scenario

NODES = ceil(SIMULATED_NODE_DAYS)
"""Nodes that are simulated, for a day each."""
SEED = 1


def stated_rates(
    profile: str, interval_s: float, stale_after_s: float, advance: Callable[[int], None] | None = None
) -> Reference:
    """Return the rates of long gaps and of false stales that a profile states, per node-day.

    Args:
        profile: a shipped name, or the path of a TOML file.
        interval_s: heartbeat interval of the nodes, s.
        stale_after_s: the hub's threshold, s.
        advance: called with the number of nodes simulated since its last call.

    Raises:
        SimulatorError: there is no such profile, or it is invalid.
        AnalysisError: it lists no observed outages, so nothing says which networks fit it.
    """
    load_profile(profile)  # whose error names the profile, not a group that no file has
    group = {"name": "nodes", "nodes": NODES, "profile": profile, "heartbeat_interval": f"{interval_s!r}s"}
    scenario = read_scenario({"name": profile, "seed": SEED, "duration": "24h", "group": [group]}, "--profile")
    (found,) = scenario.group
    outage, observed = found.outage, found.outage.observed
    if observed is None:
        raise AnalysisError(f"--profile {profile}: has no outage.observed; expected a profile with observed outages")
    policies = policies_at([LONG * interval_s, stale_after_s], HubSettings.of())
    response = response_of(alone(scenario, found, DAY_S, NODES), observed, policies, advance)
    best = response.false_stale_per_node_day(best_estimate(outage, observed))[0]
    rates = NetworkRates(best, response.false_stale_per_node_day(draw_networks(observed, SEED)))
    (low, high), kinds = rates.interval(), (Kind.LONG, Kind.STALE)
    return {kind: (float(low[k]), float(best[k]), float(high[k])) for k, kind in enumerate(kinds)}
