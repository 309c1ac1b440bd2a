"""A fleet simulated for its gaps alone: nothing is written, and of each block only gaps and outages are kept."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.absences import Absences, hub_absences
from heartbench.analysis.gaps import Gaps, find_gaps, join_gaps, power_losses
from heartbench.simulator.engines.virtual import Block, blocks, run_nodes
from heartbench.simulator.fleet import Squad
from heartbench.simulator.scenario import Scenario
from heartbench.simulator.trace import OUTAGES
from heartbench.simulator.truth import hub_spans, truth_of, truth_of_hub

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SimulatedOutages:
    """The outages of some nodes of a simulated fleet, by node and end: number of the node, from and to in s."""

    node: NDArray[np.int64]
    from_s: Floats
    to_s: Floats

    @property
    def length_s(self) -> Floats:
        """Return the length of each, s."""
        return self.to_s - self.from_s


def simulate_gaps(
    scenario: Scenario, fleet: Iterable[Squad] | None = None, advance: Callable[[int], None] | None = None
) -> tuple[Gaps, SimulatedOutages]:
    """Run a scenario in the virtual engine; return its gaps, power losses taken out, and its outages.

    Args:
        scenario: what to run.
        fleet: the squads to run; None: those of the scenario.
        advance: called with the number of nodes done since its last call, from any thread.
    """
    absences = hub_absences(truth_of_hub(hub_spans(scenario)).frame())

    def run(block: Block) -> tuple[Gaps, SimulatedOutages]:
        found = run_block(scenario, block, absences)
        if advance is not None:
            advance(block.count)
        return found

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        running = [pool.submit(run, block) for block in blocks(scenario, fleet)]
        try:
            wait(running, return_when=FIRST_EXCEPTION)
            parts = [each.result() for each in running]
        finally:
            pool.shutdown(cancel_futures=True)  # after an error or Ctrl-C no other block begins
    outages = [outages for _, outages in parts]
    columns = (np.concatenate([getattr(each, name) for each in outages]) for name in ("node", "from_s", "to_s"))
    return join_gaps(gaps for gaps, _ in parts), SimulatedOutages(*columns)


def run_block(scenario: Scenario, block: Block, absences: Absences) -> tuple[Gaps, SimulatedOutages]:
    """Run one block, and keep its gaps and outages."""
    messages, closes = run_nodes(scenario, block)
    nodes = range(block.first, block.first + block.count)
    truth = truth_of(block.squad, scenario.seed, nodes, closes, scenario.duration_s)
    out = np.isin(truth.event, OUTAGES)
    node, from_s, to_s = truth.node[out].astype(np.int64), truth.start_s[out], truth.end_s[out]
    to_s = np.where(np.isnan(to_s), scenario.duration_s, to_s)
    order = np.lexsort((to_s, node))
    gaps = find_gaps(messages, power_losses(truth.frame()), scenario.duration_s, absences)
    return gaps, SimulatedOutages(node[order], from_s[order], to_s[order])
