"""A node over its modelled transport and link: its intents are carried out, its messages get rows.

`run` advances node, connection and link together up to a time and stops at each end of a stream. The caller decides
whether what is left of the old connection is followed at once (virtual engine) or as time goes by (live engine).

A file is written at once, in chunks, and what comes behind it waits for it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator import connection as conn
from heartbench.simulator import node as machine
from heartbench.simulator.connection import Connection
from heartbench.simulator.kernel import kernel, part
from heartbench.simulator.link import Link
from heartbench.simulator.node import Events, Node
from heartbench.simulator.stream import abort, advance, close, connect, forget, next_event, send
from heartbench.simulator.tcp.flow import MESSAGES
from heartbench.simulator.tunnel.wireguard import catch_up, move, resume
from heartbench.simulator.tunnel_state import NO_TUNNEL, NOTES

FILE_PIECE_BYTES = 65_536
MAX_FILE_PIECES = 128
MOST_ROWS_AT_ONCE = machine.MAX_WAITING_CHUNKS + MAX_FILE_PIECES  # behind a hello

FILE_PIECE = 13  # travels on the stream as the kinds there do; in the trace a chunk without a number, as to the hub
FILE_PIECE_OVERHEAD_BYTES = 80


class Rows(NamedTuple):
    """What a node sent, one row per message, in order; `used[0]` rows are in use. `arrived_s` is NaN until arrival."""

    used: NDArray[np.int64]
    boot: NDArray[np.int32]
    connection: NDArray[np.int32]
    seq: NDArray[np.int64]
    kind: NDArray[np.int8]
    sent_s: NDArray[np.float64]
    arrived_s: NDArray[np.float64]


def make_rows(capacity: int) -> Rows:
    """Return room for `capacity` messages."""
    return Rows(
        used=np.zeros(1, np.int64),
        boot=np.empty(capacity, np.int32),
        connection=np.empty(capacity, np.int32),
        seq=np.empty(capacity, np.int64),
        kind=np.empty(capacity, np.int8),
        sent_s=np.empty(capacity),
        arrived_s=np.empty(capacity),
    )


@kernel
def run(node: Node, connection: Connection, link: Link, events: Events, rows: Rows, until: float) -> float:
    """Run the node up to `until` and return it, or an earlier time if its stream has ended (`node.ended`).

    It also stops when the rows are full, or when the tunnel has so many notes that they have to be collected. After the
    end of a stream, the caller moves the old connection away or follows it to its end, and calls again.
    """
    node.ended = False
    while True:
        at = min(machine.next_due(node, events), until)
        if node.has_stream:
            before = connection.state
            reached = advance(connection, link, at)
            collect(connection, rows)
            if connection.state != before:
                _changed(node, connection, link, rows, reached)
                if node.ended:
                    return reached
                continue
        if at >= until:
            catch_up(link, at)
            return at
        if rows.used[0] + MOST_ROWS_AT_ONCE >= len(rows.sent_s) or link.tunnel.noted > NOTES // 2:
            return at
        _carry_out(machine.step(node, events, at), node, connection, link, rows, at)
        if node.ended:
            return at


@part
def collect(connection: Connection, rows: Rows) -> None:
    """Record in `rows` when messages arrived at the hub since the last call."""
    up = connection.up
    while connection.collected < up.delivered:
        message = up.log[connection.collected % MESSAGES]
        connection.collected += 1
        if message.tag >= 0:
            rows.arrived_s[message.tag] = message.delivered_s


@kernel
def follow(connection: Connection, link: Link, rows: Rows, until: float) -> bool:
    """Follow a connection that its node has left, up to `until`; return whether it is over."""
    while not conn.is_over(connection) and next_event(connection) <= until:
        advance(connection, link, next_event(connection))
        collect(connection, rows)
    return conn.is_over(connection)


@part
def _changed(node: Node, connection: Connection, link: Link, rows: Rows, at: float) -> None:
    """Report to the node that its connection has become ready, or is closed."""
    if connection.state == conn.READY:
        chunks, file = machine.connected(node)
        _send(node, connection, link, rows, conn.HELLO, conn.HELLO_BYTES, at)
        for _ in range(chunks):
            _send(node, connection, link, rows, conn.CHUNK, node.behaviour.chunk_bytes + conn.CHUNK_OVERHEAD_BYTES, at)
        if file:
            _send_file(node, connection, link, rows, at)
    elif connection.state == conn.CLOSED:
        machine.disconnected(node, at)


@part
def _carry_out(intent: int, node: Node, connection: Connection, link: Link, rows: Rows, at: float) -> None:
    if intent == machine.SEND_HEARTBEAT:
        kind = conn.HEARTBEAT_ASKING if node.behaviour.heartbeat_ack else conn.HEARTBEAT
        _send(node, connection, link, rows, kind, conn.HEARTBEAT_BYTES, at)
    elif intent == machine.SEND_CHUNK:
        _send(node, connection, link, rows, conn.CHUNK, node.behaviour.chunk_bytes + conn.CHUNK_OVERHEAD_BYTES, at)
    elif intent == machine.SEND_FILE:
        _send_file(node, connection, link, rows, at)
    elif intent == machine.CONNECT:
        connection.timer_phase_s = node.timer_phase_s
        resume(link, node.power_lost_s, at)
        connect(connection, link, at, max(node.retry_s, at + conn.CONNECT_TIMEOUT_S))
    elif intent == machine.POWER_OFF:
        close(connection, link, at, conn.POWER)
    elif intent == machine.EXIT_PROCESS:
        close(connection, link, at, conn.PROCESS)
    elif intent == machine.MOVE and link.profile.tunnel.kind != NO_TUNNEL:
        move(link, at)
    elif intent in (machine.FORGET, machine.MOVE):
        forget(connection)
    elif intent != machine.NOTHING:
        abort(connection, link, at, intent != machine.ABORT_AT_HUB, intent != machine.ABORT_AT_NODE)
        if connection.state == conn.CLOSED:
            machine.disconnected(node, at)


@kernel
def _send_file(node: Node, connection: Connection, link: Link, rows: Rows, at: float) -> None:
    left = node.behaviour.file_bytes
    while left > 0:
        size = min(left, FILE_PIECE_BYTES)
        left -= size
        _send(node, connection, link, rows, FILE_PIECE, size + FILE_PIECE_OVERHEAD_BYTES, at)


@part
def _send(node: Node, connection: Connection, link: Link, rows: Rows, kind: int, size: int, at: float) -> None:
    """Send a message and add a row for it, unless the stream has no room for it."""
    row = rows.used[0]
    if not send(connection, link, at, size, kind, row):
        return
    rows.used[0] += 1
    seq = 0
    if kind == conn.CHUNK:
        node.chunk_seq += 1
        seq = node.chunk_seq
    elif kind not in (conn.HELLO, FILE_PIECE):
        node.seq += 1
        seq = node.seq
    rows.boot[row] = node.boot
    rows.connection[row] = node.connection
    rows.seq[row] = seq
    rows.kind[row] = conn.HEARTBEAT if kind == conn.HEARTBEAT_ASKING else conn.CHUNK if kind == FILE_PIECE else kind
    rows.sent_s[row] = at
    rows.arrived_s[row] = np.nan
