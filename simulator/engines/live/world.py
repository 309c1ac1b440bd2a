"""The modelled side of a shard's nodes, advanced as real time goes by; it yields the actions to take on real streams.

Node, connection and link of each node are the virtual engine's records, driven by the same kernels up to the present
time of the run. A connection that its node has left while packets are still in flight is kept beside the new one until
it is over.

Each modelled connection is a *wire*, numbered through. What has to happen on its real counterpart is written to
`Actions`:

    OPENED     the hub's end is there: connect
    DELIVERED  the message of a row is at the hub: write it
    CLOSED     the hub's end sees the end of the connection: end the stream

Only one thing is fed back from real time: a stream that the hub ended (`Loss`).
"""

from collections.abc import Iterable, Iterator
from math import inf, isnan, nan
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator.connection import CONNECTION, FIN, Connection, is_over
from heartbench.simulator.engines.live.buffers import LEAST_MORE, grown, records
from heartbench.simulator.fleet import Squad
from heartbench.simulator.kernel import kernel
from heartbench.simulator.link import LINK_STATE, partition, rewind
from heartbench.simulator.node import NODE, Events, next_due, switch_off
from heartbench.simulator.record import Record, dtype_of
from heartbench.simulator.session import MOST_ROWS_AT_ONCE, Rows, follow, make_rows, run
from heartbench.simulator.stream import next_event, send_down
from heartbench.simulator.tcp.flow import MESSAGES
from heartbench.simulator.tunnel_state import NOTES, collect_notes

OPENED, DELIVERED, CLOSED = 0, 1, 2

# A node is never advanced further at once: no more messages can be delivered than the connection's ring remembers.
STRIDE_S = 0.25

# The buffers that may fill up.
ROWS, ACTIONS, CLOSES, NOTED, OLD = range(5)


class Tie(Record):
    """A modelled connection's real counterpart."""

    wire: int  # -1: there is no connection here
    node: int  # index of its node
    seen: int  # messages of the node that were reported as delivered
    opened: bool
    closed: bool
    close: int  # its row among the closes


class World(NamedTuple):
    """The nodes of a shard by index, and the connections that they have left (`old_...`, by slot)."""

    number: NDArray[np.int64]  # of each node, in the scenario
    nodes: Any  # records of NODE, and so on
    connections: Any
    links: Any
    ties: Any
    begin: NDArray[np.int64]
    at_s: NDArray[np.float64]
    what: NDArray[np.int64]
    next_s: NDArray[np.float64]  # when each node, or its connection, does something next
    cut: NDArray[np.bool_]  # the hub has ended the node's stream
    away_s: NDArray[np.float64]  # and the node stays away at least this long
    old_connections: Any
    old_links: Any
    old_ties: Any
    old_next_s: NDArray[np.float64]
    closes: NDArray[np.float64]  # (node, when the node saw it, when the hub did)
    notes: NDArray[np.float64]  # (node, what its tunnel did, when)
    counts: NDArray[np.int64]  # wires, closes, notes
    full: NDArray[np.int64]  # the buffer that filled up last


class Actions(NamedTuple):
    """What to do, in order of time for each wire; `used[0]` entries are in use."""

    used: NDArray[np.int64]
    what: NDArray[np.int8]
    wire: NDArray[np.int64]
    node: NDArray[np.int64]
    row: NDArray[np.int64]


class Sent(NamedTuple):
    """What the nodes of a shard sent, one row per message in no order of nodes, and the index of each node."""

    rows: Rows
    node: NDArray[np.int32]


def make_world(squads: Iterable[Squad], seed: int, shard: int, shards: int) -> World:
    """Return a world of every `shards`-th node, from number `shard` on; all are off until their first event."""
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
            _place_node(world, i, squad, seed, int(node))
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
        nodes=records(n, NODE),
        connections=records(n, CONNECTION),
        links=records(n, LINK_STATE),
        ties=records(n, dtype_of(Tie)),
        begin=np.zeros(n + 1, np.int64),
        at_s=np.zeros(0),
        what=np.zeros(0, np.int64),
        next_s=np.full(n, inf),
        cut=np.zeros(n, bool),
        away_s=np.zeros(n),
        old_connections=records(LEAST_MORE, CONNECTION),
        old_links=records(LEAST_MORE, LINK_STATE),
        old_ties=records(LEAST_MORE, dtype_of(Tie)),
        old_next_s=np.full(LEAST_MORE, inf),
        closes=np.zeros((LEAST_MORE, 3)),
        notes=np.zeros((NOTES, 3)),
        counts=np.array([n, 0, 0]),
        full=np.zeros(1, np.int64),
    )
    world.ties.wire, world.ties.node = np.arange(n), np.arange(n)
    world.old_ties.wire = -1
    return world


def _place_node(world: World, i: int, squad: Squad, seed: int, node: int) -> None:
    world.nodes[i].behaviour = squad.behaviour[0]
    switch_off(world.nodes[i], seed, node)
    world.connections[i].rules = squad.behaviour[0]["rules"]
    link = world.links[i]
    link.profile = squad.link[0]
    partition(link, squad.partitions_of(node))
    rewind(link, seed, node)


@kernel
def _advance(world: World, sent: Sent, actions: Actions, until: float) -> float:
    """Advance as `Model.advance` does; return NaN if a buffer is full: once it has grown, a repeated call continues."""
    soonest = inf
    for i in range(len(world.next_s)):
        while world.next_s[i] < until:
            if not _has_room(world, sent, actions):
                return nan
            _advance_node(world, sent, actions, i, min(until, world.next_s[i] + STRIDE_S))
        soonest = min(soonest, world.next_s[i])
    for slot in range(len(world.old_next_s)):
        while world.old_next_s[slot] < until:
            if not _has_room(world, sent, actions):
                return nan
            _advance_old(world, sent, actions, slot, min(until, world.old_next_s[slot] + STRIDE_S))
        soonest = min(soonest, world.old_next_s[slot])
    return soonest


@kernel
def _has_room(world: World, sent: Sent, actions: Actions) -> bool:
    """Return whether one stride of one node fits: it sends what has waited, ends a stream, and delivers a whole ring.

    If it does not, `world.full` is set to the first buffer without room for it.
    """
    if sent.rows.used[0] + 2 * MOST_ROWS_AT_ONCE >= len(sent.node):
        world.full[0] = ROWS
    elif actions.used[0] + MESSAGES + 2 >= len(actions.what):
        world.full[0] = ACTIONS
    elif world.counts[1] >= len(world.closes):
        world.full[0] = CLOSES
    elif world.counts[2] + NOTES > len(world.notes):
        world.full[0] = NOTED
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
def _advance_node(world: World, sent: Sent, actions: Actions, i: int, until: float) -> None:
    """Advance node `i` to `until`, or to the end of its stream."""
    node, connection, link, tie = world.nodes[i], world.connections[i], world.links[i], world.ties[i]
    events = Events(world.at_s[world.begin[i] : world.begin[i + 1]], world.what[world.begin[i] : world.begin[i + 1]])
    begun = sent.rows.used[0]
    reached = run(node, connection, link, events, sent.rows, until)
    for row in range(begun, sent.rows.used[0]):
        sent.node[row] = i
    world.counts[2] = collect_notes(link.tunnel, world.number[i], world.notes, world.counts[2])
    if node.has_stream or node.ended:
        _report(connection, tie, actions)
    if node.ended:
        _set_aside(world, i, reached)
    elif node.has_stream and world.cut[i]:
        world.cut[i] = False
        send_down(connection, link, reached, 1, FIN, -1)
    world.next_s[i] = next_due(node, events)
    if node.has_stream:
        world.next_s[i] = min(world.next_s[i], next_event(connection))


@kernel
def _advance_old(world: World, sent: Sent, actions: Actions, slot: int, until: float) -> None:
    """Advance a connection that its node has left."""
    connection, tie = world.old_connections[slot], world.old_ties[slot]
    over = follow(connection, world.old_links[slot], sent.rows, until)
    _report(connection, tie, actions)
    world.closes[tie.close, 2] = connection.hub_closed_s
    world.old_next_s[slot] = inf if over else next_event(connection)
    if over:
        tie.wire = -1


@kernel
def _report(connection: Connection, tie: Tie, actions: Actions) -> None:
    """Append the actions for what happened at the hub's end since the last call."""
    if connection.hub_open and not tie.opened:
        tie.opened = True
        _append(actions, OPENED, tie, -1)
    up = connection.up
    while tie.seen < connection.collected:
        row = up.log[tie.seen % MESSAGES].tag
        tie.seen += 1
        if row >= 0:
            _append(actions, DELIVERED, tie, row)
    if tie.opened and not tie.closed and not isnan(connection.hub_closed_s):
        tie.closed = True
        _append(actions, CLOSED, tie, -1)


@kernel
def _append(actions: Actions, what: int, tie: Tie, row: int) -> None:
    n = actions.used[0]
    actions.used[0] += 1
    actions.what[n] = what
    actions.wire[n] = tie.wire
    actions.node[n] = tie.node
    actions.row[n] = row


@kernel
def _set_aside(world: World, i: int, at: float) -> None:
    """Record the end of the stream of node `i`, move what is left of its connection aside, and prepare the next."""
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


class Loss(NamedTuple):
    """Why a real connection ended without the node's asking for it."""

    away_s: float  # for how long the hub asked the node to stay away; 0: it did not ask
    refused: bool  # it ended without a Welcome and without such a request, like one to a dead hub


class Model:
    """A world with the buffers that it fills; `carry_out` empties that of the actions."""

    def __init__(self, world: World, rows: int, actions: int) -> None:
        self.world = world
        self.sent = Sent(make_rows(rows), np.zeros(rows, np.int32))
        wide = [np.zeros(actions, np.int64) for _ in range(3)]
        self._actions = Actions(np.zeros(1, np.int64), np.zeros(actions, np.int8), *wide)

    def advance(self, until: float) -> float:
        """Advance the world to `until`, s; return when the next thing is due."""
        while isnan(soonest := _advance(self.world, self.sent, self._actions, until)):
            self._grow()
        return float(soonest)

    def take_actions(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield what to do, on which wire, for which node and for which row."""
        count = int(self._actions.used[0])
        self._actions.used[0] = 0
        yield from zip(*(column[:count].tolist() for column in self._actions[1:]), strict=True)

    def end_stream(self, node: int, wire: int, loss: Loss, now_s: float) -> bool:
        """End a node's stream as the hub did; return False if the node has left that connection already."""
        world = self.world
        if world.ties.wire[node] != wire:
            return False
        world.cut[node] = True
        world.nodes.is_refused[node] = loss.refused
        world.away_s[node] = loss.away_s
        world.next_s[node] = min(world.next_s[node], now_s)
        return True

    def _grow(self) -> None:
        """Make the buffer that is full half as large again; the other buffers stay."""
        world, sent = self.world, self.sent
        full = world.full[0]
        if full == ROWS:
            self.sent = Sent(Rows(sent.rows.used, *map(grown, sent.rows[1:])), grown(sent.node))
        elif full == ACTIONS:
            self._actions = Actions(self._actions.used, *map(grown, self._actions[1:]))
        elif full == CLOSES:
            self.world = world._replace(closes=grown(world.closes))
        elif full == NOTED:
            self.world = world._replace(notes=grown(world.notes))
        else:
            more = {name: grown(getattr(world, name)) for name in world._fields if name.startswith("old_")}
            free = len(world.old_next_s)
            more["old_next_s"][free:] = inf
            more["old_ties"].wire[free:] = -1
            self.world = world._replace(**more)
