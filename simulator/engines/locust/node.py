"""One node in the model, and its real connections: what the live engine does for a shard, for a single node.

It is advanced to the present time by its user, says when something is due next, and does for real what the model says.
The hub's answers reach the node in the model; of the real ones only their time counts, and an end that was not asked
for: the node then stays away as the model, or the hub, says, and connects again.
"""

import time
from collections.abc import Callable
from math import inf, isnan
from typing import Any

import numpy as np

from heartbench.mesh.v1.mesh_pb2 import Chunk, Heartbeat, Hello, NodeMessage
from heartbench.simulator.connection import CHUNK, HEARTBEAT
from heartbench.simulator.engines.live.world import (
    CLOSED,
    OPENED,
    World,
    advance,
    grow,
    make_actions,
    make_sent,
    make_world,
)
from heartbench.simulator.engines.locust.fleet import Member
from heartbench.simulator.engines.locust.grpc_connection import Report, Wire
from heartbench.simulator.node import START
from heartbench.simulator.tcp.flow import MESSAGES

ROWS = 1024
Connect = Callable[[str], Wire]


def world_of(member: Member, nodes: int, now_s: float) -> World:
    """Return the world of a node that joins at `now_s` of the test; its earlier events are dropped."""
    world = make_world(member.squads, member.seed, member.number, nodes)
    to_come = world.at_s > now_s
    at_s, what = world.at_s[to_come], world.what[to_come]
    if not len(what) or what[0] != START:
        at_s, what = np.append(now_s, at_s), np.append(START, what)
    world.next_s[0] = at_s[0]
    return world._replace(at_s=at_s, what=what, begin=np.array([0, len(at_s)]))


class Node:
    """A node from when its user joins to when it leaves.

    Args:
        member: which node it is.
        nodes: how many the fleet has.
        origin_s: time 0 of the test on the monotonic clock.
        connect: makes a real connection for a node of this name.
        report: is told how long what took.
    """

    def __init__(self, member: Member, nodes: int, origin_s: float, connect: Callable[..., Wire], report: Report):
        self._member = member
        self._origin_s = origin_s
        self._connect = connect
        self._report = report
        self._now_s = self._clock_s()
        self._unix_s = time.time() - self._now_s
        self._boot_base = int(time.time() * 1000) << 16  # greater than any of an earlier test
        self._world = world_of(member, nodes, self._now_s)
        self._sent = make_sent(ROWS)
        self._actions = make_actions(2 * MESSAGES)
        self._output = bytes(member.group.chunk_bytes)
        self._due_s = -inf  # when something happens in the model next
        self._number = -1  # of the wire in use
        self._wire: Wire | None = None

    def step(self) -> float:
        """Do what is due; return when something is due next, s from now."""
        self._now_s = max(self._now_s, self._clock_s())
        if self._now_s >= self._due_s:
            self._advance()
            self._carry_out()
        return self._due_s - self._clock_s()

    def leave(self) -> None:
        """Say goodbye to the hub, and return when it has heard."""
        if self._wire:
            self._wire.close(goodbye=True)
            self._wire.join()

    def _advance(self) -> None:
        while isnan(soonest := advance(self._world, self._sent, self._actions, self._now_s)):
            self._world, self._sent, self._actions = grow(self._world, self._sent, self._actions)
        self._due_s = float(soonest)

    def _clock_s(self) -> float:
        return time.monotonic() - self._origin_s

    def _carry_out(self) -> None:
        count = int(self._actions.used[0])
        columns: Any = (
            column[:count].tolist() for column in (self._actions.what, self._actions.wire, self._actions.row)
        )
        for what, number, row in zip(*columns, strict=True):
            if what == OPENED:
                self._open(number)
            elif self._wire and number == self._number:
                if what == CLOSED:
                    self._wire.close()
                    self._wire = None
                else:
                    self._say(self._wire, row)
        self._actions.used[0] = 0

    def _open(self, number: int) -> None:
        if self._wire:  # the hub has not yet seen the end of the old one
            self._wire.close()
        self._number = number
        self._wire = self._connect(self._member.name, self._lost(number), self._report)

    def _lost(self, number: int) -> Callable[[float, bool], None]:
        def lost(away_s: float, refused: bool) -> None:
            if number == self._number:
                self._wire = None
            if self._world.ties.wire[0] == number:  # else the node has left that connection already
                self._world.cut[0] = True
                self._world.nodes.is_refused[0] = refused
                self._world.away_s[0] = away_s
                self._world.next_s[0] = min(self._world.next_s[0], self._now_s)
                self._due_s = -inf

        return lost

    def _say(self, wire: Wire, row: int) -> None:
        rows, group = self._sent.rows, self._member.group
        kind, seq, boot = int(rows.kind[row]), int(rows.seq[row]), self._boot_base + int(rows.boot[row])
        sent_unix_s = self._unix_s + float(rows.sent_s[row])
        if kind == CHUNK:
            wire.put_out(Chunk(boot_id=boot, seq=seq, sent_unix_s=sent_unix_s, data=self._output))
        elif kind == HEARTBEAT:
            self._report("link", "heartbeat", float(rows.arrived_s[row] - rows.sent_s[row]))
            wire.say(NodeMessage(heartbeat=Heartbeat(seq=seq, sent_unix_s=sent_unix_s, ack=True)))
        else:
            hello = Hello(
                node_id=self._member.name,
                boot_id=boot,
                connection=int(rows.connection[row]),
                heartbeat_interval_s=group.heartbeat_interval_s,
                sent_unix_s=sent_unix_s,
                labels={"group": group.name},
            )
            wire.say(NodeMessage(hello=hello))
