"""Do the detectors stand in the order that their authors published?

    python -m heartbench.analysis.validation.detectors

Heartbeats are sent every η = 1 s; each is lost with probability 0.01, and the others take a time with an exponential
distribution of mean 0.02 s. Those are the parameters of the simulation in Chen, Toueg and Aguilera, "On the quality of
service of failure detectors" (IEEE Transactions on Computers 51(5), May 2002). There, at the same bound on the time of
detection,

    steady     their NFD-E makes fewer mistakes than a simple timeout

The traces on which the other authors measured are not public. What they claim is that at equal detection times, the
two-window detector makes the fewest mistakes where a network changes suddenly (Tomsic et al., IPDPS 2015). For that

    changing   adds a delay that comes and goes at once, as when a route changes: 0.3 s, on average for 200 heartbeats.
               These figures are ours.

Their bound is the time from a power loss just after a heartbeat was sent. A timeout counts from the arrival of that
heartbeat, NFD-E from when it was expected. So the detection time here is the p99.9, over all heartbeats that arrive, of
the time from sending one to the deadline that it sets. Each detector is set on other heartbeats than those by which it
is judged (`analysis.fronts`).
"""

from collections.abc import Iterator

import numpy as np
import typer

from heartbench.analysis.fronts import Outcome, best_settings, families, outcome
from heartbench.analysis.gaps import NO_LOSSES, Gaps, find_gaps
from heartbench.analysis.policies import allowed_silence
from heartbench.analysis.qos import DAY_S, Qos
from heartbench.analysis.validation.detector_fronts import named
from heartbench.hub import PolicySpec
from heartbench.mesh.kinds import Kind
from heartbench.simulator.trace import Messages

INTERVAL_S = 1.0
LOSS = 0.01
DELAY_S = 0.02
ADDED_S, HEARTBEATS_ADDED = 0.3, 200
GOALS_S = (1.1, 1.5, 2.1, 2.5, 3.1)
STEADY, CHANGING = "steady", "changing"


def trace(kind: str, generator: np.random.Generator, nodes: int, heartbeats: int) -> tuple[Gaps, float]:
    """Return the gaps of nodes with this link, and the length of the trace, s."""
    shape = (nodes, heartbeats)
    number = np.broadcast_to(np.arange(1, heartbeats + 1), shape)
    sent_s = (number * INTERVAL_S).astype(np.float64)
    arrived_s = sent_s + generator.exponential(DELAY_S, shape)
    if kind == CHANGING:
        changes = generator.random(shape) < 1 / HEARTBEATS_ADDED
        arrived_s = arrived_s + ADDED_S * (np.cumsum(changes, axis=1) % 2)
    arrived_s[generator.random(shape) < LOSS] = np.nan
    node = np.repeat(np.arange(nodes, dtype=np.int32), heartbeats)
    same = np.zeros(len(node), np.int32)
    beats = np.full(len(node), Kind.HEARTBEAT, np.int8)
    messages = Messages(node, same, same, number.ravel().astype(np.int64), beats, sent_s.ravel(), arrived_s.ravel())
    end_s = heartbeats * INTERVAL_S
    return find_gaps(messages, NO_LOSSES, end_s, interval_s=np.full(nodes, INTERVAL_S)), end_s


def after_sending(gaps: Gaps, policy: PolicySpec, _: Qos) -> float:
    """Return the p99.9 of the time from sending a heartbeat to the deadline that it sets, s."""
    seen = gaps.arrivals()
    return float(np.quantile(seen.at_s + allowed_silence(policy, gaps.arrivals) - seen.seq * INTERVAL_S, 0.999))


def judged(goal_s: float, set_on: Gaps, gaps: Gaps, end_s: float) -> list[Outcome]:
    """Return how each detector fares that was set on other gaps, those with the fewest mistakes first."""
    best = best_settings(set_on, families(INTERVAL_S), goal_s, end_s, after_sending)
    found = (outcome(gaps, each.parameters, end_s, after_sending) for each in best.values())
    return sorted(found, key=lambda each: each.per_node_day)


def table(kind: str, seed: int, nodes: int, heartbeats: int) -> Iterator[str]:
    """Yield the rows of a kind of link in Markdown."""
    generators = np.random.default_rng(seed).spawn(2)
    (set_on, end_s), (gaps, _) = (trace(kind, each, nodes, heartbeats) for each in generators)
    for goal_s in GOALS_S:
        for found in judged(goal_s, set_on, gaps, end_s):
            per_hour, low, high = (each * 3600 / DAY_S for each in found.per_node_day)
            yield (
                f"| {kind} | {goal_s:g} s | `{named(found)}` | {found.detection_s:.2f} s |"
                f" {found.mistakes.sum()} | {per_hour:.3g} ({low:.3g} to {high:.3g}) |"
            )


HEAD = """\
| link | goal | detector, as it was set | detection p99.9 | mistakes | per hour (95%) |
| --- | ---: | --- | ---: | ---: | ---: |"""


def main(seed: int = 1, nodes: int = 20, heartbeats: int = 10_000) -> None:
    """Print the table."""
    print(HEAD, flush=True)
    for kind in (STEADY, CHANGING):
        for line in table(kind, seed, nodes, heartbeats):
            print(line, flush=True)


if __name__ == "__main__":
    typer.run(main)
