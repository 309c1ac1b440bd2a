"""The modelled side of a shard's nodes, advanced as real time goes by; it says what is to be done for real, and when.

Node, connection and link of each node are the virtual engine's records, driven by the same kernels up to the present
time of the run. A connection that its node has left, while packets are still on their way, lives on beside the new one
until nothing can come of it.

Each modelled connection is a *wire*, numbered through. What has to happen on its real counterpart is written to `Told`:

    OPENED     the hub's end is there: connect
    DELIVERED  the message of a row is at the hub: write it
    CLOSED     the hub's end sees the end of the connection: end the stream

Nothing is fed back from real time but one thing: a stream that the hub ended (`cut`).
"""

from collections.abc import Iterable
from math import inf, isnan, nan
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator.fleet import Squad
from heartbench.simulator.kernel import kernel
from heartbench.simulator.link import LINK_STATE, Record, rewind
from heartbench.simulator.node import (
    MOST_ROWS_AT_ONCE,
    NODE,
    Events,
    Rows,
    follow,
    make_rows,
    next_own,
    run,
    switch_off,
)
from heartbench.simulator.stream import CONNECTION, FIN, is_over, next_event, send_down
from heartbench.simulator.tcp.flow import MESSAGES

OPENED, DELIVERED, CLOSED = 0, 1, 2

# A node is never advanced further at once: no more messages can be delivered than the connection's ring remembers.
STRIDE_S = 0.25

# The buffers that may run out of room.
ROWS, ACTIONS, CLOSES, OLD = range(4)
LEAST_MORE = 16
"""Places that a buffer grows by at least; an old connection takes 200 KiB, so there is room for few to begin with."""

# What is known of the real counterpart of a modelled connection.
TIE = np.dtype(
    [
        ("wire", "i8"),  # -1: there is no connection here
        ("node", "i8"),  # index of its node
        ("seen", "i8"),  # messages of the node that were told of
        ("opened", "?"),
        ("closed", "?"),
        ("close", "i8"),  # its row among the closes
    ]
)


class World(NamedTuple):
    """The nodes of a shard by index, and the connections that they have left (`old_...`, by slot)."""

    number: NDArray[np.int64]  # of each node in the scenario
    nodes: Any  # records of NODE, and so on
    connections: Any
    links: Any
    ties: Any
    begin: NDArray[np.int64]
    at_s: NDArray[np.float64]
    what: NDArray[np.int64]
    next_s: NDArray[np.float64]  # when each node, or its connection, does something next
    cut: NDArray[np.bool_]  # the hub has ended the node's stream
    away_s: NDArray[np.float64]  # so long at least it is to stay away then
    old_connections: Any
    old_links: Any
    old_ties: Any
    old_next_s: NDArray[np.float64]
    closes: NDArray[np.float64]  # (node, when the node saw it, when the hub did)
    counts: NDArray[np.int64]  # wires, closes
    full: NDArray[np.int64]  # the one buffer that ran out of room last


class Actions(NamedTuple):
    """What is to be done, in the order of each wire's time; `used[0]` entries are in use."""

    used: NDArray[np.int64]
    what: NDArray[np.int8]
    wire: NDArray[np.int64]
    node: NDArray[np.int64]
    row: NDArray[np.int64]


class Sent(NamedTuple):
    """What the nodes of a shard sent, a row a message in no order of nodes, and which node it was (by index)."""

    rows: Rows
    node: NDArray[np.int32]


def make_world(squads: Iterable[Squad], seed: int, shard: int, shards: int) -> World:
    """Make every `shards`-th node, from number `shard` on; all of them are off until their first event."""
    fleets = [
        (squad, np.arange(squad.first + (shard - squad.first) % shards, squad.first + squad.count, shards))
        for squad in squads
    ]
    number = np.concatenate([np.zeros(0, np.int64), *(mine for _, mine in fleets)])
    world = _empty_world(number)
    at_s, what = [np.zeros(0)], [np.zeros(0, np.int64)]
    i = 0
    for squad, mine in fleets:
        for node in mine:
            events = slice(squad.begin[node - squad.first], squad.begin[node - squad.first + 1])
            _place(world, i, squad, seed, int(node))
            at_s.append(squad.at_s[events])
            what.append(squad.what[events])
            world.next_s[i] = min(at_s[-1], default=inf)  # a node that never starts has no events
            i += 1
    begin = np.concatenate([[0], np.cumsum([len(each) for each in at_s[1:]], dtype=np.int64)])
    return world._replace(begin=begin, at_s=np.concatenate(at_s), what=np.concatenate(what))


def _empty_world(number: NDArray[np.int64]) -> World:
    n = len(number)
    world = World(
        number=number,
        nodes=_records(n, NODE),
        connections=_records(n, CONNECTION),
        links=_records(n, LINK_STATE),
        ties=_records(n, TIE),
        begin=np.zeros(n + 1, np.int64),
        at_s=np.zeros(0),
        what=np.zeros(0, np.int64),
        next_s=np.full(n, inf),
        cut=np.zeros(n, bool),
        away_s=np.zeros(n),
        old_connections=_records(LEAST_MORE, CONNECTION),
        old_links=_records(LEAST_MORE, LINK_STATE),
        old_ties=_records(LEAST_MORE, TIE),
        old_next_s=np.full(LEAST_MORE, inf),
        closes=np.zeros((LEAST_MORE, 3)),
        counts=np.array([n, 0]),
        full=np.zeros(1, np.int64),
    )
    world.ties.wire, world.ties.node = np.arange(n), np.arange(n)
    world.old_ties.wire = -1
    return world


def _records(count: int, dtype: Any) -> Any:
    return np.zeros(count, dtype).view(np.recarray)


def _place(world: World, i: int, squad: Squad, seed: int, node: int) -> None:
    world.nodes[i].behaviour = squad.behaviour[0]
    switch_off(world.nodes[i])
    world.connections[i].rules = squad.behaviour[0]["rules"]
    link = world.links[i]
    link.profile = squad.link[0]
    cuts = squad.partitions_of(node)
    link.partition_count = len(cuts)
    for j, cut in enumerate(cuts):
        link.partitions[j] = cut
    rewind(link, seed, node)


def make_actions(capacity: int) -> Actions:
    """Make room for so many things to do."""
    whole = [np.zeros(capacity, np.int64) for _ in range(3)]
    return Actions(np.zeros(1, np.int64), np.zeros(capacity, np.int8), *whole)


def make_sent(capacity: int) -> Sent:
    """Make room for so many messages."""
    return Sent(make_rows(capacity), np.zeros(capacity, np.int32))


@kernel
def advance(world: World, sent: Sent, told: Actions, until: float) -> float:
    """Let happen what is due before `until`, s; return when the next thing is due, or NaN where room has run out.

    In the latter case `grow` makes more, and the call is repeated: what was done is done.
    """
    soonest = inf
    for i in range(len(world.next_s)):
        while world.next_s[i] < until:
            if not _has_room(world, sent, told):
                return nan
            _live(world, sent, told, i, min(until, world.next_s[i] + STRIDE_S))
        soonest = min(soonest, world.next_s[i])
    for slot in range(len(world.old_next_s)):
        while world.old_next_s[slot] < until:
            if not _has_room(world, sent, told):
                return nan
            _live_on(world, sent, told, slot, min(until, world.old_next_s[slot] + STRIDE_S))
        soonest = min(soonest, world.old_next_s[slot])
    return soonest


@kernel
def _has_room(world: World, sent: Sent, told: Actions) -> bool:
    """Whether one step of one node fits: it sends what has waited, ends a stream, and tells of a ring of messages.

    If it does not, `world.full` is the first buffer without room for it.
    """
    if sent.rows.used[0] + 2 * MOST_ROWS_AT_ONCE >= len(sent.node):
        world.full[0] = ROWS
    elif told.used[0] + MESSAGES + 2 >= len(told.what):
        world.full[0] = ACTIONS
    elif world.counts[1] >= len(world.closes):
        world.full[0] = CLOSES
    elif _free_slot(world) < 0:
        world.full[0] = OLD
    else:
        return True
    return False


@kernel
def _free_slot(world: World) -> int:
    for slot in range(len(world.old_next_s)):
        if world.old_ties[slot].wire < 0:
            return slot
    return -1


@kernel
def _live(world: World, sent: Sent, told: Actions, i: int, until: float) -> None:
    """Let node `i` live up to `until`, or to the end of its stream."""
    node, connection, link, tie = world.nodes[i], world.connections[i], world.links[i], world.ties[i]
    events = Events(world.at_s[world.begin[i] : world.begin[i + 1]], world.what[world.begin[i] : world.begin[i + 1]])
    begun = sent.rows.used[0]
    reached = run(node, connection, link, events, sent.rows, until)
    for row in range(begun, sent.rows.used[0]):
        sent.node[row] = i
    if node.has_stream or node.ended:
        _tell(connection, tie, told)
    if node.ended:
        _leave_behind(world, i, reached)
    elif node.has_stream and world.cut[i]:
        world.cut[i] = False
        send_down(connection, link, reached, 1, FIN, -1)
    world.next_s[i] = next_own(node, events)
    if node.has_stream:
        world.next_s[i] = min(world.next_s[i], next_event(connection))


@kernel
def _live_on(world: World, sent: Sent, told: Actions, slot: int, until: float) -> None:
    """Follow a connection that its node has left."""
    connection, tie = world.old_connections[slot], world.old_ties[slot]
    over = follow(connection, world.old_links[slot], sent.rows, until)
    _tell(connection, tie, told)
    world.closes[tie.close, 2] = connection.hub_closed_s
    world.old_next_s[slot] = inf if over else next_event(connection)
    if over:
        tie.wire = -1


@kernel
def _tell(connection: Record, tie: Record, told: Actions) -> None:
    """Write down what happened at the hub's end since the last call."""
    if connection.hub_open and not tie.opened:
        tie.opened = True
        _note(told, OPENED, tie, -1)
    up = connection.up
    while tie.seen < connection.collected:
        row = up.log[tie.seen % MESSAGES].tag
        tie.seen += 1
        if row >= 0:
            _note(told, DELIVERED, tie, row)
    if tie.opened and not tie.closed and not isnan(connection.hub_closed_s):
        tie.closed = True
        _note(told, CLOSED, tie, -1)


@kernel
def _note(told: Actions, what: int, tie: Record, row: int) -> None:
    n = told.used[0]
    told.used[0] += 1
    told.what[n] = what
    told.wire[n] = tie.wire
    told.node[n] = tie.node
    told.row[n] = row


@kernel
def _leave_behind(world: World, i: int, at: float) -> None:
    """Note the end of the stream of node `i`, put what is left of its connection aside, and be ready for another."""
    connection, tie = world.connections[i], world.ties[i]
    tie.close = world.counts[1]
    world.counts[1] += 1
    world.closes[tie.close, 0] = world.number[i]
    world.closes[tie.close, 1] = connection.node_closed_s
    world.closes[tie.close, 2] = connection.hub_closed_s
    if not is_over(connection):
        slot = _free_slot(world)
        world.old_connections[slot] = world.connections[i]
        world.old_links[slot] = world.links[i]
        world.old_ties[slot] = world.ties[i]
        world.old_next_s[slot] = next_event(connection)
    tie.wire = world.counts[0]
    world.counts[0] += 1
    tie.seen = 0
    tie.opened = tie.closed = False
    world.cut[i] = False
    if world.nodes[i].is_on:
        world.nodes[i].connect_s = max(world.nodes[i].connect_s, at + world.away_s[i])
    world.away_s[i] = 0.0


def grow(world: World, sent: Sent, told: Actions) -> tuple[World, Sent, Actions]:
    """Return them with half as much room again in the buffer that ran out of it, `world.full`; the others stay."""
    full = world.full[0]
    if full == ROWS:
        rows = Rows(sent.rows.used, *(_longer(column) for column in sent.rows[1:]))
        return world, Sent(rows, _longer(sent.node)), told
    if full == ACTIONS:
        return world, sent, Actions(told.used, *(_longer(column) for column in told[1:]))
    if full == CLOSES:
        return world._replace(closes=_longer(world.closes)), sent, told
    more = {name: _longer(getattr(world, name)) for name in world._fields if name.startswith("old_")}
    free = len(world.old_next_s)
    more["old_next_s"][free:] = inf
    more["old_ties"].wire[free:] = -1
    return world._replace(**more), sent, told


def _longer(column: Any) -> Any:
    length = len(column) + max(len(column) // 2, LEAST_MORE)
    more = np.zeros((length, *column.shape[1:]), column.dtype)
    more[: len(column)] = column
    return more.view(np.recarray) if column.dtype.names else more
