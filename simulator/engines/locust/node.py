"""One node in the model, with its real connections: what a shard of the live engine is for many nodes.

Its outages are those of its link (`simulator.link`), drawn from the seed and the number of the member.

Its Locust user advances it to the present time and learns when its next event is due; what the model asks for is done
for real. The hub's answers reach the node in the model. Of the real answers only their time counts, and an end that the
node did not ask for: the node then stays away as long as the model, or the hub, asks, and connects again.
"""

import time
from collections.abc import Callable
from functools import partial
from math import inf

import numpy as np

from heartbench.mesh.kinds import Kind
from heartbench.mesh.v1.mesh_pb2 import NodeMessage
from heartbench.simulator.engines.live.messages import message_of
from heartbench.simulator.engines.live.world import CLOSED, OPENED, Loss, Model, World, make_world
from heartbench.simulator.engines.locust.fleet import Member
from heartbench.simulator.engines.locust.grpc_connection import NodeConnection, Report
from heartbench.simulator.node import RESET, START
from heartbench.simulator.tcp.flow import MESSAGES

ROWS = 1024
Connect = Callable[[str, Callable[[Loss], None], Report], NodeConnection]


def world_of(member: Member, nodes: int, now_s: float) -> World:
    """Return the world of a node that joins at `now_s` of the test; its earlier events are dropped."""
    world = make_world(member.squads, member.seed, member.number, nodes)
    to_come = world.at_s > now_s
    at_s, what = world.at_s[to_come], world.what[to_come]
    turns = what[what < RESET]  # of the node itself
    if not len(turns) or turns[0] != START:
        at_s, what = np.append(now_s, at_s), np.append(START, what)
    world.next_s[0] = at_s[0]
    return world._replace(at_s=at_s, what=what, begin=np.array([0, len(at_s)]))


class Node:
    """A node from the time its user joins until it leaves.

    Args:
        member: which node it is.
        nodes: number of nodes in the fleet.
        origin_s: time 0 of the test on the monotonic clock.
        connect: opens a real connection of the node with this name.
        report: receives how long each answer took.
    """

    def __init__(self, member: Member, nodes: int, origin_s: float, connect: Connect, report: Report):
        self._member = member
        self._origin_s = origin_s
        self._connect = connect
        self._report = report
        self._now_s = self._clock_s()
        self._unix_s = time.time() - self._now_s
        self._boot_base = int(time.time() * 1000) << 16  # greater than any of an earlier test
        self._model = Model(world_of(member, nodes, self._now_s), ROWS, 2 * MESSAGES)
        self._due_s = -inf  # when the model's next event is due
        self._number = -1  # of the connection in use
        self._connection: NodeConnection | None = None

    def step(self) -> float:
        """Do what is due; return in how many seconds the next event is due."""
        self._now_s = max(self._now_s, self._clock_s())
        if self._now_s >= self._due_s:
            self._due_s = self._model.advance(self._now_s)
            self._carry_out()
        return self._due_s - self._clock_s()

    def leave(self) -> None:
        """Send the hub a Goodbye; return when the connection is closed."""
        if self._connection:
            self._connection.leave()

    def _clock_s(self) -> float:
        return time.monotonic() - self._origin_s

    def _carry_out(self) -> None:
        for what, number, _, row in self._model.take_actions():
            if what == OPENED:
                self._open(number)
            elif self._connection and number == self._number:
                if what == CLOSED:
                    self._connection.close()
                    self._connection = None
                else:
                    self._send(self._connection, row)

    def _open(self, number: int) -> None:
        if self._connection:  # the hub has not yet seen the end of the old one
            self._connection.close()
        self._number = number
        self._connection = self._connect(self._member.name, partial(self._lost, number), self._report)

    def _lost(self, number: int, loss: Loss) -> None:
        if number == self._number:
            self._connection = None
        if self._model.end_stream(0, number, loss, self._now_s):
            self._due_s = -inf

    def _send(self, connection: NodeConnection, row: int) -> None:
        rows = self._model.sent.rows
        message = message_of(rows, row, self._member.name, self._member.group, self._boot_base, self._unix_s)
        if int(rows.kind[row]) == Kind.HEARTBEAT:
            self._report("link", "heartbeat", float(rows.arrived_s[row] - rows.sent_s[row]), None)
        if isinstance(message, NodeMessage):
            connection.send(message)
        else:
            connection.upload(message)
