"""What `tune --free` gains over the threshold alone, on three networks, and whether it keeps that on other days.

    python -m heartbench.analysis.validation.joint
    python -m heartbench.analysis.validation.joint --free threshold,keepalive,user-timeout --profile lte --seeds 2

For each profile, the scenario wireguard-5g is searched, by default with threshold and user timeout free. The first
table compares two fronts: the lowest false stales (upper end of the deciding interval) at each threshold over all
settings of the nodes, and with the nodes as they are. The second simulates both recommendations on days of other seeds,
on which nothing was chosen: false stales per node-day as counted, and the 95% interval of how many fewer the joint
setting has than the nodes as they are, at the joint threshold (paired by node, Student's t).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import typer

from heartbench.analysis.evidence import simulated
from heartbench.analysis.fronts import Outcome, outcome
from heartbench.analysis.joint.choice import Option
from heartbench.analysis.joint.knobs import Knob, NodeSetting, applied, parse_knobs
from heartbench.analysis.joint.question import Question
from heartbench.analysis.joint.search import Found, search
from heartbench.analysis.joint.words import bytes_text, hub_text, node_text
from heartbench.analysis.simulated import simulate_gaps
from heartbench.analysis.tune import Goal
from heartbench.analysis.verdict import figure, interval_text
from heartbench.analysis.workers import workers
from heartbench.hub import FixedTimeout
from heartbench.simulator.scenario import Scenario, load_scenario

PROFILES = ("wireguard-5g", "lte", "5g-standing")
FREE = frozenset({Knob.THRESHOLD, Knob.KEEPALIVE, Knob.USER_TIMEOUT})
"""The knobs that are named in the tables."""
GOAL = Goal(max_false_stale_per_node_day=4.0, max_detection_s=120.0)
FIRST_SEED = 101
SAME = 0.005
"""Rates that differ by less count as equal."""


@dataclass(frozen=True, slots=True)
class Compared:
    """At how many thresholds the joint front has fewer false stales, as many, or more; and the greatest ratio."""

    fewer: int
    equal: int
    more: int
    greatest: float


def fronts(found: Found) -> Compared:
    """Compare the front of all settings with that of the nodes as they are, at each threshold above the interval."""
    rows = found.space.rows[found.space.rows.valid & (found.space.rows.hub > 0)]
    best, alone = rows.groupby("hub").upper.min(), rows[rows.node == 0].set_index("hub").upper
    ratio = (alone / best.clip(lower=1e-12)).to_numpy(float)
    fewer, more = int((ratio > 1 + SAME).sum()), int((ratio < 1 - SAME).sum())
    return Compared(fewer, len(ratio) - fewer - more, more, float(ratio.max()))


def scenario_of(profile: str) -> Scenario:
    """Return the fleet on a profile."""
    return load_scenario("wireguard-5g", [f"group.edge.profile={profile}"])


def a_day(scenario: Scenario, node: NodeSetting, seed: int, *thresholds_s: float) -> list[Outcome]:
    """Return how thresholds fare on a day of another seed."""
    other = scenario.model_copy(update={"seed": seed})
    gaps, _ = simulate_gaps(applied(other, node))
    return [outcome(gaps, FixedTimeout(each), scenario.duration_s) for each in thresholds_s]


def setting_cells(option: Option) -> str:
    """Return the cells of a setting."""
    row = option.figures
    return (
        f"{hub_text(option.hub, FREE)} | {node_text(option.node, FREE)} | {figure(row.false_stale_per_node_day)} | "
        f"{interval_text(row.false_stale_network_ci)} | {interval_text(row.false_stale_ci)} | "
        f"{row.detection_p99_s:.1f} s | {row.flashes_per_hour * 24:.0f} | "
        f"{bytes_text(option.traffic.bytes_per_node_day)}"
    )


def setting_rows(profile: str, found: Found) -> Iterator[str]:
    """Yield the rows of the table of settings."""
    named = {"as it is": found.current, "threshold alone": found.threshold_alone, "together": found.recommended}
    for name, option in named.items():
        if option is not None:
            missed = "" if option.met else ", misses the goal"
            yield f"| {profile} | {name}{missed} | {setting_cells(option)} |"


def seed_rows(profile: str, scenario: Scenario, found: Found, seeds: int) -> Iterator[str]:
    """Yield a row for each other day."""
    joint, alone = found.recommended, found.threshold_alone or found.recommended
    joint_s, alone_s = joint.hub.stale_after_s, alone.hub.stale_after_s
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        (with_it,) = a_day(scenario, joint.node, seed, joint_s)
        without, at_its_own = a_day(scenario, found.current.node, seed, joint_s, alone_s)
        low, high = with_it.less(without)
        rates = " | ".join(_rate(each) for each in (with_it, without, at_its_own))
        yield f"| {profile} | {seed} | {rates} | {low:.3g} to {high:.3g} |"


def _rate(found: Outcome) -> str:
    rate, low, high = found.per_node_day
    return f"{rate:.3g} ({low:.3g} to {high:.3g})"


SETTINGS_HEAD = """\
| profile | setting | threshold | nodes | false stales per node-day | 95%, network | 95%, simulation | detection p99 | \
visible flaps a day | traffic per node-day |
| --- | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |"""
SEEDS_HEAD = """\
| profile | seed | together | nodes as they are, same threshold | threshold alone, its own | fewer |
| --- | ---: | ---: | ---: | ---: | ---: |"""


def main(
    profile: Annotated[list[str] | None, typer.Option(help="Default: three that were observed.")] = None,
    seeds: Annotated[int, typer.Option(help="Number of other days.")] = 5,
    free: Annotated[str, typer.Option(help="As of `heartbench tune`.")] = "threshold,user-timeout",
) -> None:
    """Print the tables."""
    found: dict[str, Found] = {}
    with workers() as executor:
        for name in profile or PROFILES:
            evidence = simulated(scenario_of(name))
            found[name] = search(evidence, Question(parse_knobs(free), GOAL), executor)
            compared = fronts(found[name])
            print(f"{name}: joint front better at {compared.fewer} thresholds, equal at {compared.equal}, worse at "
                  f"{compared.more}; at most {compared.greatest:.3g} times fewer", flush=True)  # fmt: skip
    print(SETTINGS_HEAD)
    for name, each in found.items():
        print(*setting_rows(name, each), sep="\n", flush=True)
    print(SEEDS_HEAD)
    for name, each in found.items():
        for line in seed_rows(name, scenario_of(name), each, seeds):
            print(line, flush=True)


if __name__ == "__main__":
    typer.run(main)
