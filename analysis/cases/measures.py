"""What is measured of a simulated run: the figures that can decide a case. Each is NaN if it is not defined.

A gap is *fatal* if it exceeds the hub's threshold while its node is up. The rates of false stales also follow how the
hub moves deadlines after it was away itself (`absences`); measures of single gaps do not.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.gaps import Gaps
from heartbench.analysis.qos import Qos
from heartbench.mesh.kinds import Kind
from heartbench.simulator.scenario import Scenario
from heartbench.simulator.trace import Messages

Floats = NDArray[np.float64]

JUST_MISSED = 0.1
"""A gap has just missed the threshold if it exceeds it by less than this share of it."""


@dataclass(frozen=True, slots=True)
class Observation:
    """A run as its hub saw it: `qos` is the judgement of the hub's own policy, the only one in it."""

    scenario: Scenario
    messages: Messages
    gaps: Gaps
    qos: Qos
    outages: int

    @property
    def stale_after_s(self) -> float:
        """The hub's threshold, s."""
        return self.scenario.hub_settings().stale_after_s


def false_stale_per_node_day(run: Observation) -> float:
    """Return how often a node that was up was marked stale, per node-day."""
    return ratio(run.qos.mistakes.sum(), run.qos.node_days)


def false_stale_per_outage(run: Observation) -> float:
    """Return the false stales per outage of a link."""
    return ratio(run.qos.mistakes.sum(), run.outages)


def false_stale_s(run: Observation) -> float:
    """Return how long a false stale lasted on average, s."""
    return ratio(run.qos.mistake_s[0], run.qos.mistakes.sum())


def late_share(run: Observation) -> float:
    """Return the share of all gaps that exceeded the threshold."""
    return ratio(fatal(run).sum(), (~run.gaps.away).sum())


def just_missed_share(run: Observation) -> float:
    """Return the share of the fatal gaps that exceeded the threshold by less than JUST_MISSED of it."""
    lengths_s = run.gaps.length_s[fatal(run) & run.gaps.heard]
    return ratio((lengths_s < (1 + JUST_MISSED) * run.stale_after_s).sum(), len(lengths_s))


def usual_gap_per_threshold(run: Observation) -> float:
    """Return the usual gap, in thresholds."""
    return usual_gap_s(run.gaps) / run.stale_after_s


def nodes_ever_stale(run: Observation) -> float:
    """Return the share of the nodes that were marked stale at least once while they were up."""
    counts = np.add.reduceat(fatal(run).astype(int), run.gaps.first[:-1]) if len(run.gaps) else np.zeros(0)
    return ratio((counts > 0).sum(), run.scenario.nodes)


def busiest_second(run: Observation) -> float:
    """Return the messages that the hub received in its busiest second, in those of an average second."""
    at_s = run.messages.arrived_s[run.messages.arrived_s >= 0]
    return ratio(most_in_a_second(at_s), len(at_s) / run.scenario.duration_s)


def reconnects_in_a_second(run: Observation) -> float:
    """Return the largest share of the fleet that connected again within the same second."""
    hellos = run.messages.select(run.messages.kind == Kind.HELLO)
    again = np.append(False, hellos.node[1:] == hellos.node[:-1])[: len(hellos)]
    at_s = hellos.arrived_s[again]
    return ratio(most_in_a_second(at_s[at_s >= 0]), run.scenario.nodes)


def connections_per_node_hour(run: Observation) -> float:
    """Return how often a node connected, per hour."""
    return ratio((run.messages.kind == Kind.HELLO).sum(), run.scenario.nodes * run.scenario.duration_s / 3600)


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure of a run, and what it means in a few words."""

    of: Callable[[Observation], float]
    meaning: str


MEASURES: Mapping[str, Measure] = {
    each.of.__name__: each
    for each in (
        Measure(false_stale_per_node_day, "false stales per node-day"),
        Measure(false_stale_per_outage, "false stales per outage"),
        Measure(false_stale_s, "seconds that a false stale lasts"),
        Measure(late_share, "share of all gaps that exceed the threshold"),
        Measure(just_missed_share, "share of fatal gaps that just miss the threshold"),
        Measure(usual_gap_per_threshold, "usual gap, in thresholds"),
        Measure(nodes_ever_stale, "share of nodes ever marked stale while up"),
        Measure(busiest_second, "messages in the busiest second, in those of an average one"),
        Measure(reconnects_in_a_second, "share of the fleet that reconnects in one second"),
        Measure(connections_per_node_hour, "connections per node-hour"),
    )
}
"""The measures that a case may name, by the names of their functions."""


def fatal(run: Observation) -> NDArray[np.bool_]:
    """Return which gaps exceed the threshold while their node is up."""
    return np.asarray(~run.gaps.away & (run.gaps.up_s > run.stale_after_s))


def usual_gap_s(gaps: Gaps) -> float:
    """Return the length of the gap in which a random moment falls, at the median, s; NaN without a gap that ended.

    Messages that come in bunches make many short gaps, which hold little time.
    """
    ended = np.sort(gaps.length_s[gaps.heard & ~gaps.away])
    if not len(ended):
        return np.nan
    held_s = np.cumsum(ended)
    return float(ended[np.searchsorted(held_s, held_s[-1] / 2)])


def most_in_a_second(at_s: Floats) -> int:
    """Return the largest number of times within any one second."""
    ordered = np.sort(at_s)
    within = np.searchsorted(ordered, ordered + 1.0) - np.arange(len(ordered))
    return int(within.max(initial=0))


def ratio(count: float, total: float) -> float:
    """Return their ratio; NaN if there is nothing to count in."""
    return float(count) / float(total) if total else np.nan
