"""How often the network interval of a log covers the true rate beyond the data, and how often it is refused.

    python -m heartbench.analysis.validation.tail

A log has DAYS node-days, and an expected number of gaps over FROM_S whose distribution is known. Its interval is judged
at two thresholds: that which a tenth of a gap would exceed in truth, one decade beyond the data, and the furthest for
which the log itself gives an interval. `simulated` is the fleet of `wireguard-5g`: its true rates are counted in all
logs together.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import typer
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from heartbench.analysis.coincidence import LONG
from heartbench.analysis.networks import NetworkRates
from heartbench.analysis.qos import DAY_S, Qos
from heartbench.analysis.simulated import simulate_gaps
from heartbench.analysis.tail.rates import DECADE, tail_of
from heartbench.simulator.scenario import load_scenario
from heartbench.simulator.tail import Tail

Floats = NDArray[np.float64]

DAYS = 20.0
NODES, BLOCKS = 20, 24
INTERVAL_S = 10.0
FROM_S = LONG * INTERVAL_S
MEAN_EXCESS_S = 10.0
LOG_MEAN, LOG_SIGMA = 2.5, 0.8
WEIBULL = 0.7
"""Parameters of the lognormal world (of ln of a length in s) and of the Weibull world (shape of the excess)."""
GRID = np.geomspace(INTERVAL_S, 100 * FROM_S, 120)


def pareto(shape: float, score: Floats) -> Floats:
    """Return the lengths, s, that a share exp(−score) of the gaps over FROM_S exceeds, in the fitted family."""
    return Tail(FROM_S, shape, MEAN_EXCESS_S * (1 - shape)).quantile_s(score)


def lognormal(score: Floats) -> Floats:
    """Return the same for lognormal lengths."""
    beyond = ndtr(-(np.log(FROM_S) - LOG_MEAN) / LOG_SIGMA)
    return np.asarray(np.exp(LOG_MEAN - LOG_SIGMA * ndtri(beyond * np.exp(-score))))


def weibull(score: Floats) -> Floats:
    """Return the same for excesses of a stretched exponential."""
    return np.asarray(FROM_S + MEAN_EXCESS_S * score ** (1 / WEIBULL))


def rungs(score: Floats) -> Floats:
    """Return the same for gaps of a pure ladder: each doubles the one before, and a third of them go on."""
    return np.asarray(FROM_S * 2 ** np.floor(score / np.log(3)) + 0.1 * (score % np.log(3)))


@dataclass(frozen=True, slots=True)
class World:
    """A log whose gaps are known: expected number of those over FROM_S, and their quantiles."""

    name: str
    expected: float
    quantile_s: Callable[[Floats], Floats]

    def lengths(self, repetitions: int) -> Iterator[Floats]:
        """Yield the gaps over FROM_S of each log, s."""
        for seed in range(repetitions):
            generator = np.random.default_rng([seed, 7])
            yield self.quantile_s(generator.exponential(size=generator.poisson(self.expected)))

    def true_rate(self, gap_s: float) -> float:
        """Return how often a gap is exceeded, per node-day."""
        scores = np.linspace(0, 60, 60_001)
        longer = int(np.searchsorted(self.quantile_s(scores), gap_s))
        return float(self.expected / DAYS * np.exp(-scores[min(longer, len(scores) - 1)]))


WORLDS = (
    World("shape 0, 60 gaps", 60, partial(pareto, 0.0)),
    World("shape 0, 200 gaps", 200, partial(pareto, 0.0)),
    World("shape 0.3, 60 gaps", 60, partial(pareto, 0.3)),
    World("shape 0.3, 200 gaps", 200, partial(pareto, 0.3)),
    World("shape 0.6, 200 gaps", 200, partial(pareto, 0.6)),
    World("lognormal, 200 gaps", 200, lognormal),
    World("Weibull, 200 gaps", 200, weibull),
    World("ladder, 200 gaps", 200, rungs),
)


def log_of(lengths_s: Floats, seed: int) -> Qos:
    """Return a log with these gaps, each at any time of any node, judged at the thresholds of GRID."""
    generator, k = np.random.default_rng([seed, 8]), len(GRID)
    counts = np.zeros((NODES * BLOCKS, k), np.int32)
    np.add.at(counts, generator.integers(0, len(counts), len(lengths_s)), lengths_s[:, None] > GRID)
    none = np.zeros(k, np.int64)
    return Qos(
        stale_after_s=GRID,
        varying_left_s=np.full((k, 3), np.nan),
        up_s=np.full((NODES, BLOCKS), DAYS * DAY_S / NODES / BLOCKS),
        distinct=counts.reshape(NODES, BLOCKS, k),
        column=np.arange(k),
        independent=True,
        mistake_s=np.zeros(k),
        flaps=none,
        flashes=none,
        entries=none,
        flapping_nodes=none,
        up_gaps_s=np.append(lengths_s, np.full(len(lengths_s) + 1, INTERVAL_S)),
        transit_s=0.0,
        duration_s=DAY_S,
    )


def covers(rates: NetworkRates, gap_s: float, true_rate: float) -> bool | None:
    """Return whether the interval at the threshold of GRID next to a gap covers a rate; None if there is none."""
    low, high = rates.interval()[:, int(np.argmin(np.abs(GRID - gap_s)))]
    return None if np.isnan(high) else bool(low <= true_rate <= high)


@dataclass(slots=True)
class Score:
    """How many logs gave an interval at a threshold, and how many of those cover."""

    given: int = 0
    covered: int = 0

    def add(self, found: bool | None) -> None:
        """Count a log."""
        self.given += found is not None
        self.covered += bool(found)

    @property
    def text(self) -> str:
        """The cell of a table."""
        return f"{self.covered} of {self.given}" if self.given else "–"


def try_world(name: str, logs: list[Floats], true_rate: Callable[[float], float], decade_s: float) -> str:
    """Return a line of the table."""
    beyond, furthest = Score(), Score()
    for seed, lengths_s in enumerate(logs):
        rates, _ = tail_of(log_of(lengths_s, seed), GRID, 0.0, seed)
        if rates is None:
            continue
        there_s = furthest_of(rates)
        beyond.add(covers(rates, decade_s, true_rate(GRID[int(np.argmin(np.abs(GRID - decade_s)))])))
        furthest.add(covers(rates, there_s, true_rate(there_s)))
    refused = len(logs) - furthest.given
    return f"| {name} | {refused} of {len(logs)} | {beyond.text} | {furthest.text} |"


def furthest_of(rates: NetworkRates) -> float:
    """Return the greatest threshold of GRID that has an interval, s."""
    return float(GRID[~np.isnan(rates.best)].max())


def simulated(repetitions: int) -> list[Floats]:
    """Return the gaps over FROM_S of logs of `wireguard-5g`, DAYS node-days each, s."""
    found = []
    for seed in range(repetitions):
        gaps, _ = simulate_gaps(load_scenario("wireguard-5g", [f"seed={5000 + seed}", f"group.edge.nodes={int(DAYS)}"]))
        found.append(gaps.up_s[gaps.up_s > FROM_S])
    return found


HEAD = """\
| gaps | refused | covers one decade beyond the data, if given | covers at the furthest threshold given |
| --- | ---: | ---: | ---: |"""


def main(repetitions: int = 200, first: int = 0) -> None:
    """Print how each of WORLDS fares, from index `first`, and the simulated fleet."""
    print(HEAD, flush=True)
    for world in WORLDS[first:]:
        decade_s = float(world.quantile_s(np.array([np.log(world.expected / DECADE)]))[0])
        print(try_world(world.name, list(world.lengths(repetitions)), world.true_rate, decade_s), flush=True)
    logs = simulated(repetitions)
    ascending, days = np.sort(np.concatenate(logs)), DAYS * repetitions

    def counted(gap_s: float) -> float:
        return float(len(ascending) - np.searchsorted(ascending, gap_s, side="right")) / days

    decade_s = float(ascending[-max(round(DECADE * repetitions), 1)])
    print(try_world("simulated", logs, counted, decade_s), flush=True)


if __name__ == "__main__":
    typer.run(main)
