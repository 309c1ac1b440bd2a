"""What really happened in a run: the faults of the scenario, the outages that were drawn, the streams that ended."""

from collections.abc import Sequence
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator.cuts import ONLY
from heartbench.simulator.fault import FaultKind
from heartbench.simulator.fleet import Squad
from heartbench.simulator.kernel import kernel
from heartbench.simulator.link import BOTH, DOWN, LINK_STATE, UP, Link, next_outage, rewind
from heartbench.simulator.node import (
    CRASH,
    EXIT,
    HALF_OPEN,
    REBIND,
    RESET,
    RESET_AT_HUB,
    RESET_AT_NODE,
    START,
    Node,
    schedule_move,
    switch_off,
)
from heartbench.simulator.record import new
from heartbench.simulator.scenario import Scenario
from heartbench.simulator.trace import Truth, TruthEvent
from heartbench.simulator.tunnel_state import BEGUN, EXPIRED, FORGOTTEN, GIVEN_UP, SUCCEEDED

# Events by what an outage cuts (UP, DOWN, BOTH), and whether it drops or holds.
_OUTAGE = np.zeros((2, 3))
_OUTAGE[0, [UP, DOWN, BOTH]] = TruthEvent.OUTAGE_UP, TruthEvent.OUTAGE_DOWN, TruthEvent.OUTAGE
_OUTAGE[1, [UP, DOWN, BOTH]] = TruthEvent.HOLD_UP, TruthEvent.HOLD_DOWN, TruthEvent.HOLD

NO_NOTES = np.zeros((0, 3))

# Events by what a cut by order of the scenario is, and what it cuts.
_CUTS = {
    FaultKind.PARTITION: (TruthEvent.PARTITION, TruthEvent.PARTITION_UP, TruthEvent.PARTITION_DOWN),
    FaultKind.HOLD: (TruthEvent.PARTITION_HOLD, TruthEvent.PARTITION_HOLD_UP, TruthEvent.PARTITION_HOLD_DOWN),
    FaultKind.FLAP: (TruthEvent.FLAP, TruthEvent.FLAP_UP, TruthEvent.FLAP_DOWN),
}

_FAULTS = np.zeros(8)  # by what happens to a node or its connection
_FAULTS[[START, CRASH, EXIT]] = TruthEvent.RESTART, TruthEvent.CRASH, TruthEvent.EXIT
_FAULTS[[RESET, RESET_AT_NODE, RESET_AT_HUB]] = TruthEvent.RESET
_FAULTS[[HALF_OPEN, REBIND]] = TruthEvent.HALF_OPEN, TruthEvent.REBIND

_NOTES = np.zeros(5)  # by what a tunnel, or a NAT, has noted
_NOTES[[BEGUN, SUCCEEDED]] = TruthEvent.HANDSHAKE_BEGUN, TruthEvent.HANDSHAKE_SUCCEEDED
_NOTES[[GIVEN_UP, EXPIRED]] = TruthEvent.HANDSHAKE_GIVEN_UP, TruthEvent.KEY_EXPIRED
_NOTES[FORGOTTEN] = TruthEvent.NAT_EXPIRED


def truth_of(
    squad: Squad,
    seed: int,
    nodes: range,
    closes: NDArray[np.float64],
    until: float,
    notes: NDArray[np.float64] = NO_NOTES,
) -> Truth:
    """Return what happened to `nodes` of `squad` before `until` s, sorted by node and time.

    `closes` has a row for each stream that ended: node, when the node saw it and when the hub did, s (NaN if never);
    `notes` one for each event of a tunnel: node, what, when.
    """
    tables = [
        _table(closes[:, 0], float(TruthEvent.CLOSE), closes[:, 1], closes[:, 2]),
        _faults(squad, nodes),
        _cuts(squad, nodes),
        _outages(squad, seed, nodes, until),
        _moves(squad, seed, nodes, until),
        _table(notes[:, 0], _NOTES[notes[:, 1].astype(int)], notes[:, 2], np.nan),
    ]
    node, event, start_s, end_s = np.concatenate(tables).T
    before = start_s < until
    order = np.lexsort((event[before], start_s[before], node[before]))
    columns = [column[before][order] for column in (node, event, start_s, end_s)]
    return Truth(columns[0].astype(np.int32), columns[1].astype(np.int8), columns[2], columns[3])


def truth_of_hub(spans: Sequence[tuple[TruthEvent, float, float]]) -> Truth:
    """Return what happened to the hub, from spans (event, from, to) in s; `to` is NaN if it was not over."""
    event, from_s, to_s = np.array(spans, float).reshape(-1, 3).T
    return Truth(np.full(len(event), -1, np.int32), event.astype(np.int8), from_s, to_s)


def hub_spans(scenario: Scenario) -> list[tuple[TruthEvent, float, float]]:
    """Return what a scenario does to the hub before its end, as spans (event, from, to) in s."""
    faults = sorted(scenario.hub_fault, key=lambda fault: fault.at_s)
    spans = [(TruthEvent[f"HUB_{fault.kind.name}"], fault.at_s, fault.at_s + fault.duration_s) for fault in faults]
    until = scenario.duration_s
    return [(event, from_s, to_s if to_s <= until else nan) for event, from_s, to_s in spans if from_s < until]


def _table(*columns: NDArray[Any] | float) -> NDArray[np.float64]:
    """Return the rows (node, event, start, end), shape (n, 4)."""
    return np.stack(np.broadcast_arrays(*columns), axis=1).astype(float)


def _faults(squad: Squad, nodes: range) -> NDArray[np.float64]:
    """Return what the scenario does to nodes and their connections; the first start of a node is not a restart."""
    begin = squad.begin[nodes.start - squad.first : nodes.stop - squad.first + 1]
    owner = np.repeat(np.arange(nodes.start, nodes.stop), np.diff(begin))
    what, at_s = squad.what[begin[0] : begin[-1]], squad.at_s[begin[0] : begin[-1]]
    starts = np.flatnonzero(what == START)
    first = starts[np.unique(owner[starts], return_index=True)[1]]
    return np.delete(_table(owner, _FAULTS[what], at_s, np.nan), first, axis=0)


def _cuts(squad: Squad, nodes: range) -> NDArray[np.float64]:
    tables = [np.zeros((0, 4))]
    for cut in squad.partitions:
        hit = np.flatnonzero(cut.hit[nodes.start - squad.first : nodes.stop - squad.first]) + nodes.start
        event = _CUTS[cut.kind][int(cut.row[ONLY])]
        tables.append(_table(hit.astype(float), float(event), cut.from_s, cut.to_s))
    return np.concatenate(tables)


def _moves(squad: Squad, seed: int, nodes: range, until: float) -> NDArray[np.float64]:
    """Return the changes of address that the profile draws."""
    node, found = new(Node), [np.zeros((0, 2))]
    node.behaviour = squad.behaviour[0]
    for number in nodes if node.behaviour.move_mean_s > 0.0 else ():
        switch_off(node, seed, number)
        while node.move_s < until:
            found.append(np.array([[number, node.move_s]]))
            schedule_move(node, node.move_s)
    moves = np.concatenate(found)
    return _table(moves[:, 0], float(TruthEvent.REBIND), moves[:, 1], np.nan)


def _outages(squad: Squad, seed: int, nodes: range, until: float) -> NDArray[np.float64]:
    link = np.zeros(1, LINK_STATE).view(np.recarray)[0]
    link.profile = squad.link[0]
    room = 1024
    while True:
        found = np.empty((room, 5))
        count = _walk_outages(link, seed, nodes.start, nodes.stop, until, found)
        if count <= room:
            node, begins, ends, cut, holds = found[:count].T
            return _table(node, _OUTAGE[holds.astype(int), cut.astype(int)], begins, ends)
        room = count


@kernel
def _walk_outages(link: Link, seed: int, first: int, stop: int, until: float, found: NDArray[np.float64]) -> int:
    """Write (node, from, to, what it cuts, whether it holds) of all outages before `until` into `found`.

    Returns how many there are, written or not. An outage of a site counts for each of its nodes.
    """
    count = 0
    for node in range(first, stop):
        rewind(link, seed, node)
        for whose in range(2):
            begins, ends, cut, holds = next_outage(link, whose, 0.0)
            while begins < until:
                if count < len(found):
                    found[count, 0], found[count, 1], found[count, 2] = node, begins, ends
                    found[count, 3], found[count, 4] = cut, holds
                count += 1
                begins, ends, cut, holds = next_outage(link, whose, ends)
    return count
