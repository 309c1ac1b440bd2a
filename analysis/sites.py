"""The cells in which false stales are counted: sites, which are nodes that share outages, by blocks of time.

Counts of different sites in different blocks are nearly independent, so their dispersion gives the interval of a rate
(`intervals`). A block is about an hour: long compared with an outage, and short enough that a day has many.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator.fault import OF_THE_NODE
from heartbench.simulator.scenario import Scenario

LARGEST_SAMPLE = 2048
"""Maximum number of rows; more sites are pooled in random groups, which keeps the interval and bounds memory."""
BLOCK_S = 3600.0
SHORTEST_BLOCK_S = 120.0
FEWEST_BLOCKS, MOST_BLOCKS = 20, 48
SEED = 1


@dataclass(frozen=True, slots=True)
class Cells:
    """A grid of groups of sites and blocks of time: the row of each node, which ascend, and the size of the grid."""

    node: NDArray[np.int64]
    row: NDArray[np.int64]
    rows: int
    blocks: int
    block_s: float
    independent: bool
    """Whether different sites are known to share nothing."""

    def rows_of(self, node: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the row of each of these nodes, which must be in the grid."""
        return self.row[np.searchsorted(self.node, node)]


def cells_of(node: NDArray[np.integer], duration_s: float, site: NDArray[np.integer] | None = None) -> Cells:
    """Return the grid for some nodes, in ascending order, in a run of `duration_s` s.

    `site` is the site of each node, if sites are known to be independent; None: each node is its own site, and what
    nodes share is unknown.
    """
    sites, row = np.unique(node if site is None else site, return_inverse=True)
    if len(sites) > LARGEST_SAMPLE:
        row = np.random.default_rng(SEED).permutation(len(sites))[row] % LARGEST_SAMPLE
    rows, blocks = min(len(sites), LARGEST_SAMPLE), blocks_of(duration_s)
    block_s = duration_s / blocks or BLOCK_S  # a run interrupted at once has no length
    return Cells(node.astype(np.int64), row, rows, blocks, block_s, site is not None)


def blocks_of(duration_s: float) -> int:
    """Return the number of blocks of about BLOCK_S, FEWEST_BLOCKS to MOST_BLOCKS, none under SHORTEST_BLOCK_S."""
    wanted = min(max(round(duration_s / BLOCK_S), FEWEST_BLOCKS), MOST_BLOCKS)
    return max(min(wanted, int(duration_s / SHORTEST_BLOCK_S)), 1)


def sites_of(scenario: Scenario) -> NDArray[np.int64] | None:
    """Return the site of each node by its number: every `site.nodes` consecutive nodes of a group are one.

    None if a fault of links, connections or the hub hits many nodes at once.
    """
    if scenario.hub_fault or any(fault.kind not in OF_THE_NODE for fault in scenario.fault):
        return None
    found, sites = [], 0
    for group in scenario.group:
        own = sites + np.arange(group.nodes) // (group.site.nodes if group.site else 1)
        found.append(own)
        sites = int(own[-1]) + 1
    return np.concatenate(found)
