"""How soon `watch` notices a doubled rate of outages, and how often it raises a false alarm in an unchanged week.

    python -m heartbench.analysis.validation.watch

Each fleet on `wireguard-5g` is observed for EARLIER_DAYS, and then looked at every hour, as by cron: for a week in
which nothing changes, and for a day in which outages come twice as often. A look sees the log until then and nothing
else; its last 24 hours are judged, all before them is what they are compared with.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
import typer

from heartbench.analysis.absences import AbsenceRules
from heartbench.analysis.promise.counts import BLOCKS, BY_BLOCK, Counts, Grid, count_block, joined_rows
from heartbench.analysis.promise.judgement import Judgement, Verdict, judged
from heartbench.analysis.simulated import simulate_gaps
from heartbench.simulator.scenario import load_scenario

EARLIER_DAYS, WEEK_DAYS = 3, 7
HOURS = 24
BLOCK_S = 3600.0
THRESHOLD = "94s"
GOAL = 4.0
"""Threshold and goal per node-day, as in the README."""
NODES_AT_ONCE = 50
CYCLE = (0.5, 1.5)
"""Rates in the night and in the day, 12 h each, relative to the profile."""
SITES = ("group.edge.site.nodes=10", "group.edge.site.share=0.3")


@dataclass(frozen=True, slots=True)
class Tried:
    """A fleet that is tried: its nodes, changes to the scenario, and whether its rate has a daily cycle."""

    name: str
    nodes: int
    changes: tuple[str, ...] = ()
    cycle: bool = False

    def observe(self, seed: int, days: int, factor: float = 1.0) -> Counts:
        """Return the counts of some days in which outages come `factor` times as often as the profile says."""
        halves = [(12, factor * each) for each in CYCLE] * days if self.cycle else [(HOURS * days, factor)]
        times = (self._of_hours(1000 * seed + number, *each) for number, each in enumerate(halves))
        return reduce(Counts.followed_by, times)

    def _of_hours(self, seed: int, hours: int, factor: float) -> Counts:
        parts = []
        for first in range(0, self.nodes, NODES_AT_ONCE):
            nodes = min(NODES_AT_ONCE, self.nodes - first)
            settings = (f"duration={hours}h", f"seed={seed * 100 + first}", f"group.edge.nodes={nodes}")
            rates = f"group.edge.link.outage.rate_factor={factor}"
            scenario = load_scenario(
                "wireguard-5g", [*settings, rates, f"hub.stale_after_s={THRESHOLD[:-1]}", *self.changes]
            )
            gaps, _ = simulate_gaps(scenario)
            hub = scenario.hub_settings()
            parts.append(count_block(gaps, [hub.policy] * 2, AbsenceRules.of(hub), Grid(hours, BLOCK_S, 0)).counts)
        names = tuple(str(number) for number in range(self.nodes))
        return replace(joined_rows(parts), names=names, group=("edge",) * self.nodes)


FLEETS = (
    Tried("100 nodes", 100),
    Tried("20 nodes", 20),
    Tried("100 nodes, sites of 10 share 30%", 100, SITES),
    Tried("20 nodes, daily cycle of 0.5 to 1.5", 20, cycle=True),
)


def looks(counts: Counts, first: int) -> Iterator[Judgement]:
    """Yield what a look after each hour finds, from hour `first` on."""
    for end in range(first, counts.up_days.shape[1] + 1):
        until = {name: getattr(counts, name)[:, :end] for name in BY_BLOCK}
        yield judged(replace(counts, split=end - BLOCKS, **until), GOAL)


def hours_to_notice(counts: Counts, first: int) -> float:
    """Return after how many hours a look finds that the network changed to more outages; infinite if none does."""
    for hours, found in enumerate(looks(counts, first), 1):
        if found.network is Verdict.CHANGED and any(each.ratio > 1 for each in found.shifts):
            return hours
    return np.inf


def try_fleet(fleet: Tried, weeks: int, seeds: int) -> str:
    """Return a line of the table: false alarms in unchanged weeks, and hours until a doubling is noticed."""
    earlier, first = EARLIER_DAYS, EARLIER_DAYS * HOURS + 1
    quiet = [
        all(each.is_good for each in looks(fleet.observe(seed, earlier + WEEK_DAYS), first)) for seed in range(weeks)
    ]
    noticed = [
        hours_to_notice(fleet.observe(seed, earlier).followed_by(fleet.observe(seed + 500, 1, factor=2.0)), first)
        for seed in range(100, 100 + seeds)
    ]
    soon = [each for each in noticed if each <= HOURS]
    middle = f"{np.median(soon):g} h ({min(soon):g} to {max(soon):g})" if soon else "–"
    return f"| {fleet.name} | {sum(quiet)} of {weeks} | {len(soon)} of {seeds} | {middle} |"


HEAD = """\
| fleet | unchanged weeks without an alarm | doublings noticed within 24 h | after (median, range) |
| --- | ---: | ---: | ---: |"""


def main(weeks: int = 20, seeds: int = 10, first: int = 0, last: int = len(FLEETS)) -> None:
    """Print how each of FLEETS fares, from index `first` to before `last`."""
    print(HEAD, flush=True)
    for fleet in FLEETS[first:last]:
        print(try_fleet(fleet, weeks, seeds), flush=True)


if __name__ == "__main__":
    typer.run(main)
