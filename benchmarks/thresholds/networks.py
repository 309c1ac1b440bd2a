"""False stales on each network that fits what was observed of a group's link.

For each such group a fleet of its own is simulated (NODE_DAYS, with outages of all lengths added), and what one outage
does there (`response`) gives the rate on every network that the posterior draws (`network.posterior`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from heartbench.benchmarks.network.posterior import Networks, draw_networks
from heartbench.benchmarks.thresholds.evidence import Evidence
from heartbench.benchmarks.thresholds.qos import DAY_S
from heartbench.benchmarks.thresholds.response import BEYOND, Response, with_probes
from heartbench.simulator.profile import Observed, Outages
from heartbench.simulator.scenario import Group, Scenario

Floats = NDArray[np.float64]

NODE_DAYS = 600.0
MOST_NODES = 20_000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class NetworkRates:
    """False stales per node-day at k thresholds.

    Attributes:
        best: on the network of best estimate; shape (k,).
        drawn: on each network that was drawn; shape (j, k).
    """

    best: Floats
    drawn: Floats

    def interval(self, level: float = LEVEL) -> Floats:
        """Return the ends between which a share `level` of the networks lie; shape (2, k)."""
        ends: Floats = np.quantile(self.drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
        return ends


def observed_groups(evidence: Evidence) -> dict[str, tuple[Group, Observed]]:
    """Return the groups whose link was observed, and is simulated as it was observed.

    A `rate_factor` makes another network of it, and nobody has observed that one.
    """
    groups = evidence.scenario.group if evidence.scenario else ()
    return {
        group.name: (group, outage.observed)
        for group in groups
        if (outage := group.link.outage).observed and outage.rate_factor == 1
    }


def nodes_to_simulate(evidence: Evidence) -> int:
    """Return how many nodes `network_rates` simulates."""
    return len(observed_groups(evidence)) * nodes_for(evidence.duration_s)


def nodes_for(duration_s: float) -> int:
    """Return how many nodes make NODE_DAYS in runs of this length, but at most MOST_NODES."""
    return min(max(ceil(NODE_DAYS * DAY_S / max(duration_s, 1.0)), 1), MOST_NODES)


def network_rates(
    evidence: Evidence, thresholds_s: Floats, advance: Callable[[int], None] | None = None
) -> dict[str, NetworkRates]:
    """Simulate each group whose link was observed, and return its rates at these thresholds, which ascend.

    Groups with the same outages are on the same network: what is drawn for one is drawn for the other.
    """
    found: dict[str, NetworkRates] = {}
    scenario = evidence.scenario
    if scenario is None:
        return found
    known: list[Outages] = []
    for name, (group, observed) in observed_groups(evidence).items():
        outage = group.link.outage
        if outage not in known:
            known.append(outage)
        networks = draw_networks(observed, evidence.seed + known.index(outage))
        fleet = alone(scenario, group, evidence.duration_s)
        response = response_of(fleet, observed, thresholds_s, advance)
        best = response.false_stale_per_node_day(best_estimate(outage, observed))[0]
        found[name] = NetworkRates(best, response.false_stale_per_node_day(networks))
    return found


def alone(scenario: Scenario, group: Group, duration_s: float) -> Scenario:
    """Return what was run, with this group alone, as many nodes as are to be simulated, and a hub that never fails."""
    changes = {
        "group": (group.model_copy(update={"nodes": nodes_for(duration_s)}),),
        "fault": tuple(fault for fault in scenario.fault if fault.group == group.name),
        "hub_fault": (),
        "duration_s": duration_s,
    }
    return scenario.model_copy(update=changes)


def response_of(
    scenario: Scenario, observed: Observed, thresholds_s: Floats, advance: Callable[[int], None] | None = None
) -> Response:
    """Simulate a scenario of one group with outages of all lengths added, and count what each length does."""
    from heartbench.benchmarks.thresholds.simulated import simulate_gaps
    from heartbench.simulator.fleet import squads

    (group,) = scenario.group
    own = 1.0 - group.site.share if group.site else 1.0
    longest_s = BEYOND * float(thresholds_s[-1])
    fleet = [with_probes(squad, group.link.outage, own, observed.from_s, longest_s) for squad in squads(scenario)]
    gaps, outages = simulate_gaps(scenario, fleet, advance)
    return Response.of(gaps, outages, observed.from_s, thresholds_s)


def best_estimate(outage: Outages, observed: Observed) -> Networks:
    """Return the network as the profile has it; where no long outage was seen, one without."""
    shape, scale_s = (outage.tail.shape, outage.tail.scale_s) if observed.lengths_s else (0.0, np.inf)
    return Networks(observed.from_s, *(np.array([value]) for value in (observed.per_hour, shape, scale_s)))


def of_fleet(
    rates: Mapping[str, NetworkRates], shares: Mapping[str, float], trace: Mapping[str, Floats]
) -> NetworkRates:
    """Return the rates of a fleet.

    Args:
        rates: of the groups whose network was observed, of at least one.
        shares: of the time watched, of each group.
        trace: false stales per node-day in the trace, of each group: all that is known of the others; shape (k,) each.
    """
    others = np.sum([shares[name] * trace[name] for name in shares if name not in rates], axis=0)
    best = np.sum([shares[name] * each.best for name, each in rates.items()], axis=0)
    drawn = np.sum([shares[name] * each.drawn for name, each in rates.items()], axis=0)
    return NetworkRates(best + others, drawn + others)
