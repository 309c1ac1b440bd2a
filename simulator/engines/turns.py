"""Nodes that share a queue, run in turns: the one whose event is next goes first, so that the queue keeps the order.

The virtual engine runs other nodes one after the other, each from its start to the end. Here all nodes of a site are in
memory at once, with the same records and kernels, and before each turn the shared queue is put into the link of the
node whose turn it is. If a node has a connection of its own for uploads, that is a second member of the crew: it has
the node's number, so its link is the same function of time, and sends what the first does not.

A connection that its node has left is followed at once on a copy of the link, queue included, so that what it still
retransmits takes no room from others.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator.connection import CONNECTION, HELLO
from heartbench.simulator.fleet import Squad
from heartbench.simulator.kernel import kernel, part
from heartbench.simulator.link import LINK_STATE, partition, rewind
from heartbench.simulator.node import BEHAVIOUR, NODE, Events, next_due, switch_off
from heartbench.simulator.scenario import Scenario
from heartbench.simulator.session import MOST_ROWS_AT_ONCE, Rows, follow, run
from heartbench.simulator.stream import next_event
from heartbench.simulator.trace import Messages
from heartbench.simulator.tunnel_state import NOTES, collect_notes

TURN_S = 1e-6  # what a node does within so short a time is one turn


class Crew(NamedTuple):
    """The members that share a queue, by index; a node with a connection for uploads is two."""

    place: NDArray[np.int64]  # of each member's node among the nodes of the crew
    uploads: NDArray[np.bool_]  # it is the second member of its node
    nodes: Any  # records of NODE, and so on
    connections: Any
    links: Any
    spare: Any  # one link, to follow an old connection on
    next_s: NDArray[np.float64]  # a tournament: leaves from the middle on, each parent the earlier of its children


class Record(NamedTuple):
    """What the members did: a row per message with the number of its node (-1: not in the trace), closes and notes."""

    rows: Rows
    owner: NDArray[np.int32]
    closes: NDArray[np.float64]
    notes: NDArray[np.float64]  # (node, what its tunnel did, when); noted[0] are in use
    noted: NDArray[np.int64]


def crew_size(squad: Squad) -> int:
    """Return how many nodes of a squad have to be run together: those of a site, or 0 if each can be run alone."""
    link, behaviour = squad.link.view(np.recarray)[0], squad.behaviour.view(np.recarray)[0]
    if link.uplink.is_shared:
        return int(link.site_nodes)
    return 1 if behaviour.separate_uploads else 0


def make_crew(squad: Squad) -> Crew:
    """Return room for the nodes of `squad` that share a queue."""
    members = 2 if squad.behaviour.view(np.recarray)[0].separate_uploads else 1
    size = min(crew_size(squad), squad.count)
    count = size * members
    leaves = 1 << max(count - 1, 0).bit_length()
    uploads = np.arange(count) % members == 1
    crew = Crew(
        place=np.arange(count) // members,
        uploads=uploads,
        nodes=np.zeros(count, NODE).view(np.recarray),
        connections=np.zeros(count, CONNECTION).view(np.recarray),
        links=np.zeros(count, LINK_STATE).view(np.recarray),
        spare=np.zeros(1, LINK_STATE).view(np.recarray),
        next_s=np.full(2 * leaves, np.inf),
    )
    crew.connections.rules = squad.behaviour["rules"][0]
    crew.links.profile = crew.spare.profile = squad.link[0]
    for member in (False, True) if members == 2 else ():
        crew.nodes.behaviour[uploads == member] = _share(squad.behaviour, member)
    if members == 1:
        crew.nodes.behaviour = squad.behaviour[0]
    return crew


def _share(behaviour: NDArray[np.void], uploads: bool) -> NDArray[np.void]:
    """Return what one of the two members of a node does: the uploads, or everything else."""
    share = np.zeros(1, BEHAVIOUR)
    share[:] = behaviour
    for name in ("heartbeat_interval_s",) if uploads else ("chunk_interval_s", "file_interval_s"):
        share[name] = np.inf if uploads else 0.0
    return share


def run_in_turns(
    squad: Squad,
    events: Events,
    cuts: tuple[NDArray[np.float64], NDArray[np.int64]],
    scenario: Scenario,
    record: Record,
) -> tuple[int, int]:
    """Run crew after crew; return the number of nodes finished (fewer than asked if the room ends), and of closes."""
    size, ended, (spans, spans_used) = crew_size(squad), 0, cuts
    crew = make_crew(squad)
    for place in range(0, squad.count or 1, size):  # once without nodes, so that the loop is compiled
        count = min(size, squad.count - place)
        begin, first = squad.begin[place : place + count + 1], squad.first + place
        _place(crew, count, first, scenario.seed, events, begin, spans[place:], spans_used[place:])
        ended = _run(crew, first, events, begin, record, ended, scenario.duration_s)
        if ended < 0:
            return place, 0
    return squad.count, ended


@kernel
def _place(
    crew: Crew,
    count: int,
    first: int,
    seed: int,
    events: Events,
    begin: NDArray[np.int64],
    spans: NDArray[np.float64],
    spans_used: NDArray[np.int64],
) -> None:
    """Reset the crew to `count` nodes from number `first` on, before their first event.

    `begin` and `spans` are those of these nodes: where their events begin, and what cuts them off.
    """
    for i in range(len(crew.place)):
        place = crew.place[i]
        _set_next(crew, i, np.inf)
        if place < count:
            partition(crew.links[i], spans[place, : spans_used[place]])
            rewind(crew.links[i], seed, first + place)
            switch_off(crew.nodes[i], seed, first + place)
            if begin[place] < begin[place + 1]:
                _set_next(crew, i, events.at_s[begin[place]])


@kernel
def _run(
    crew: Crew, first: int, events: Events, begin: NDArray[np.int64], record: Record, ended: int, until: float
) -> int:
    """Run the members in turns; return the number of closes recorded so far, or -1 if the room for records ends."""
    free_s = 0.0
    rows = record.rows
    while True:
        i = _first(crew)
        at = crew.next_s[len(crew.next_s) // 2 + i]
        if at >= until:
            return ended
        if rows.used[0] + 2 * MOST_ROWS_AT_ONCE >= len(rows.sent_s) or len(record.notes) - record.noted[0] < NOTES:
            return -1
        node, connection, link, number = crew.nodes[i], crew.connections[i], crew.links[i], first + crew.place[i]
        place = crew.place[i]
        mine = Events(events.at_s[begin[place] : begin[place + 1]], events.what[begin[place] : begin[place + 1]])
        begun, end = rows.used[0], min(at + TURN_S, until)
        link.activity.queue_free_s = free_s
        reached = run(node, connection, link, mine, rows, end)
        free_s = link.activity.queue_free_s
        record.noted[0] = collect_notes(link.tunnel, number, record.notes, record.noted[0])
        for row in range(begun, rows.used[0]):
            record.owner[row] = -1 if crew.uploads[i] and rows.kind[row] == HELLO else number
        if node.ended:
            if ended == len(record.closes):
                return -1
            crew.spare[0] = crew.links[i]
            follow(connection, crew.spare[0], rows, until)
            record.closes[ended, 0] = number
            record.closes[ended, 1] = connection.node_closed_s
            record.closes[ended, 2] = connection.hub_closed_s
            ended += 1
        elif reached < end:
            return -1
        due = next_due(node, mine)
        if node.has_stream:
            due = min(due, next_event(connection))
        _set_next(crew, i, due)


@part
def _set_next(crew: Crew, i: int, at: float) -> None:
    """Set when member `i` does something next."""
    n = len(crew.next_s) // 2 + i
    crew.next_s[n] = at
    while n > 1:
        n //= 2
        crew.next_s[n] = min(crew.next_s[2 * n], crew.next_s[2 * n + 1])


@part
def _first(crew: Crew) -> int:
    """Return the member that does something first."""
    leaves, n = len(crew.next_s) // 2, 1
    while n < leaves:
        n = 2 * n if crew.next_s[2 * n] <= crew.next_s[2 * n + 1] else 2 * n + 1
    return n - leaves


def by_node(messages: Messages) -> Messages:
    """Return the messages of a record in the order of a trace: by node, then by time."""
    order = np.lexsort((messages.sent_s, messages.node))
    return messages.select(order[int((messages.node < 0).sum()) :])
