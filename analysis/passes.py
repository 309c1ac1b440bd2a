"""The passes of `watch` over the gaps that judge k policies, put together.

One pass judges all policies whose detectors allow a constant silence. A detector whose silence varies takes a pass of
its own, with all its hold-downs and flap rules; so only one array of silences is held at a time.
"""

from collections.abc import Hashable, Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.absences import AbsenceRules
from heartbench.analysis.flap_kernel import watchers_of
from heartbench.analysis.gaps import Gaps
from heartbench.analysis.sites import Cells
from heartbench.analysis.watch import Away, Found, Silences, Work, judgements_of, watch
from heartbench.hub import PolicySpec

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


class Results(TypedDict):
    """What a pass finds of each policy, by the names that `Qos` gives it."""

    up_s: Floats
    distinct: NDArray[np.int32]
    column: Counts
    mistake_s: Floats
    flaps: Counts
    flashes: Counts
    entries: Counts
    flapping_nodes: Counts


class Passes:
    """Judges some policies after the others, and keeps the results of all."""

    def __init__(self, gaps: Gaps, policies: Sequence[PolicySpec], cells: Cells, rules: AbsenceRules) -> None:
        k = len(policies)
        self._policies, self._cells, self._away = policies, cells, Away(gaps.absences, rules)
        columns = gaps.first, gaps.start_s, gaps.length_s, gaps.up_s, gaps.heard, gaps.away
        self._gaps, self._work = Silences(*columns, cells.rows_of(gaps.node)), Work.of(gaps.first)
        self._up_s = np.zeros((cells.rows, cells.blocks))
        self._distinct: list[NDArray[np.int32]] = []
        self._column = np.zeros(k, np.int64)
        self._mistake_s = np.zeros(k)
        self._flaps, self._flashes, self._entries, self._flapping_nodes = (np.zeros(k, np.int64) for _ in range(4))

    def take(self, detectors: Sequence[tuple[float, Sequence[int]]], varying_s: Floats) -> None:
        """Judge policies; for each detector the silence that it allows, and the numbers of the policies that have it.

        `varying_s` is the silence after each arrival if it varies: then there is one detector; else it is empty.
        """
        by_silence = sorted(detectors, key=lambda each: each[0])
        judged = [(silence_s, alike) for silence_s, each in by_silence for alike in self._alike_in_hold_down(each)]
        order = [k for _, alike in judged for k in alike]
        judgements = judgements_of(
            [silence_s for silence_s, _ in judged],
            [self._policies[alike[0]].hold_down for _, alike in judged],
            [len(alike) for _, alike in judged],
        )
        watchers = watchers_of([self._policies[k].flap_rule for k in order])
        shape, j = self._up_s.shape, len(judged)
        found = Found(np.zeros(shape), np.zeros((*shape, j), np.int32), np.zeros(j), np.zeros(j, np.int64))
        watch(self._gaps, self._away, self._cells.block_s, judgements, varying_s, watchers, self._work, found)
        descending = found.mistakes[..., ::-1]
        np.cumsum(descending, axis=-1, out=descending)
        column = np.repeat(np.arange(j), [len(alike) for _, alike in judged])
        self._up_s = found.up_s
        self._column[order] = column + sum(each.shape[-1] for each in self._distinct)
        self._distinct.append(found.mistakes)
        self._mistake_s[order], self._flaps[order] = found.mistake_s[column], found.flaps[column]
        self._flashes[order], self._entries[order] = watchers.flashes, watchers.entries
        self._flapping_nodes[order] = watchers.flapping_nodes

    def results(self) -> Results:
        """Return what was found, by policy."""
        return Results(
            up_s=self._up_s,
            distinct=self._distinct[0] if len(self._distinct) == 1 else np.concatenate(self._distinct, axis=-1),
            column=self._column,
            mistake_s=self._mistake_s,
            flaps=self._flaps,
            flashes=self._flashes,
            entries=self._entries,
            flapping_nodes=self._flapping_nodes,
        )

    def _alike_in_hold_down(self, numbers: Sequence[int]) -> list[list[int]]:
        return alike([(k, self._policies[k].hold_down) for k in numbers])


def alike_in_detector(policies: Sequence[PolicySpec]) -> list[list[int]]:
    """Return the numbers of policies that differ in nothing but flap rule and hold-down, in order."""
    return alike([(k, (policy.parameters, policy.by_label)) for k, policy in enumerate(policies)])


def alike(keys: Sequence[tuple[int, Hashable]]) -> list[list[int]]:
    """Return the numbers with equal keys together, by the first of them."""
    found: dict[Hashable, list[int]] = {}
    for number, key in keys:
        found.setdefault(key, []).append(number)
    return list(found.values())
