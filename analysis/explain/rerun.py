"""One node of a run, simulated again from its seed and stopped where we want to look: what its TCP and tunnel wait for.

The record of a run has messages and outages, not retransmissions. Draws are counted, so the same node can be run alone,
in the same kernels, and its state be read at any moment. `repeats` compares the messages with those of the record: what
is read from a rerun holds only if they are the same. Nodes that share a queue with others cannot be run alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf, nextafter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.errors import AnalysisError
from heartbench.simulator import connection as conn
from heartbench.simulator.connection import Connection
from heartbench.simulator.engines.turns import crew_size
from heartbench.simulator.fleet import Squad, squads
from heartbench.simulator.link import LINK_STATE, UP, Link, partition, rewind
from heartbench.simulator.node import Events, Node, next_due, switch_off
from heartbench.simulator.record import new
from heartbench.simulator.scenario import Scenario
from heartbench.simulator.session import MOST_ROWS_AT_ONCE, follow, make_rows, run
from heartbench.simulator.stream import next_event
from heartbench.simulator.tcp.flow import PACKETS, SYN
from heartbench.simulator.trace import Messages

SPARE_ROWS = 4 * MOST_ROWS_AT_ONCE


@dataclass(frozen=True, slots=True)
class Moment:
    """The state of a node, its connection and its tunnel at one time; times in s, inf: not set.

    Attributes:
        at_s: the time.
        connected: whether the node has a connection that it can send on.
        connecting: whether it is making one.
        attempts: attempts since the last success.
        syns: SYNs sent for the present attempt.
        forgotten: whether the path has forgotten its connection.
        hub_closed: whether the hub's end of it is closed.
        timeouts: retransmission timeouts since the last acknowledgement.
        probed: whether a tail loss probe is out.
        backing_off_s: first retransmission since the last acknowledgement; inf without a timeout since then.
        timer_s: when TCP's timer of the node fires next.
        sent_s: when it last sent data.
        staged: packets that wait for a key of the tunnel.
        arrives_s: when the next packet on the way up arrives.
        pinging: whether a keepalive ping is unanswered.
        on_the_way: whether what it sent or dialled last is under way, and not lost.
    """

    at_s: float
    connected: bool
    connecting: bool
    attempts: int
    syns: int
    forgotten: bool
    hub_closed: bool
    timeouts: int
    probed: bool
    backing_off_s: float
    timer_s: float
    sent_s: float
    staged: int
    arrives_s: float
    pinging: bool
    on_the_way: bool


class Rerun:
    """One node, run again; time only goes forward."""

    def __init__(self, scenario: Scenario, squad: Squad, messages: int) -> None:
        """Prepare the one node of `squad`, which sent about `messages` messages in the run."""
        self._duration_s = scenario.duration_s
        links: Any = np.zeros(2, LINK_STATE).view(np.recarray)
        links.profile = squad.link[0]
        self._links = links
        self._left_bytes, self._left_packets = np.zeros(2, np.int64), np.zeros(2, np.int64)
        self._node, self._connection = new(Node), new(Connection)
        self._node.behaviour, self._connection.rules = squad.behaviour[0], squad.behaviour[0]["rules"]
        self._events = Events(squad.at_s, squad.what)
        self._rows = make_rows(messages + SPARE_ROWS)
        partition(self._link, squad.partitions_of(squad.first))
        rewind(self._link, scenario.seed, squad.first)
        switch_off(self._node, scenario.seed, squad.first)

    @property
    def _link(self) -> Link:
        return self._links[0]  # type: ignore[no-any-return]

    def go(self, until: float) -> Moment:
        """Run to `until`, s, and return the state there, before what the node itself has due at that moment.

        Raises:
            AnalysisError: it sends more than in the run, so it is not the same node.
        """
        until = min(until, self._duration_s)
        while run(self._node, self._connection, self._link, self._events, self._rows, until) < until:
            if self._rows.used[0] + MOST_ROWS_AT_ONCE >= len(self._rows.sent_s):
                raise AnalysisError("the node sends more than in the run")
            self._link.tunnel.noted = 0
            if self._node.ended:
                self._links[1] = self._links[0]
                follow(self._connection, self._links[1], self._rows, self._duration_s)
                self._left_bytes += self._links[1].sent_bytes - self._links[0].sent_bytes
                self._left_packets += self._links[1].sent_packets - self._links[0].sent_packets
        return self._moment(until)

    @property
    def sent_bytes(self) -> NDArray[np.int64]:
        """Bytes of the IP packets sent so far, up and down, with those of connections that the node has left."""
        return np.asarray(self._links[0].sent_bytes + self._left_bytes)

    @property
    def sent_packets(self) -> NDArray[np.int64]:
        """Number of these packets."""
        return np.asarray(self._links[0].sent_packets + self._left_packets)

    def steps(self, until: float) -> Iterator[Moment]:
        """Yield the state after each event up to `until`, s."""
        while (at := self._next_s()) < min(until, self._duration_s):
            yield self.go(nextafter(at, inf))

    def _next_s(self) -> float:
        at = float(next_due(self._node, self._events))
        return min(at, float(next_event(self._connection))) if self._node.has_stream else at

    def _moment(self, at_s: float) -> Moment:
        node, connection, link = self._node, self._connection, self._link
        up, has_stream = connection.up, bool(node.has_stream)
        return Moment(
            at_s=at_s,
            connected=has_stream and bool(node.is_ready and connection.state == conn.READY),
            connecting=has_stream and int(connection.state) in (conn.CONNECTING, conn.SETTLING),
            attempts=int(node.attempts),
            syns=int(connection.syns) if has_stream else 0,
            forgotten=bool(up.is_forgotten),
            hub_closed=bool(connection.hub_closed_s <= at_s),
            timeouts=int(up.retransmits),
            probed=bool(up.tlp_high_seq),
            backing_off_s=float(up.retrans_stamp_s) if up.retrans_stamp_s <= at_s and up.retransmits else inf,
            timer_s=float(up.timer_s),
            sent_s=float(up.last_sent_s),
            staged=int(link.tunnel.ends[UP].staged),
            arrives_s=_first_arrival(connection),
            pinging=bool(connection.pinging),
            on_the_way=_is_on_the_way(connection),
        )

    def repeats(self, recorded: Messages, pauses: tuple[tuple[float, float], ...] = ()) -> bool:
        """Return whether the node has sent, and the hub received, the same as in the record up to now.

        In a pause of the hub, (from, to) in s, arrivals are not compared: the record has them at its end.
        """
        used = int(self._rows.used[0])
        if used > len(recorded):
            return False
        for name in ("boot", "connection", "seq", "kind", "sent_s"):
            if not np.array_equal(getattr(self._rows, name)[:used], getattr(recorded, name)[:used]):
                return False
        arrived_s, then_s = self._rows.arrived_s[:used], recorded.arrived_s[:used]
        same = (arrived_s == then_s) | np.isnan(arrived_s)  # what has not arrived yet is not wrong
        for from_s, to_s in pauses:
            same |= (arrived_s >= from_s) & (arrived_s < to_s)
        return bool(same.all())


def _first_arrival(connection: Connection) -> float:
    up = connection.up
    return float(up.packets[up.wire_head % PACKETS].arrives_s) if up.wire_head < up.wire_tail else inf


def _is_on_the_way(connection: Connection) -> bool:
    """Return whether the last data, or the last SYN, is among the packets in flight or staged."""
    up = connection.up
    in_flight = [up.packets[i % PACKETS] for i in range(up.wire_head, up.wire_tail)]
    if connection.state == conn.CONNECTING:
        return any(packet.kind == SYN for packet in in_flight)
    return any(bool(packet.segment >= 0 and packet.left_s == up.last_sent_s) for packet in in_flight)


def has(squad: Squad, node: int) -> bool:
    """Return whether a node is of a squad."""
    return squad.first <= node < squad.first + squad.count


def only(squad: Squad, node: int) -> Squad:
    """Return the squad with one of its nodes alone."""
    place = node - squad.first
    events = slice(squad.begin[place], squad.begin[place + 1])
    return replace(
        squad,
        first=node,
        count=1,
        begin=squad.begin[place : place + 2] - squad.begin[place],
        at_s=squad.at_s[events],
        what=squad.what[events],
        partitions=tuple(replace(cut, hit=cut.hit[place : place + 1]) for cut in squad.partitions),
    )


@dataclass
class Reruns:
    """The nodes of a run that can be run again alone."""

    scenario: Scenario

    @cached_property
    def _squads(self) -> list[Squad]:
        return [squad for squad in squads(self.scenario) if not crew_size(squad)]

    def of(self, node: int, messages: int) -> Rerun | None:
        """Return a node's rerun, which sent about `messages` messages; None if it shares a queue with others."""
        squad = next((each for each in self._squads if has(each, node)), None)
        return None if squad is None else Rerun(self.scenario, only(squad, node), messages)
