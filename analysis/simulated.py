"""A fleet simulated for its gaps alone: nothing is written, and only gaps and outages are kept of each block."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.absences import ALWAYS_THERE, Absences, hub_absences
from heartbench.analysis.gaps import Gaps, find_gaps, intervals_for, join_gaps, power_losses
from heartbench.hub import PolicySpec
from heartbench.simulator.engines.contract import UNCONTROLLED, Block, Conditions, Control, Sink
from heartbench.simulator.engines.virtual import VirtualEngine
from heartbench.simulator.fleet import Squad
from heartbench.simulator.scenario import Scenario
from heartbench.simulator.trace import OUTAGES, Truth

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SimulatedOutages:
    """The outages of some nodes of a simulated fleet, by node and end: number of the node, from and to in s."""

    node: NDArray[np.int64]
    from_s: Floats
    to_s: Floats

    @property
    def length_s(self) -> Floats:
        """Length of each, s."""
        return self.to_s - self.from_s


Found = tuple[Gaps, SimulatedOutages]


class GapsSink(Sink[Found]):
    """Keeps the gaps of a run, without power losses, and the outages of its links."""

    def __init__(self, interval_s: Floats | None = None) -> None:
        self._found: list[Found] = []
        self._interval_s = interval_s

    def begin(self, conditions: Conditions) -> None:
        """Store when the hub is away."""
        truth = conditions.hub_truth
        absences = hub_absences(truth.frame()) if truth else ALWAYS_THERE
        self.extract = partial(_gaps_and_outages, conditions.duration_s, absences, self._interval_s)

    def add(self, kept: Found) -> None:
        """Keep those of a block."""
        self._found.append(kept)

    def joined(self) -> Found:
        """Return the gaps and outages of all blocks, at least one."""
        outages = [outages for _, outages in self._found]
        columns = (np.concatenate([getattr(each, name) for each in outages]) for name in ("node", "from_s", "to_s"))
        return join_gaps(gaps for gaps, _ in self._found), SimulatedOutages(*columns)


def simulate_gaps(
    scenario: Scenario,
    fleet: Iterable[Squad] | None = None,
    advance: Callable[[int], None] | None = None,
    policies: Sequence[PolicySpec] = (),
) -> Found:
    """Run a scenario in the virtual engine; return its gaps, without power losses, and its outages.

    Args:
        scenario: what to run.
        fleet: the squads to run; None: those of the scenario.
        advance: called with the number of nodes done since its last call.
        policies: the policies to judge; the gaps keep what they need.
    """
    sink = GapsSink(intervals_for(policies, scenario))
    control = UNCONTROLLED if advance is None else Control(advance=lambda nodes: advance(round(nodes)))
    VirtualEngine(fleet=fleet).run(scenario, sink, control)
    return sink.joined()


def _gaps_and_outages(duration_s: float, absences: Absences, interval_s: Floats | None, block: Block) -> Found:
    gaps = find_gaps(block.messages, power_losses(block.truth.frame()), duration_s, absences, interval_s)
    return gaps, _outages(block.truth, duration_s)


def _outages(truth: Truth, duration_s: float) -> SimulatedOutages:
    out = np.isin(truth.event, OUTAGES)
    node, from_s, to_s = truth.node[out].astype(np.int64), truth.start_s[out], truth.end_s[out]
    to_s = np.where(np.isnan(to_s), duration_s, to_s)
    order = np.lexsort((to_s, node))
    return SimulatedOutages(node[order], from_s[order], to_s[order])
