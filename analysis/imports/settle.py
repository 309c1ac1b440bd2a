"""The rows of some nodes made a trace: sorted, without duplicates, with boots and connections counted.

A node began again where its boot changes to one not seen before, where its numbers begin again, or where the user says
so. Numbers begin again if one is lower than the one before by more than REORDERED, or is 0 or 1, and the next lies
below the one before too: a late message is no restart.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.imports.rows import UNKNOWN, Floats
from heartbench.mesh.kinds import Kind
from heartbench.simulator.trace import Messages

REORDERED = 32
Rows = NDArray[np.void]
"""Rows of `store.KEPT`."""


@dataclass(frozen=True, slots=True)
class Settled:
    """A block of a trace, and what was found in its nodes.

    Attributes:
        messages: sorted by (node, sent_s).
        duplicates: rows that were there twice.
        disordered: rows that came before an earlier one of their node.
        ahead: nodes whose clock was ahead of the hub's, so that messages seemed to arrive before they were sent.
    """

    messages: Messages
    duplicates: int
    disordered: int
    ahead: int


def settle(rows: Rows, restart_node: NDArray[np.int32], restart_s: Floats) -> Settled:
    """Return the trace of rows whose `node` is final and whose times are final; the restarts are those a user named."""
    node, at = rows["node"], rows["arrived_s"]
    disordered = _backward(node, at)
    rows = rows[np.lexsort((at, node))]
    again = _same_as_above(rows)
    rows = rows[~again]
    node, begins = rows["node"], _begins(rows["node"])
    rows["kind"] = _with_hellos(rows["kind"])
    begun = (_new_boot(rows) | _numbers_begin_again(rows) | _named(rows, restart_node, restart_s)) & ~begins
    boot = _counted(begun, begins)
    hellos = (rows["kind"] == Kind.HELLO) & ~begins
    connection = _counted(hellos | (begun & (rows["kind"] != Kind.HELLO)), begins)
    seq = np.where(rows["seq"] == UNKNOWN, _place_in(boot, node), rows["seq"])
    sent_s, ahead = _sent(rows, begins)
    messages = Messages(
        node.astype(np.int32), boot, connection, seq, rows["kind"].astype(np.int8), sent_s, rows["arrived_s"].copy()
    )
    if np.any((np.diff(sent_s) < 0) & ~begins[1:]):
        messages = messages.select(np.lexsort((messages.arrived_s, messages.sent_s, messages.node)))
    return Settled(messages, int(again.sum()), disordered, ahead)


def _begins(node: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return which rows are the first of their node."""
    return np.append(True, node[1:] != node[:-1])[: len(node)]


def _backward(node: NDArray[np.int32], at: Floats) -> int:
    """Return how many rows lie before the one above them of the same node."""
    order = np.argsort(node, kind="stable")
    return int(np.sum((np.diff(at[order]) < 0) & (np.diff(node[order]) == 0)))


def _same_as_above(rows: Rows) -> NDArray[np.bool_]:
    """Return which rows say what the one above them says."""
    same = np.zeros(len(rows), np.bool_)
    if len(rows) > 1:
        same[1:] = True
        for name in ("node", "arrived_s", "kind", "seq", "boot"):
            same[1:] &= rows[name][1:] == rows[name][:-1]
        sent_s = rows["sent_s"]
        same[1:] &= (sent_s[1:] == sent_s[:-1]) | (np.isnan(sent_s[1:]) & np.isnan(sent_s[:-1]))
    return same


def _with_hellos(kind: NDArray[np.int8]) -> NDArray[np.int8]:
    """Return the kinds; if no message is a hello, what follows a goodbye becomes one, because the node is back."""
    if np.any(kind == Kind.HELLO) or not np.any(kind == Kind.GOODBYE):
        return kind
    after = np.append(False, kind[:-1] == Kind.GOODBYE) & (kind != Kind.GOODBYE)
    return np.where(after, np.int8(Kind.HELLO), kind)


def _new_boot(rows: Rows) -> NDArray[np.bool_]:
    """Return which rows are the first of a boot of their node."""
    new = np.zeros(len(rows), np.bool_)
    known = np.flatnonzero(rows["boot"] != UNKNOWN)
    if len(known):
        pairs = np.stack([rows["node"][known].astype(np.int64), rows["boot"][known]])
        _, first = np.unique(pairs, axis=1, return_index=True)
        first = np.sort(first)
        new[known[first[~_begins(rows["node"][known[first]])]]] = True
    return new


def _numbers_begin_again(rows: Rows) -> NDArray[np.bool_]:
    """Return which rows begin the numbers of their node anew, without a boot that says so."""
    again = np.zeros(len(rows), np.bool_)
    known = np.flatnonzero((rows["seq"] != UNKNOWN) & (rows["boot"] == UNKNOWN) & (rows["kind"] == Kind.HEARTBEAT))
    if len(known) > 1:
        seq, begins = rows["seq"][known], _begins(rows["node"][known])
        above, below = np.append(seq[:1], seq[:-1]), np.append(seq[1:], seq[-1:])
        last = np.append(begins[1:], True)
        drop = above - seq
        again[known] = ~begins & ((drop > REORDERED) | ((drop > 0) & (seq <= 1))) & (last | (below < above))
    return again


def _named(rows: Rows, restart_node: NDArray[np.int32], restart_s: Floats) -> NDArray[np.bool_]:
    """Return which rows are the first after a restart that the user named."""
    begun = np.zeros(len(rows), np.bool_)
    for node, at_s in zip(restart_node, restart_s, strict=True):
        own = np.flatnonzero((rows["node"] == node) & (rows["arrived_s"] >= at_s))
        begun[own[:1]] = True
    return begun


def _counted(events: NDArray[np.bool_], begins: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return how many events of its node each row has seen."""
    total = np.cumsum(events)
    starts = np.flatnonzero(begins)
    return (total - np.repeat(total[starts], np.diff(np.append(starts, len(total))))).astype(np.int32)


def _place_in(boot: NDArray[np.int32], node: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the place of each row in its boot, from 1."""
    starts = np.flatnonzero(_begins(node) | np.append(True, np.diff(boot) != 0)[: len(boot)])
    return np.arange(1, len(boot) + 1) - np.repeat(starts, np.diff(np.append(starts, len(boot))))


def _sent(rows: Rows, begins: NDArray[np.bool_]) -> tuple[Floats, int]:
    """Return when each was sent, s, and how many nodes' clocks were ahead: those are moved back by what it takes."""
    arrived_s = rows["arrived_s"]
    took_s = arrived_s - np.where(np.isnan(rows["sent_s"]), arrived_s, rows["sent_s"])
    starts = np.flatnonzero(begins)
    if not len(starts):
        return arrived_s.copy(), 0
    least_s = np.minimum.reduceat(took_s, starts)
    ahead_s = np.repeat(np.minimum(least_s, 0.0), np.diff(np.append(starts, len(took_s))))
    return np.round(arrived_s - (took_s - ahead_s), 6), int(np.sum(least_s < 0))
