"""The figures of a run: how late heartbeats came, how its hub would have judged the nodes, and how a real hub did.

They are added up block by block while the run goes on. Only sums, latencies and power losses are kept of a block.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heartbench.analysis.absences import ALWAYS_THERE, hub_absences
from heartbench.analysis.evidence import groups_of
from heartbench.analysis.gaps import PowerLosses, intervals_for
from heartbench.analysis.sites import cells_of
from heartbench.analysis.tally import BlockTally, Figures, Tally, figures_of_all, tally_block
from heartbench.simulator.engines.contract import Conditions, Sink
from heartbench.simulator.scenario import Scenario

STATUS_REASONS = ("silence", "heard", "goodbye")
"""Reasons of status changes; the others are of connection and flapping."""


@dataclass(frozen=True, slots=True)
class HubFigures:
    """What a real hub itself reported, as in `tally.Judged`; a false stale is one of a node that had power."""

    stale: int
    false_stale: int
    flaps: int
    flashes: int
    flashes_per_hour: float | None


@dataclass(frozen=True, slots=True)
class RunFigures:
    """The figures of all nodes, of those of each group, and of a real hub if there was one."""

    whole: Figures
    groups: Mapping[str, Figures]
    hub: HubFigures | None


class FiguresSink(Sink[BlockTally]):
    """Adds up the figures of a run, with which nothing has to be stored."""

    def __init__(self, scenario: Scenario, site: NDArray[np.integer] | None = None) -> None:
        """Prepare to judge a scenario's nodes; `site` is the site of each, None if what nodes share is not known."""
        self._groups, self._site, self._scenario = groups_of(scenario), site, scenario
        self._tallies: dict[str, Tally] = {}
        self._losses: list[PowerLosses] = []
        self._hub: HubFigures | None = None

    def begin(self, conditions: Conditions) -> None:
        """Prepare to judge by the run's hub."""
        self._conditions = conditions
        duration_s, site, truth = conditions.duration_s, self._site, conditions.hub_truth
        self._cells = {
            name: cells_of(node, duration_s, None if site is None else site[node])
            for name, node in self._groups.items()
        }
        absences = hub_absences(truth.frame()) if truth else ALWAYS_THERE
        interval_s = intervals_for([conditions.hub.policy], self._scenario)
        self.extract = partial(tally_block, conditions.hub, duration_s, absences, self._cells, interval_s)

    def add(self, kept: BlockTally) -> None:
        """Add up the figures of a block."""
        if kept.group not in self._tallies:
            self._tallies[kept.group] = Tally(self._cells[kept.group], self._conditions.duration_s)
        self._tallies[kept.group].add(kept)
        self._losses.append(kept.losses)

    def add_transitions(self, transitions: pd.DataFrame) -> None:
        """Count what the hub reported."""
        self._hub = hub_figures(transitions, self._losses, self._conditions.duration_s)

    def figures(self) -> RunFigures:
        """Return the figures of the blocks so far; a group without any is left out."""
        whole = figures_of_all(list(self._tallies.values()))
        groups = {
            name: figures_of_all([each]) if len(self._tallies) > 1 else whole for name, each in self._tallies.items()
        }
        return RunFigures(whole, groups, self._hub)


def hub_figures(transitions: pd.DataFrame, losses: list[PowerLosses], duration_s: float) -> HubFigures:
    """Return the figures of a real hub from its status changes, see `Sink.add_transitions`."""
    status = transitions[transitions.reason.isin(STATUS_REASONS)]
    stale = transitions[transitions.reason == "silence"]
    flashes = int((~status.flapping.astype(bool)).sum())
    return HubFigures(
        stale=len(stale),
        false_stale=int((~_without_power(stale, losses)).sum()),
        flaps=len(stale) + _returns(status),
        flashes=flashes,
        flashes_per_hour=flashes / (duration_s / 3600) if duration_s else None,
    )


def _returns(status: pd.DataFrame) -> int:
    """Return the number of changes from stale to online; the return of a node that was stale before is not counted."""
    before = status.groupby("node").status.shift()
    return int(((status.reason == "heard") & (before == "stale")).sum())


def _without_power(stale: pd.DataFrame, losses: list[PowerLosses]) -> NDArray[np.bool_]:
    """Return whether each node was without power when it was marked stale."""
    without = np.zeros(len(stale), bool)
    node, at_s = stale.node.to_numpy(), stale.at_s.to_numpy()
    for of_block in losses:
        for lost, from_s, to_s in zip(*of_block, strict=True):
            without |= (node == lost) & (from_s <= at_s) & (at_s < to_s)
    return without
