"""How often the interval of the network covers the true rate of false stales.

    python -m heartbench.analysis.validation.coverage

A world is a network whose outages are known. Its true rates are counted in a long simulation. Then it is observed for
WATCHED_H, as a user would observe theirs; the observations become a profile, which is processed as in `heartbench
tune`: fitted, simulated with outages of all lengths added, weighted on the networks that fit. The interval covers if it
contains the true rate. For comparison, the interval of the simulation alone, at the best estimate of the network, is
printed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from heartbench.analysis.evidence import policies_at
from heartbench.analysis.intervals import poisson_interval
from heartbench.analysis.networks import SIMULATED_NODE_DAYS, NetworkRates, alone, best_estimate, response_of
from heartbench.analysis.posterior import draw_networks
from heartbench.analysis.qos import DAY_S
from heartbench.analysis.response import with_lengths
from heartbench.analysis.simulated import simulate_gaps
from heartbench.hub import HubSettings
from heartbench.simulator.fleet import squads
from heartbench.simulator.link_records import OUTAGE_E
from heartbench.simulator.outages import Outages
from heartbench.simulator.scenario import Scenario, load_scenario
from heartbench.simulator.tail import Tail
from heartbench.simulator.tomlfile import validate

Floats = NDArray[np.float64]

THRESHOLDS_S = (30.0, 60.0, 90.0)
WATCHED_H = 8.0
FROM_S = 3.0
SHORT = ((1.0, 27.8), (2.0, 13.7))
PER_HOUR = 8.8
MEAN_EXCESS_S = 4.0
"""Rates of shorter outages (s, 1/h), rate of those of at least FROM_S, and their mean excess: as in wireguard-5g."""
LOG_MEAN, LOG_SIGMA = 0.35, 0.97
"""Mean and deviation of ln(length in s) in the lognormal world: fitted to an earlier count of the source."""
SITE_NODES, SITE_SHARE = 10, 0.3
"""Observed nodes of a site, WATCHED_H node-hours in total, and the share of outages that hits all of them."""
TRUTH_NODE_DAYS = 6000
MOST_NODES_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class World:
    """A network whose outages are known; `quantile_s(score)` is the length, s, that a share exp(−score) exceeds."""

    name: str
    quantile_s: Callable[[Floats], Floats]
    shared: bool = False

    def watch(self, generator: np.random.Generator) -> list[float]:
        """Return the lengths of the outages observed in WATCHED_H, s."""
        if not self.shared:
            return self._lengths_s(generator, PER_HOUR * WATCHED_H)
        own = self._lengths_s(generator, PER_HOUR * WATCHED_H * (1 - SITE_SHARE))
        of_site = self._lengths_s(generator, PER_HOUR * WATCHED_H / SITE_NODES * SITE_SHARE)
        return own + of_site * SITE_NODES

    def _lengths_s(self, generator: np.random.Generator, expected: float) -> list[float]:
        return list(self.quantile_s(generator.exponential(size=generator.poisson(expected))))

    def true_rates(self, node_days: int) -> Floats:
        """Return the false stales per node-day at THRESHOLDS_S, counted in a simulation of `node_days`."""
        counts, up_s = np.zeros(len(THRESHOLDS_S)), 0.0
        for seed, done in enumerate(range(0, node_days, MOST_NODES_AT_ONCE)):
            nodes = min(MOST_NODES_AT_ONCE, node_days - done)
            scenario = a_day(Outages()).with_nodes(nodes).model_copy(update={"seed": 1000 + seed})
            fleet = [with_lengths(squad, self._table_s(), SHORT[0][1]) for squad in squads(scenario)]
            gaps, _ = simulate_gaps(scenario, fleet)
            counts += [np.count_nonzero(gaps.up_s > each) for each in THRESHOLDS_S]
            up_s += float(gaps.up_s.sum())
        return counts / (up_s / DAY_S)

    def _table_s(self) -> Floats:
        last = float(np.log(SHORT[0][1] / PER_HOUR))
        scores = [0.0, float(np.log(SHORT[0][1] / SHORT[1][1])), last]
        short = np.interp(OUTAGE_E, scores, [SHORT[0][0], SHORT[1][0], FROM_S])
        return np.where(last < OUTAGE_E, self.quantile_s(np.maximum(OUTAGE_E - last, 0.0)), short)


def pareto(shape: float) -> Callable[[Floats], Floats]:
    """Return the quantile function of a world in the fitted family."""
    return Tail(FROM_S, shape, MEAN_EXCESS_S * (1 - shape)).quantile_s


def lognormal(score: Floats) -> Floats:
    """Return the lengths of a world outside the fitted family."""
    beyond = ndtr(-(np.log(FROM_S) - LOG_MEAN) / LOG_SIGMA)
    return np.asarray(np.exp(LOG_MEAN - LOG_SIGMA * ndtri(beyond * np.exp(-score))))


WORLDS = (
    World("shape 0", pareto(0.0)),
    World("shape 0.2", pareto(0.2)),
    World("shape 0.5", pareto(0.5)),
    World("lognormal", lognormal),
    World(f"shape 0.2, watched by {SITE_NODES} nodes that share {SITE_SHARE:.0%}", pareto(0.2), shared=True),
)


def a_day(outage: Outages) -> Scenario:
    """Return a day of `wireguard-5g` with other outages."""
    scenario = load_scenario("wireguard-5g")
    (group,) = scenario.group
    link = group.link.model_copy(update={"outage": outage})
    return scenario.model_copy(update={"group": (group.model_copy(update={"link": link}),), "duration_s": DAY_S})


def estimate(seed: int, lengths_s: list[float], node_days: int) -> NetworkRates:
    """Return the rates that `tune` would compute from observed lengths with `node_days` of simulation."""
    observed = {"hours": WATCHED_H, "from": FROM_S, "resolution": 0, "lengths": lengths_s}
    outage = validate(Outages, {"rates": SHORT, "observed": observed}, "observed outages")
    scenario = a_day(outage).model_copy(update={"seed": seed})
    (group,) = scenario.group
    seen = group.outage.observed
    if seen is None:
        raise ValueError("nothing was observed")
    policies = policies_at([*THRESHOLDS_S, 135.0], HubSettings.of())  # the largest that `tune` evaluates by default
    response = response_of(alone(scenario, group, DAY_S, node_days), seen, policies)
    best = response.false_stale_per_node_day(best_estimate(outage, seen))[0]
    drawn = response.false_stale_per_node_day(draw_networks(seen, seed))
    return NetworkRates(best[:-1], drawn[:, :-1])


def try_world(world: World, worlds: int, node_days: int) -> Iterator[dict[str, object]]:
    """Observe a world `worlds` times; yield one row per observation and threshold."""
    true = world.true_rates(TRUTH_NODE_DAYS)
    for seed in range(worlds):
        rates = estimate(seed, world.watch(np.random.default_rng([seed, 1])), node_days)
        alone_ci = poisson_interval(rates.best * node_days) / node_days
        for k, (low, high) in enumerate(rates.interval().T):
            yield {
                "world": world.name,
                "stale_after_s": THRESHOLDS_S[k],
                "true": true[k],
                "network": bool(low <= true[k] <= high),
                "simulation": bool(alone_ci[k, 0] <= true[k] <= alone_ci[k, 1]),
                "upper_over_true": high / true[k] if true[k] else np.inf,
            }


HEAD = """\
| world | threshold | true, per node-day | network's interval covers | simulation's covers | median upper end / true |
| --- | ---: | ---: | ---: | ---: | ---: |"""


def lines(rows: pd.DataFrame) -> Iterator[str]:
    """Yield the coverage at each threshold as a line of a table in Markdown."""
    for (world, threshold), each in rows.groupby(["world", "stale_after_s"], sort=False):
        count = len(each)
        yield (
            f"| {world} | {threshold:g} s | {each.true.iloc[0]:.3g} | {each.network.sum()} of {count} |"
            f" {each.simulation.sum()} of {count} | {each.upper_over_true.median():.3g} |"
        )


def main(worlds: int = 100, node_days: int = int(SIMULATED_NODE_DAYS), first: int = 0) -> None:
    """Print how often the intervals cover in `worlds` observations of each of WORLDS, from index `first`."""
    print(HEAD, flush=True)
    for world in WORLDS[first:]:
        print(*lines(pd.DataFrame(try_world(world, worlds, node_days))), sep="\n", flush=True)


if __name__ == "__main__":
    typer.run(main)
