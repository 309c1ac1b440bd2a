"""A gRPC connection of a node to the hub, on its link: a step machine with three verbs.

    send(connection, link, at, size, kind, tag)   the node writes a message
    advance(connection, link, until)              deliveries and closes up to a time; stops where the node has to decide
    close(connection, link, at, how)              the node goes: its process ends, or its power

    CONNECTING ──SYN-ACK──▶ SETTLING ──SETTINGS──▶ READY
         └──────────┬──────────┴──────────┬──────────┘
        end of the attempt        user timeout · ping timeout · reset ──▶ closed

Each end sees its own close at its own time (`node_closed_s`, `hub_closed_s`; NaN while open): an end that gives up
tells the other only if a packet of the other finds it gone, or if its process ended and the kernel still delivers what
was written, and FIN behind it.

What the hub answers is part of the stream, because it takes the same way: SETTINGS at once, Welcome to Hello, an
acknowledgement to a heartbeat that asks, PING to PING. Times are s; sizes are bytes of TCP payload.
The hub's process may be away for a time (`hub_state`).
"""

from math import inf, isnan, nan

import numpy as np
from numpy.typing import NDArray

from heartbench.mesh.kinds import Kind
from heartbench.simulator import counter_rng
from heartbench.simulator.counter_rng import Purpose
from heartbench.simulator.hub_state import HUB, HUB_DOWN, HUB_RUNS, find_hub, refuses
from heartbench.simulator.kernel import kernel, part
from heartbench.simulator.link import DOWN, UP, Record
from heartbench.simulator.tcp.flow import FLOW, MESSAGES, PACKETS, RESET, SYN, SYN_ACK, TICK_S, reset, write
from heartbench.simulator.tcp.receiver import receive
from heartbench.simulator.tcp.sender import acknowledge, emit, expire, has_due, kill
from heartbench.simulator.tcp.timers import fires, sample

CONNECT_TIMEOUT_S = 20.0  # gRPC's least time for an attempt (connection-backoff.md)
SYN_TIMEOUT_S = 1.0  # RFC 6298, 2.1; four more at the same distance (tcp_syn_linear_timeouts = 4), then doubled
SYN_LINEAR = 4
SYN_RETRIES = 10  # tcp_syn_retries = 6 beside the linear ones: the kernel gives up after 131 s


# How far a connection has come, as the node sees it.
CONNECTING, SETTLING, READY, CLOSED = range(4)

# What travels on a stream; the first four are the kinds of the trace.
HELLO, HEARTBEAT, CHUNK, GOODBYE = (int(kind) for kind in Kind)
HEARTBEAT_ASKING = 4  # a heartbeat that wants an acknowledgement
PREFACE, PING, FIN = 5, 6, 7
SETTINGS, WELCOME, HEARTBEAT_ACK, PONG = 8, 9, 10, 11

# How a node leaves. PROCESS: the kernel closes, what was written is still delivered, then FIN. POWER: silence.
PROCESS, POWER = 0, 1

# HTTP/2 frame headers (9), gRPC prefix (5) and the message itself; hello and welcome come with headers of their own.
HELLO_BYTES = 260
HEARTBEAT_BYTES = 34
CHUNK_OVERHEAD_BYTES = 48
PREFACE_BYTES = 100
PING_BYTES = 17
SETTINGS_BYTES = 60
WELCOME_BYTES = 120
HEARTBEAT_ACK_BYTES = 32

# gRPC and TCP settings of a node and of the hub it talks to.
RULES = np.dtype(
    [
        ("keepalive_time_s", "f8"),  # ping after so long without anything received; 0: off
        ("ping_timeout_s", "f8"),  # close where a ping is not answered by then
        ("user_timeout_s", "f8"),  # TCP_USER_TIMEOUT of the node; 0: none
        ("hub_user_timeout_s", "f8"),  # and of the hub
        ("hub", HUB),
    ]
)

# One TCP connection with HTTP/2 on it, as both ends and the wire between them know it.
CONNECTION = np.dtype(
    [
        ("state", "i8"),
        ("deadline_s", "f8"),  # when an attempt that has not succeeded ends
        ("syns", "i8"),
        ("syn_timer_s", "f8"),
        ("hub_state", "i8"),
        ("hub_changes_s", "f8"),  # when that changes next
        ("hub_has_syn", "?"),
        ("hub_open", "?"),
        ("heard_s", "f8"),  # when the node last received data
        ("ping_timer_s", "f8"),
        ("pinging", "?"),
        ("powered", "?"),
        ("node_closed_s", "f8"),
        ("hub_closed_s", "f8"),
        ("answered", "i8"),  # messages of the node that the hub has looked at
        ("read", "i8"),  # messages of the hub that the node has looked at
        ("collected", "i8"),  # messages of the node whose arrival has been noted
        ("rules", RULES),
        ("up", FLOW),
        ("down", FLOW),
    ],
    align=True,
)


def make_connection(rules: NDArray[np.void]) -> Record:
    """Make room for a connection under `rules`, an array of one RULES; `connect` opens it, and opens it anew."""
    connection = np.zeros(1, CONNECTION).view(np.recarray)[0]
    connection.rules = rules[0]
    return connection


@kernel
def connect(connection: Record, link: Record, at: float, deadline_s: float) -> None:
    """Begin to connect at `at`: a new connection, whatever was before. The attempt ends by `deadline_s`."""
    rules = connection.rules
    phase = counter_rng.uniform(link.draws[Purpose.TIMER_PHASE], 0) * 4096 * TICK_S
    reset(connection.up, UP, rules.user_timeout_s, phase)
    reset(connection.down, DOWN, rules.hub_user_timeout_s, 0.0)
    connection.state = CONNECTING
    connection.deadline_s = deadline_s
    connection.syns = 0
    connection.hub_open = connection.hub_has_syn = connection.pinging = False
    find_hub(connection, at)
    connection.powered = True
    connection.heard_s = at
    connection.ping_timer_s = inf
    connection.node_closed_s = connection.hub_closed_s = nan
    connection.answered = connection.read = connection.collected = 0
    _send_syn(connection, at)
    _flush(connection, link, at)


@part
def _flush(connection: Record, link: Record, at: float) -> None:
    """Give the link what both ends have due."""
    if has_due(connection.up, connection.down, at):
        emit(connection.up, connection.down, link, at)
    if has_due(connection.down, connection.up, at):
        emit(connection.down, connection.up, link, at)


@kernel
def _send_syn(connection: Record, at: float) -> None:
    wait = SYN_TIMEOUT_S * 2.0 ** max(connection.syns - SYN_LINEAR, 0)
    connection.syns += 1
    connection.syn_timer_s = fires(at, wait, connection.up.timer_phase_s)
    connection.up.control = SYN


@part
def _first_arrival(flow: Record) -> float:
    if flow.wire_head == flow.wire_tail:
        return inf
    return flow.packets[flow.wire_head % PACKETS].arrives_s


@part
def next_event(connection: Record) -> float:
    """Give when something happens next on the connection, s; inf: nothing, until the node sends."""
    up, down = connection.up, connection.down
    at = min(_first_arrival(connection.up), _first_arrival(connection.down))
    at = min(at, up.timer_s, down.ack_due_s)
    at = min(at, down.timer_s, up.ack_due_s)
    at = min(at, connection.hub_changes_s)
    if connection.state == READY:
        return min(at, connection.ping_timer_s)
    if connection.state != CLOSED:
        return min(at, connection.syn_timer_s, connection.deadline_s)
    return at


@part
def send(connection: Record, link: Record, at: float, size: int, kind: int, tag: int) -> bool:
    """Write a message of `size` bytes at `at`; `tag` is the caller's own. False where the stream has no room for it."""
    if connection.up.messages - connection.answered == MESSAGES:
        return False  # the hub does not read
    taken = write(connection.up, size, kind, tag)
    _flush(connection, link, at)
    return taken


@kernel
def send_down(connection: Record, link: Record, at: float, size: int, kind: int, tag: int) -> bool:
    """Write a message of the hub to the node at `at`, as `send` does for the node."""
    taken = write(connection.down, size, kind, tag)
    _flush(connection, link, at)
    return taken


@kernel
def close(connection: Record, link: Record, at: float, how: int) -> None:
    """Let the node go at `at`. What it wrote may still arrive: `advance` until `is_over`."""
    _leave(connection, at, how)
    _flush(connection, link, at)


@kernel
def _leave(connection: Record, at: float, how: int) -> None:
    established = connection.state in (SETTLING, READY)
    _node_closes(connection, at)
    if how == POWER:
        connection.powered = False
        connection.down.ack_due_s = inf
        kill(connection.up)
    elif established and not connection.up.dead:
        connection.up.orphan = True
        write(connection.up, 1, FIN, -1)
    else:
        kill(connection.up)


@kernel
def _node_closes(connection: Record, at: float) -> None:
    connection.state = CLOSED
    connection.syn_timer_s = connection.ping_timer_s = inf
    if isnan(connection.node_closed_s):
        connection.node_closed_s = at


@kernel
def _hub_closes(connection: Record, at: float) -> None:
    if isnan(connection.hub_closed_s):
        connection.hub_closed_s = at
    kill(connection.down)
    connection.up.ack_due_s = inf


@kernel
def is_over(connection: Record) -> bool:
    """Whether nothing that the node wrote can still arrive, and nothing is left to tell it."""
    up, down = connection.up, connection.down
    if connection.state != CLOSED:
        return False
    nothing_out = up.wire_head == up.wire_tail
    node_done = nothing_out and (up.dead or (up.head == up.tail and up.packed == up.written))
    hub_closed = not isnan(connection.hub_closed_s)
    hub_done = not connection.hub_open or hub_closed or down.head == down.tail
    return node_done and hub_done and (hub_closed or connection.answered == up.delivered)


@kernel
def advance(connection: Record, link: Record, until: float) -> float:
    """Let happen what happens up to `until`; return that, or sooner where the node becomes ready or is closed.

    What was delivered stands in the rings of messages of `connection.up` and `.down`, up to `delivered` of each.
    """
    state = connection.state
    while True:
        at = next_event(connection)
        if at > until:
            return until
        _step(connection, at)
        _flush(connection, link, at)
        if connection.state != state:
            return at


@part
def _step(connection: Record, at: float) -> None:
    """Do the one thing that happens at `at`. Order among equals is fixed, so that runs repeat."""
    up, down = connection.up, connection.down
    if connection.hub_changes_s <= at:
        _hub_turns(connection, at)
    elif _first_arrival(up) <= at:
        _arrives_at_hub(connection, at)
    elif _first_arrival(down) <= at:
        _arrives_at_node(connection, at)
    elif up.timer_s <= at:
        expire(up, at)
        if up.dead:
            _node_closes(connection, at)
    elif down.timer_s <= at:
        expire(down, at)
        if down.dead:
            _hub_closes(connection, at)
    elif up.ack_due_s <= at or down.ack_due_s <= at:
        return  # what is due is sent after every step
    elif connection.state == READY:
        _ping(connection, at)
    elif connection.syn_timer_s <= at < connection.deadline_s and connection.syns <= SYN_RETRIES:
        _send_syn(connection, at)
    else:
        _leave(connection, at, PROCESS)  # the attempt took too long


@kernel
def _hub_turns(connection: Record, at: float) -> None:
    """Let the hub's process end, stop or run again."""
    find_hub(connection, at)
    if connection.hub_state == HUB_RUNS:
        _answer(connection, at)
    elif connection.hub_state == HUB_DOWN:
        connection.hub_has_syn = False
        if connection.hub_open and isnan(connection.hub_closed_s):
            connection.hub_closed_s = at
            connection.up.ack_due_s = inf
            connection.down.orphan = True
            write(connection.down, 1, FIN, -1)


@kernel
def _ping(connection: Record, at: float) -> None:
    """Act on the keepalive timer: a ping, or the end of waiting for its answer."""
    rules = connection.rules
    if connection.pinging:
        _leave(connection, at, PROCESS)
    elif at - connection.heard_s < rules.keepalive_time_s - 1e-9:
        connection.ping_timer_s = connection.heard_s + rules.keepalive_time_s
    else:
        connection.pinging = True
        connection.ping_timer_s = at + rules.ping_timeout_s
        write(connection.up, PING_BYTES, PING, -1)


@part
def _arrives_at_hub(connection: Record, at: float) -> None:
    up, down = connection.up, connection.down
    packet = up.packets[up.wire_head % PACKETS]
    up.wire_head += 1
    if packet.kind == RESET:
        if connection.hub_open:
            _hub_closes(connection, at)
    elif packet.kind == SYN:
        connection.hub_has_syn = connection.hub_state != HUB_DOWN
        up.echo_s = packet.left_s
        down.control = SYN_ACK if connection.hub_has_syn else RESET
    elif refuses(connection, packet.segment):
        kill(down)
        down.control = RESET
    else:
        if not connection.hub_open:
            connection.hub_open = True
            sample(down, at - packet.echo_s)
        acknowledge(down, packet.acks, packet.sacks, packet.again, packet.left_s, packet.echo_s, at)
        if packet.segment >= 0:
            receive(up, down, packet.segment, packet.segment_to, packet.left_s, at)
            if connection.hub_state == HUB_RUNS:
                _answer(connection, at)


@kernel
def _answer(connection: Record, at: float) -> None:
    """Let the hub answer what was delivered to it since it last did."""
    up = connection.up
    while connection.answered < up.delivered:
        message = up.log[connection.answered % MESSAGES]
        kind, tag = message.kind, message.tag
        connection.answered += 1
        if kind == PREFACE:
            write(connection.down, SETTINGS_BYTES, SETTINGS, -1)
        elif kind == HELLO:
            write(connection.down, WELCOME_BYTES, WELCOME, tag)
        elif kind == HEARTBEAT_ASKING:
            write(connection.down, HEARTBEAT_ACK_BYTES, HEARTBEAT_ACK, tag)
        elif kind == PING:
            write(connection.down, PING_BYTES, PONG, -1)
        elif kind == FIN:
            _hub_closes(connection, at)


@part
def _arrives_at_node(connection: Record, at: float) -> None:
    up, down = connection.up, connection.down
    packet = down.packets[down.wire_head % PACKETS]
    down.wire_head += 1
    if not connection.powered:
        return
    if packet.kind == RESET:
        kill(up)
        _node_closes(connection, at)
    elif packet.kind == SYN_ACK:
        if connection.state == CONNECTING:
            down.echo_s = packet.left_s
            connection.state = SETTLING
            connection.syn_timer_s = inf
            sample(up, at - packet.echo_s)
            write(connection.up, PREFACE_BYTES, PREFACE, -1)
    elif up.dead:
        if packet.segment >= 0:
            up.control = RESET
    else:
        acknowledge(up, packet.acks, packet.sacks, packet.again, packet.left_s, packet.echo_s, at)
        if packet.segment >= 0:
            receive(down, up, packet.segment, packet.segment_to, packet.left_s, at)
            _read(connection, at)


@part
def _read(connection: Record, at: float) -> None:
    """Let the node's gRPC take what has just been delivered to it."""
    down, rules = connection.down, connection.rules
    connection.heard_s = at
    while connection.read < down.delivered:
        kind = down.log[connection.read % MESSAGES].kind
        connection.read += 1
        if connection.state == CLOSED:
            continue
        if kind == SETTINGS:
            connection.state = READY
            if rules.keepalive_time_s > 0.0:
                connection.ping_timer_s = at + rules.keepalive_time_s
        elif kind == PONG and connection.pinging:
            connection.pinging = False
            connection.ping_timer_s = at + rules.keepalive_time_s
        elif kind == FIN:
            _leave(connection, at, PROCESS)  # the hub ends the stream
