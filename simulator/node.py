"""What a node does, without doing it: when it connects, what it sends, and what it does when a stream ends.

    start ──▶ connecting ──ready: Hello──▶ sending heartbeats and chunks on their schedule
                   ▲                               │
                   └── backoff ◀── stream ended ───┘          crash, exit ──▶ off ──▶ start, as another boot

A heartbeat that falls due without a stream is not sent; a chunk or a file waits for the next stream. A file is written
at once, in pieces, and what comes behind it waits for it; one that dies with its connection is not sent again before
the next is due.

Connecting follows gRPC (doc/connection-backoff.md, subchannel.cc): the backoff runs from the start of an attempt, and
the attempt itself may take as long, but at least 20 s. After a failure the next attempt starts when the backoff is
over, or at once if it already is. An attempt succeeds when the hub's SETTINGS arrive; that resets the backoff, and a
connection that drops later is dialled again at once.

`run` drives node, connection and link together up to a time and stops at each end of a stream; who calls it decides
whether what is left of the old connection is followed at once (virtual engine) or as time goes by (live engine).
"""

from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator import counter_rng
from heartbench.simulator.counter_rng import Purpose
from heartbench.simulator.kernel import kernel, part
from heartbench.simulator.link import Record
from heartbench.simulator.stream import (
    CHUNK,
    CHUNK_OVERHEAD_BYTES,
    CLOSED,
    CONNECT_TIMEOUT_S,
    HEARTBEAT,
    HEARTBEAT_ASKING,
    HEARTBEAT_BYTES,
    HELLO,
    HELLO_BYTES,
    POWER,
    PROCESS,
    READY,
    RULES,
    advance,
    close,
    connect,
    is_over,
    next_event,
    send,
)
from heartbench.simulator.tcp.flow import MESSAGES

# What can happen to a node from outside.
START, CRASH, EXIT = 0, 1, 2

MAX_WAITING_CHUNKS = 150  # of output made without a stream: what a hub would keep
FILE_PIECE_BYTES = 65_536
MAX_FILE_PIECES = 128
MOST_ROWS_AT_ONCE = MAX_WAITING_CHUNKS + MAX_FILE_PIECES  # behind a hello

FILE_PIECE = 13  # travels on the stream as the kinds there do; in the trace a chunk without a number, as to the hub
FILE_PIECE_OVERHEAD_BYTES = 80

# What all nodes of a group have in common.
BEHAVIOUR = np.dtype(
    [
        ("heartbeat_interval_s", "f8"),
        ("heartbeat_jitter", "f8"),  # each interval is uniform within ± this part of itself
        ("heartbeat_ack", "?"),
        ("chunk_interval_s", "f8"),  # 0: no terminal output
        ("chunk_bytes", "i8"),
        ("file_interval_s", "f8"),  # 0: no files
        ("file_bytes", "i8"),
        ("backoff_initial_s", "f8"),
        ("backoff_multiplier", "f8"),
        ("backoff_jitter", "f8"),
        ("backoff_max_s", "f8"),
        ("rules", RULES),
    ]
)
NODE = np.dtype(
    [
        ("behaviour", BEHAVIOUR),
        ("is_on", "?"),
        ("has_stream", "?"),  # a connection is being made or there
        ("ended", "?"),  # the stream has just ended: `run` stopped for it
        ("boot", "i8"),
        ("connection", "i8"),  # number of the present one, within the boot
        ("seq", "i8"),
        ("chunk_seq", "i8"),
        ("waiting_chunks", "i8"),
        ("heartbeat_s", "f8"),  # when the next one is due
        ("chunk_s", "f8"),
        ("file_s", "f8"),
        ("file_waits", "?"),  # for a stream
        ("connect_s", "f8"),  # when to connect next; inf: not
        ("retry_s", "f8"),  # when the backoff of the present attempt is over
        ("is_ready", "?"),  # the present connection has succeeded
        ("is_refused", "?"),  # by a real hub that could not be reached or turned the node away: no success after all
        ("attempts", "i8"),  # since the last success
        ("ticks", "i8"),  # heartbeats scheduled since the first start: counts their draws
        ("waits", "i8"),  # backoffs drawn since the first start
        ("backoff_draws", "u8"),
        ("event", "i8"),  # position in its list of what happens to it
    ],
    align=True,
)


class Rows(NamedTuple):
    """What a node sent, a row a message, in order; `used[0]` rows are in use. `arrived_s` is NaN until it arrives."""

    used: NDArray[np.int64]
    boot: NDArray[np.int32]
    connection: NDArray[np.int32]
    seq: NDArray[np.int64]
    kind: NDArray[np.int8]
    sent_s: NDArray[np.float64]
    arrived_s: NDArray[np.float64]


class Events(NamedTuple):
    """What happens to one node and when, in order: START, CRASH or EXIT at a time in s."""

    at_s: NDArray[np.float64]
    what: NDArray[np.int64]


def make_rows(capacity: int) -> Rows:
    """Make room for so many messages."""
    return Rows(
        used=np.zeros(1, np.int64),
        boot=np.empty(capacity, np.int32),
        connection=np.empty(capacity, np.int32),
        seq=np.empty(capacity, np.int64),
        kind=np.empty(capacity, np.int8),
        sent_s=np.empty(capacity),
        arrived_s=np.empty(capacity),
    )


def make_node(behaviour: NDArray[np.void]) -> Record:
    """Make a node of `behaviour`, an array of one BEHAVIOUR; it is off until an event starts it."""
    node = np.zeros(1, NODE).view(np.recarray)[0]
    node.behaviour = behaviour[0]
    switch_off(node)
    return node


@kernel
def switch_off(node: Record) -> None:
    """Forget all that a node knew: as before its first start."""
    node.is_on = node.has_stream = node.ended = False
    node.boot = node.connection = node.seq = node.chunk_seq = node.waiting_chunks = 0
    node.heartbeat_s = node.chunk_s = node.file_s = node.connect_s = inf
    node.file_waits = False
    node.attempts = node.ticks = node.waits = node.event = 0


@part
def next_own(node: Record, events: Events) -> float:
    """Give when the node itself does something next, or something happens to it, s."""
    at = min(node.heartbeat_s, node.chunk_s, node.file_s)
    if not node.has_stream:
        at = min(at, node.connect_s)
    if node.event < len(events.at_s):
        at = min(at, events.at_s[node.event])
    return at


@kernel
def run(node: Record, connection: Record, link: Record, events: Events, rows: Rows, until: float) -> float:
    """Let the node live up to `until`; return that, or sooner where its stream has ended (`node.ended`).

    It also stops where the rows are full. After an end, the caller takes the old connection away or follows it to its
    end, and calls again.
    """
    node.ended = False
    while True:
        at = min(next_own(node, events), until)
        if node.has_stream:
            before = connection.state
            reached = advance(connection, link, at)
            collect(connection, rows)
            if connection.state != before:
                _changed(node, connection, link, rows, reached)
                if node.ended:
                    return reached
                continue
        if at >= until or rows.used[0] + MOST_ROWS_AT_ONCE >= len(rows.sent_s):
            return at
        _act(node, connection, link, events, rows, at)
        if node.ended:
            return at


@part
def collect(connection: Record, rows: Rows) -> None:
    """Note in `rows` when messages arrived at the hub since the last call."""
    up = connection.up
    while connection.collected < up.delivered:
        message = up.log[connection.collected % MESSAGES]
        connection.collected += 1
        if message.tag >= 0:
            rows.arrived_s[message.tag] = message.delivered_s


@kernel
def follow(connection: Record, link: Record, rows: Rows, until: float) -> bool:
    """Follow a connection that its node has left, up to `until`; say whether nothing more can come of it."""
    while not is_over(connection) and next_event(connection) <= until:
        advance(connection, link, next_event(connection))
        collect(connection, rows)
    return is_over(connection)


@part
def _changed(node: Record, connection: Record, link: Record, rows: Rows, at: float) -> None:
    """The connection has become ready, or is closed."""
    if connection.state == READY:
        node.is_ready = True
        _send(node, connection, link, rows, HELLO, HELLO_BYTES, at)
        for _ in range(node.waiting_chunks):
            _send(node, connection, link, rows, CHUNK, node.behaviour.chunk_bytes + CHUNK_OVERHEAD_BYTES, at)
        node.waiting_chunks = 0
        if node.file_waits:
            _send_file(node, connection, link, rows, at)
    elif connection.state == CLOSED:
        _stream_ended(node, at)


@kernel
def _stream_ended(node: Record, at: float) -> None:
    """Plan the next attempt: at once after a connection that had succeeded, else when the backoff is over."""
    if node.is_ready and not node.is_refused:
        node.attempts = 0
        node.connect_s = at
    else:
        node.connect_s = max(at, node.retry_s)
    node.connection += 1
    node.has_stream = False
    node.ended = True


@part
def _act(node: Record, connection: Record, link: Record, events: Events, rows: Rows, at: float) -> None:
    """Do what the node does at `at`, or what happens to it."""
    if node.event < len(events.at_s) and events.at_s[node.event] <= at:
        what = events.what[node.event]
        node.event += 1
        if what == START and not node.is_on:
            _start(node, link, at)
        elif what != START and node.is_on:
            _stop(node, connection, link, what, at)
    elif node.heartbeat_s <= at:
        kind = HEARTBEAT_ASKING if node.behaviour.heartbeat_ack else HEARTBEAT
        if node.has_stream and connection.state == READY:
            _send(node, connection, link, rows, kind, HEARTBEAT_BYTES, at)
        _schedule_heartbeat(node, link, at)
    elif node.chunk_s <= at:
        node.chunk_s = at + node.behaviour.chunk_interval_s
        if node.has_stream and connection.state == READY:
            _send(node, connection, link, rows, CHUNK, node.behaviour.chunk_bytes + CHUNK_OVERHEAD_BYTES, at)
        else:
            node.waiting_chunks = min(node.waiting_chunks + 1, MAX_WAITING_CHUNKS)
    elif node.file_s <= at:
        node.file_s = at + node.behaviour.file_interval_s
        node.file_waits = True
        if node.has_stream and connection.state == READY:
            _send_file(node, connection, link, rows, at)
    else:
        _dial(node, connection, link, at)


@kernel
def _dial(node: Record, connection: Record, link: Record, at: float) -> None:
    """Begin an attempt, and with it its backoff."""
    b = node.behaviour
    wait = min(b.backoff_initial_s * b.backoff_multiplier**node.attempts, b.backoff_max_s)
    draw = counter_rng.uniform(node.backoff_draws, node.waits)
    node.retry_s = at + wait * (1.0 + b.backoff_jitter * (2.0 * draw - 1.0))
    node.waits += 1
    node.attempts += 1
    node.connect_s = inf
    node.is_ready = node.is_refused = False
    node.has_stream = True
    connect(connection, link, at, max(node.retry_s, at + CONNECT_TIMEOUT_S))


@kernel
def _start(node: Record, link: Record, at: float) -> None:
    node.is_on = True
    node.boot += 1
    node.connection = node.seq = node.chunk_seq = node.waiting_chunks = node.attempts = 0
    node.file_waits = False
    node.connect_s = at
    node.backoff_draws = link.draws[Purpose.BACKOFF]
    _schedule_heartbeat(node, link, at)
    if node.behaviour.chunk_interval_s > 0.0:
        node.chunk_s = at + node.behaviour.chunk_interval_s * counter_rng.uniform(link.draws[Purpose.CHUNK], node.boot)
    if node.behaviour.file_interval_s > 0.0:
        node.file_s = at + node.behaviour.file_interval_s * counter_rng.uniform(link.draws[Purpose.FILE], node.boot)


@kernel
def _stop(node: Record, connection: Record, link: Record, what: int, at: float) -> None:
    node.is_on = False
    node.heartbeat_s = node.chunk_s = node.file_s = node.connect_s = inf
    if node.has_stream:
        close(connection, link, at, POWER if what == CRASH else PROCESS)
        node.has_stream = False
        node.ended = True


@part
def _schedule_heartbeat(node: Record, link: Record, at: float) -> None:
    b = node.behaviour
    draw = counter_rng.uniform(link.draws[Purpose.HEARTBEAT], node.ticks)
    node.ticks += 1
    node.heartbeat_s = at + b.heartbeat_interval_s * (1.0 + b.heartbeat_jitter * (2.0 * draw - 1.0))


@kernel
def _send_file(node: Record, connection: Record, link: Record, rows: Rows, at: float) -> None:
    node.file_waits = False
    left = node.behaviour.file_bytes
    while left > 0:
        size = min(left, FILE_PIECE_BYTES)
        left -= size
        _send(node, connection, link, rows, FILE_PIECE, size + FILE_PIECE_OVERHEAD_BYTES, at)


@part
def _send(node: Record, connection: Record, link: Record, rows: Rows, kind: int, size: int, at: float) -> None:
    """Send a message and give it a row, unless the stream has no room for it."""
    row = rows.used[0]
    if not send(connection, link, at, size, kind, row):
        return
    rows.used[0] += 1
    seq = 0
    if kind == CHUNK:
        node.chunk_seq += 1
        seq = node.chunk_seq
    elif kind not in (HELLO, FILE_PIECE):
        node.seq += 1
        seq = node.seq
    rows.boot[row] = node.boot
    rows.connection[row] = node.connection
    rows.seq[row] = seq
    rows.kind[row] = HEARTBEAT if kind == HEARTBEAT_ASKING else CHUNK if kind == FILE_PIECE else kind
    rows.sent_s[row] = at
    rows.arrived_s[row] = np.nan
