"""The node's state machine: when it connects, what it sends, and what it does when a stream ends.

    start ──▶ connecting ──ready: Hello──▶ sending heartbeats and chunks on their schedule
                   ▲                               │
                   └── backoff ◀── stream ended ───┘          crash, exit ──▶ off ──▶ start, as another boot

`step(node, events, now)` returns an intent: CONNECT, one of SEND_HEARTBEAT, SEND_CHUNK and SEND_FILE, POWER_OFF or
EXIT_PROCESS, what the path does to its connection (ABORT and so on), or NOTHING. A transport carries it out (`session`)
and reports back by `connected` and `disconnected`.
The node knows neither its transport nor its link; its draws are its own.

A heartbeat that falls due without a stream is not sent; a chunk or a file waits for the next stream. A file that dies
with its connection is not sent again before the next is due.

Connecting follows gRPC (doc/connection-backoff.md, subchannel.cc): the backoff runs from the start of an attempt, and
the attempt itself may take as long, but at least 20 s. After a failure the next attempt starts when the backoff is
over, or at once if it already is. An attempt succeeds when the hub's SETTINGS arrive; that resets the backoff, and a
connection that drops later is dialled again at once.
"""

from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator import counter_rng
from heartbench.simulator.connection import Rules
from heartbench.simulator.counter_rng import Purpose
from heartbench.simulator.kernel import kernel, part
from heartbench.simulator.record import Record, dtype_of, new, resetter
from heartbench.simulator.tcp.timers import MAX_PHASE_S

# What can happen to a node from outside.
START, CRASH, EXIT = 0, 1, 2
# And to its connection: RST at both ends or one, a path that forgets it, another address of the node.
RESET, RESET_AT_NODE, RESET_AT_HUB, HALF_OPEN, REBIND = 3, 4, 5, 6, 7

# What a node wants its transport to do.
NOTHING, CONNECT, SEND_HEARTBEAT, SEND_CHUNK, SEND_FILE, POWER_OFF, EXIT_PROCESS = range(7)
# What happens to its connection, in the order of the events.
ABORT, ABORT_AT_NODE, ABORT_AT_HUB, FORGET, MOVE = range(7, 12)

MAX_WAITING_CHUNKS = 150  # of output made without a stream: what a hub would keep


class Behaviour(Record):
    """What all nodes of a group have in common."""

    heartbeat_interval_s: float
    heartbeat_jitter: float  # each interval is uniform within ± this part of itself
    heartbeat_ack: bool
    chunk_interval_s: float  # 0: no terminal output
    chunk_bytes: int
    file_interval_s: float  # 0: no files
    file_spread_s: float  # the first is due within this time after the start
    file_bytes: int
    move_mean_s: float  # mean time between two changes of its address; 0: there are none
    separate_uploads: bool  # chunks and files go over a connection of their own (`engines.turns`)
    backoff_initial_s: float
    backoff_multiplier: float
    backoff_jitter: float
    backoff_max_s: float
    rules: Rules


class Node(Record):
    """The state of one node."""

    behaviour: Behaviour
    is_on: bool = False
    has_stream: bool = False  # a connection is being made or there
    ended: bool = False  # the stream has just ended: `session.run` stopped for it
    boot: int = 0
    connection: int = 0  # number of the present one, within the boot
    seq: int = 0
    chunk_seq: int = 0
    waiting_chunks: int = 0
    heartbeat_s: float = inf  # when the next one is due
    chunk_s: float = inf
    file_s: float = inf
    move_s: float = inf  # when its address changes next, whether it is on or not
    moves: int = 0
    file_waits: bool = False  # for a stream
    connect_s: float = inf  # when to connect next; inf: not
    retry_s: float  # when the backoff of the present attempt is over
    is_ready: bool = False  # the present connection has succeeded
    is_refused: bool = False  # a real hub could not be reached or turned the node away: no success after all
    attempts: int = 0  # since the last success
    ticks: int = 0  # heartbeats scheduled since the first start: counts their draws
    waits: int = 0  # backoffs drawn since the first start
    heartbeat_draws: np.uint64
    chunk_draws: np.uint64
    file_draws: np.uint64
    backoff_draws: np.uint64
    move_draws: np.uint64
    timer_phase_s: float  # of its kernel, see `tcp.timers.fires`
    event: int = 0  # position in its list of events
    power_lost_s: float = -inf  # when it last crashed


BEHAVIOUR, NODE = dtype_of(Behaviour), dtype_of(Node)
_reset = resetter(Node)


class Events(NamedTuple):
    """What happens to one node and its connection, in order: START, CRASH and so on, each at a time in s."""

    at_s: NDArray[np.float64]
    what: NDArray[np.int64]


def make_node(behaviour: NDArray[np.void], seed: int, number: int) -> Node:
    """Return node `number`, with `behaviour`, an array of one BEHAVIOUR; it is off until an event starts it."""
    node = new(Node)
    node.behaviour = behaviour[0]
    switch_off(node, seed, number)
    return node


@kernel
def switch_off(node: Node, seed: int, number: int) -> None:
    """Reset `node` to node `number` before its first start."""
    _reset(node)
    node.heartbeat_draws = counter_rng.key(seed, number, Purpose.HEARTBEAT)
    node.chunk_draws = counter_rng.key(seed, number, Purpose.CHUNK)
    node.file_draws = counter_rng.key(seed, number, Purpose.FILE)
    node.backoff_draws = counter_rng.key(seed, number, Purpose.BACKOFF)
    node.move_draws = counter_rng.key(seed, number, Purpose.MOVE)
    schedule_move(node, 0.0)
    node.timer_phase_s = counter_rng.uniform(counter_rng.key(seed, number, Purpose.TIMER_PHASE), 0) * MAX_PHASE_S


@part
def next_due(node: Node, events: Events) -> float:
    """Return when `step` is due next, in s."""
    at = min(node.heartbeat_s, node.chunk_s, node.file_s, node.move_s)
    if not node.has_stream:
        at = min(at, node.connect_s)
    if node.event < len(events.at_s):
        at = min(at, events.at_s[node.event])
    return at


@part
def step(node: Node, events: Events, now: float) -> int:
    """Process what is due at `now` and return the node's intent."""
    if node.event < len(events.at_s) and events.at_s[node.event] <= now:
        node.event += 1
        return _happens(node, events.what[node.event - 1], now)
    if node.move_s <= now:
        schedule_move(node, now)
        return MOVE
    is_connected = node.has_stream and node.is_ready
    if node.heartbeat_s <= now:
        _schedule_heartbeat(node, now)
        return SEND_HEARTBEAT if is_connected else NOTHING
    if node.chunk_s <= now:
        node.chunk_s = now + node.behaviour.chunk_interval_s
        if is_connected:
            return SEND_CHUNK
        node.waiting_chunks = min(node.waiting_chunks + 1, MAX_WAITING_CHUNKS)
        return NOTHING
    if node.file_s <= now:
        node.file_s = now + node.behaviour.file_interval_s
        node.file_waits = not is_connected
        return SEND_FILE if is_connected else NOTHING
    _dial(node, now)
    return CONNECT


@part
def connected(node: Node) -> tuple[int, bool]:
    """Record that the connection is ready; return how many chunks, and whether a file, have waited for it."""
    chunks, file = node.waiting_chunks, node.file_waits
    node.is_ready = True
    node.waiting_chunks = 0
    node.file_waits = False
    return chunks, file


@kernel
def disconnected(node: Node, now: float) -> None:
    """Schedule the next attempt: at once after a connection that had succeeded, else when the backoff is over."""
    if node.is_ready and not node.is_refused:
        node.attempts = 0
        node.connect_s = now
    else:
        node.connect_s = max(now, node.retry_s)
    node.connection += 1
    node.has_stream = False
    node.ended = True


@part
def _happens(node: Node, what: int, now: float) -> int:
    if what == START:
        if not node.is_on:
            _start(node, now)
        return NOTHING
    if what >= RESET:
        return ABORT + what - RESET if node.has_stream or what == REBIND else NOTHING
    if not node.is_on:
        return NOTHING
    node.is_on = False
    if what == CRASH:
        node.power_lost_s = now
    node.heartbeat_s = node.chunk_s = node.file_s = node.connect_s = inf
    if not node.has_stream:
        return NOTHING
    node.has_stream = False
    node.ended = True
    return POWER_OFF if what == CRASH else EXIT_PROCESS


@kernel
def _start(node: Node, now: float) -> None:
    b = node.behaviour
    node.is_on = True
    node.boot += 1
    node.connection = node.seq = node.chunk_seq = node.waiting_chunks = node.attempts = 0
    node.file_waits = False
    node.connect_s = now
    _schedule_heartbeat(node, now)
    if b.chunk_interval_s > 0.0:
        node.chunk_s = now + b.chunk_interval_s * counter_rng.uniform(node.chunk_draws, node.boot)
    if b.file_interval_s > 0.0:
        node.file_s = now + b.file_spread_s * counter_rng.uniform(node.file_draws, node.boot)


@kernel
def _dial(node: Node, now: float) -> None:
    """Begin an attempt, and with it its backoff."""
    b = node.behaviour
    wait = min(b.backoff_initial_s * b.backoff_multiplier**node.attempts, b.backoff_max_s)
    draw = counter_rng.uniform(node.backoff_draws, node.waits)
    node.retry_s = now + wait * (1.0 + b.backoff_jitter * (2.0 * draw - 1.0))
    node.waits += 1
    node.attempts += 1
    node.connect_s = inf
    node.is_ready = node.is_refused = False
    node.has_stream = True


@part
def _schedule_heartbeat(node: Node, now: float) -> None:
    b = node.behaviour
    draw = counter_rng.uniform(node.heartbeat_draws, node.ticks)
    node.ticks += 1
    node.heartbeat_s = now + b.heartbeat_interval_s * (1.0 + b.heartbeat_jitter * (2.0 * draw - 1.0))


@part
def schedule_move(node: Node, now: float) -> None:
    """Draw when the node's address changes next."""
    if node.behaviour.move_mean_s > 0.0:
        node.move_s = now + counter_rng.exponential(node.move_draws, node.moves) * node.behaviour.move_mean_s
        node.moves += 1
