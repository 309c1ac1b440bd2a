"""The figures of a run, from its directory: how late heartbeats came, what a hub would have said, what one did say."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heartbench.analysis.absences import hub_absences
from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.gaps import find_gaps, power_losses
from heartbench.analysis.sites import cells_of
from heartbench.analysis.tally import Tally, figures_of_all
from heartbench.hub.config import HubSettings
from heartbench.simulator.run_directory import RunDirectory
from heartbench.simulator.trace import Messages, read_blocks, read_nodes, read_transitions, read_truth

STATUS_REASONS = ("silence", "heard", "goodbye")
"""Reasons of changes of status; the others are of connection and flapping."""


def figures_of(
    run: RunDirectory, hub: HubSettings, duration_s: float, site: NDArray[np.integer] | None = None
) -> dict[str, Any]:
    """Return the figures of `run.json` that follow from trace and truth, of all nodes and (`groups`) of each group.

    Args:
        run: a run directory.
        hub: the hub that is judged.
        duration_s: of the run, s.
        site: site of each node by its number, see `sites.sites_of`; None: nothing is known of what nodes share.

    Raises:
        AnalysisError: the run does not say who its nodes are.
    """
    nodes = read_nodes(run.path)
    if nodes is None:
        raise AnalysisError(f"{run.nodes}: no such file; `heartbench run` writes it")
    tallies = {
        str(name): Tally(cells_of(own.to_numpy(), duration_s, None if site is None else site[own]), hub, duration_s)
        for name, own in nodes.groupby("group", sort=False).node
    }
    truth = read_truth(run.truth)
    losses, absences = power_losses(truth), hub_absences(truth)
    for block in read_blocks(run.path):
        gaps = find_gaps(block, losses, duration_s, absences)
        for name, own in _by_group(block, nodes, run):
            tallies[name].add(block.select(np.isin(block.node, own)), gaps.of(own))
    whole = figures_of_all(list(tallies.values()))
    groups = {name: figures_of_all([each]) if len(tallies) > 1 else whole for name, each in tallies.items()}
    return {**whole.of_run(), "groups": {name: each.as_json() for name, each in groups.items()}}


def _by_group(block: Messages, nodes: pd.DataFrame, run: RunDirectory) -> Iterator[tuple[str, NDArray[np.int32]]]:
    """Yield each group that has nodes in a block, and their numbers."""
    here = np.unique(block.node)
    own = nodes[nodes.node.isin(here)]
    if len(own) < len(here):
        raise AnalysisError(f"{run.nodes}: node {np.setdiff1d(here, own.node)[0]} of the trace is not in it")
    for name, members in own.groupby("group", sort=False).node:
        yield str(name), members.to_numpy()


def said_by_hub(run: RunDirectory, duration_s: float) -> dict[str, Any]:
    """Return what the hub of a live run itself said: stale and falsely so, flaps, flashes."""
    said = read_transitions(run.transitions)
    status = said[said.reason.isin(STATUS_REASONS)]
    stale = said[said.reason == "silence"]
    flashes = int((~status.flapping).sum())
    return {
        "stale": len(stale),
        "false_stale": int((~_down(run, stale)).sum()),
        "flaps": int(said.reason.isin(["silence"]).sum() + _returns(status)),
        "flashes": flashes,
        "flashes_per_hour": flashes / (duration_s / 3600) if duration_s else None,
    }


def _returns(status: pd.DataFrame) -> int:
    """Changes from stale back to online; that of a node which was stale before the run is none of the run's."""
    before = status.groupby("node").status.shift()
    return int(((status.reason == "heard") & (before == "stale")).sum())


def _down(run: RunDirectory, stale: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether each node was without power when it was called stale."""
    down = np.zeros(len(stale), bool)
    node, at_s = stale.node.to_numpy(), stale.at_s.to_numpy()
    for lost, from_s, to_s in zip(*power_losses(read_truth(run.truth)), strict=True):
        down |= (node == lost) & (from_s <= at_s) & (at_s < to_s)
    return down
