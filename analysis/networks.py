"""False stales on each network that fits the observations of a group's link.

A separate fleet is simulated for each such group (SIMULATED_NODE_DAYS, with outages of all lengths added). The effect
of one outage there (`response`) gives the rate on every network that the posterior draws (`posterior`).

A group that replays a recording needs no other fleet: its own counts say what the recording tells (`replayed_rates`).
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from heartbench.analysis.evidence import Evidence
from heartbench.analysis.intervals import LEVEL
from heartbench.analysis.posterior import NETWORKS, Networks, draw_networks
from heartbench.analysis.qos import DAY_S, Qos
from heartbench.analysis.response import BEYOND, Response, edges_of, with_probes
from heartbench.hub import PolicySpec
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.group import Group
from heartbench.simulator.outages import HOUR_S, Observed, Outages
from heartbench.simulator.replay import Replay
from heartbench.simulator.scenario import Scenario
from heartbench.simulator.tail import log_survival

Floats = NDArray[np.float64]

SIMULATED_NODE_DAYS = 600.0
TINY_S = TINY_DAYS = 1e-9


@dataclass(frozen=True, slots=True)
class NetworkRates:
    """False stales per node-day under k policies: on the best estimate, and on each of j drawn networks, (j, k)."""

    best: Floats
    drawn: Floats

    def interval(self) -> Floats:
        """Return the ends between which a share LEVEL of the networks lie; shape (2, k)."""
        return np.quantile(self.drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)


def observed_groups(evidence: Evidence) -> dict[str, tuple[Group, Observed]]:
    """Return the groups whose link was observed, and is simulated as it was observed.

    A `rate_factor` other than 1 makes it another network, which was not observed.
    """
    groups = evidence.scenario.group if evidence.scenario else ()
    return {
        group.name: (group, outage.observed)
        for group in groups
        if (outage := group.outage).observed and outage.rate_factor == 1
    }


def nodes_to_simulate(evidence: Evidence) -> int:
    """Return the number of nodes that `network_rates` simulates."""
    return len(observed_groups(evidence)) * simulation_size(evidence)[1]


def simulation_size(evidence: Evidence) -> tuple[float, int]:
    """Return duration (s) and nodes of a simulation of SIMULATED_NODE_DAYS: at least a day, to fit the longest gaps."""
    duration_s = max(evidence.duration_s, DAY_S)
    return duration_s, max(ceil(SIMULATED_NODE_DAYS * DAY_S / duration_s), 1)


def network_rates(
    evidence: Evidence, policies: Sequence[PolicySpec], advance: Callable[[int], None] | None = None
) -> dict[str, NetworkRates]:
    """Simulate each group whose link was observed, and return its rates under these policies.

    Groups with the same outages are on the same network: they share the networks that are drawn.
    """
    found: dict[str, NetworkRates] = {}
    scenario = evidence.scenario
    if scenario is None:
        return found
    known: list[Outages] = []
    for name, (group, observed) in observed_groups(evidence).items():
        outage = group.outage
        if outage not in known:
            known.append(outage)
        networks = draw_networks(observed, evidence.seed + known.index(outage))
        fleet = alone(scenario, group, *simulation_size(evidence))
        response = response_of(fleet, observed, policies, advance)
        best = response.false_stale_per_node_day(best_estimate(outage, observed))[0]
        found[name] = NetworkRates(best, response.false_stale_per_node_day(networks))
    return found


def replayed_groups(evidence: Evidence) -> dict[str, float]:
    """Return how long the recording of each group that replays one is, h; without those whose file is gone."""
    found: dict[str, float] = {}
    for group in evidence.scenario.group if evidence.scenario else ():
        if isinstance(group.link, Replay):
            with suppress(SimulatorError):  # it has moved or changed since the run
                found[group.name] = group.link.observed_s / HOUR_S
    return found


def replayed_rates(evidence: Evidence, judged: Mapping[str, Qos]) -> dict[str, NetworkRates]:
    """Return the rates of the groups that replay a recording.

    All their nodes see the network of the recording and no other. So they count as much as one passage of it, or less
    if they ran for less: the rate has the Gamma posterior of that Poisson count.
    """
    found: dict[str, NetworkRates] = {}
    for name, hours in replayed_groups(evidence).items():
        if name in judged:
            node_days = max(judged[name].node_days, TINY_DAYS)
            best = judged[name].mistakes.sum((0, 1)) / node_days
            days = min(hours * HOUR_S / DAY_S, node_days)
            chance = np.random.default_rng([evidence.seed, 2]).uniform(size=(NETWORKS, 1))
            found[name] = NetworkRates(best, gammaincinv(best * days + 0.5, chance) / days)
    return found


def alone(scenario: Scenario, group: Group, duration_s: float, nodes: int) -> Scenario:
    """Return the scenario with `nodes` nodes of this group alone, and a hub that never fails."""
    changes = {
        "group": (group.model_copy(update={"nodes": nodes}),),
        "fault": tuple(fault for fault in scenario.fault if fault.group == group.name),
        "hub_fault": (),
        "duration_s": duration_s,
    }
    return scenario.model_copy(update=changes)


def response_of(
    scenario: Scenario, observed: Observed, policies: Sequence[PolicySpec], advance: Callable[[int], None] | None = None
) -> Response:
    """Simulate a scenario of one group with outages of all lengths added, and count the effect of each length."""
    from heartbench.analysis.simulated import simulate_gaps
    from heartbench.simulator.fleet import squads

    (group,) = scenario.group
    own = 1.0 - (group.site.share or 0.0) if group.site else 1.0
    interval_s = group.heartbeat_interval_s
    longest_s = BEYOND * max(policy.parameters.usual_silence_s(interval_s) for policy in policies)
    fleet = [with_probes(squad, group.outage, own, observed.from_s, longest_s) for squad in squads(scenario)]
    gaps, outages = simulate_gaps(scenario, fleet, advance, policies)
    return Response.of(gaps, outages, edges_of(observed.from_s, longest_s), policies)


def best_estimate(outage: Outages, observed: Observed) -> Networks:
    """Return the profile's network, above the length from which outages were counted.

    Beyond a higher threshold a generalised Pareto tail keeps its shape, and its scale grows by shape · difference.
    """
    if not outage.knots:
        return Networks(observed.from_s, np.zeros(1), np.zeros(1), np.ones(1))
    tail = outage.tail
    over_s = observed.from_s - tail.from_s
    per_hour = outage.tail_per_hour * np.exp(log_survival(np.array([over_s]), tail.shape, tail.scale_s))
    scale_s = max(tail.scale_s + tail.shape * over_s, TINY_S)
    return Networks(observed.from_s, per_hour, np.array([tail.shape]), np.array([scale_s]))


def of_fleet(rates: Mapping[str, NetworkRates], judged: Mapping[str, Qos], seed: int) -> NetworkRates:
    """Return the rates of a fleet of judged groups: the groups' rates, weighted by their shares of the observed time.

    The rate of a group whose network was not observed has the Gamma posterior of its Poisson count in the trace.
    """
    up_s = {name: float(qos.up_s.sum()) for name, qos in judged.items()}
    shares = {name: its_up_s / sum(up_s.values()) for name, its_up_s in up_s.items()}
    best: Floats = np.sum([shares[name] * each.best for name, each in rates.items()], axis=0)
    drawn: Floats = np.sum([shares[name] * each.drawn for name, each in rates.items()], axis=0)
    generator = np.random.default_rng([seed, 1])  # apart from the draws of networks
    for name in (name for name in shares if name not in rates):
        events, node_days = judged[name].mistakes.sum((0, 1)), max(judged[name].node_days, TINY_DAYS)
        best = best + shares[name] * events / node_days
        chance = generator.uniform(size=(len(drawn), 1))  # one for all thresholds, so that rates fall with them
        drawn = drawn + shares[name] * gammaincinv(events + 0.5, chance) / node_days
    return NetworkRates(best, drawn)
