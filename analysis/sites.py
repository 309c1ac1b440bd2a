"""Where false stales are counted: by site, which is a set of nodes that share outages, and by block of time.

Counts of different sites in different blocks are as good as independent, so their spread shows how sure a rate is
(`intervals`). A block is about an hour: long against an outage, and short enough that even a day has enough of them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator.fault import FaultKind
from heartbench.simulator.scenario import Scenario

LARGEST_SAMPLE = 2048
"""More sites than this are put together in this many random groups: the interval stays, memory is bounded."""
BLOCK_S = 3600.0
SHORTEST_BLOCK_S = 120.0
FEWEST_BLOCKS, MOST_BLOCKS = 20, 48
SEED = 1


@dataclass(frozen=True, slots=True)
class Cells:
    """A grid of groups of sites and blocks of time.

    Attributes:
        node: number of each node, ascending; shape (n,).
        row: group of sites that each node belongs to; shape (n,).
        rows: number of groups of sites.
        blocks: number of blocks of time.
        block_s: length of each, s.
        independent: whether different sites are known to share nothing.
    """

    node: NDArray[np.int64]
    row: NDArray[np.int64]
    rows: int
    blocks: int
    block_s: float
    independent: bool

    def rows_of(self, node: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the row of each of these nodes, which are among those of the grid."""
        rows: NDArray[np.int64] = self.row[np.searchsorted(self.node, node)]
        return rows


def cells_of(node: NDArray[np.integer], duration_s: float, site: NDArray[np.integer] | None = None) -> Cells:
    """Return the grid for some nodes.

    Args:
        node: number of each node, ascending; shape (n,).
        duration_s: of the run, s.
        site: site of each of these nodes, any numbers, where sites are known to be independent; shape (n,). None: each
            node is a site of its own, and nothing is known of what they share.
    """
    sites, row = np.unique(node if site is None else site, return_inverse=True)
    if len(sites) > LARGEST_SAMPLE:
        row = np.random.default_rng(SEED).permutation(len(sites))[row] % LARGEST_SAMPLE
    rows, blocks = min(len(sites), LARGEST_SAMPLE), blocks_of(duration_s)
    block_s = duration_s / blocks or BLOCK_S  # a run that was interrupted at once has no length
    return Cells(node.astype(np.int64), row, rows, blocks, block_s, site is not None)


def blocks_of(duration_s: float) -> int:
    """Return the number of blocks: of an hour, but from FEWEST_BLOCKS to MOST_BLOCKS, none under SHORTEST_BLOCK_S."""
    wanted = min(max(round(duration_s / BLOCK_S), FEWEST_BLOCKS), MOST_BLOCKS)
    return max(min(wanted, int(duration_s / SHORTEST_BLOCK_S)), 1)


def sites_of(scenario: Scenario) -> NDArray[np.int64] | None:
    """Return the site of each node by its number: every `site.nodes` consecutive nodes of a group are one.

    None if the scenario says of something else that it strikes many nodes at once, a partition or a fault of the hub.
    """
    if scenario.hub_fault or any(fault.kind is FaultKind.PARTITION for fault in scenario.fault):
        return None
    found, sites = [], 0
    for group in scenario.group:
        own = sites + np.arange(group.nodes) // (group.site.nodes if group.site else 1)
        found.append(own)
        sites = int(own[-1]) + 1
    return np.concatenate(found)
