"""What a gRPC connection is, and what its two ends do: SYNs, SETTINGS, keepalive pings, answers, and how each closes.

The hub answers SETTINGS at once, Welcome to Hello, an acknowledgement to a heartbeat that asks for one, PING to PING.

Each end sees its own close at its own time (`node_closed_s`, `hub_closed_s`; NaN while open): an end that gives up
reports that to the other only if a packet of the other finds it gone, or if its process ended and the kernel still
delivers what was written, and FIN behind it.
"""

from math import inf, isnan, nan
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from heartbench.mesh.kinds import Kind
from heartbench.simulator.kernel import kernel, part
from heartbench.simulator.record import Array, Record, dtype_of, new, resetter
from heartbench.simulator.tcp.acknowledgement import acknowledge
from heartbench.simulator.tcp.flow import MESSAGES, PACKETS, RESET, SYN, SYN_ACK, Flow, write
from heartbench.simulator.tcp.receiver import receive
from heartbench.simulator.tcp.sender import kill
from heartbench.simulator.tcp.timers import fires, sample

CONNECT_TIMEOUT_S = 20.0  # gRPC's least time for an attempt (connection-backoff.md)
SYN_TIMEOUT_S = 1.0  # RFC 6298, 2.1; four more at the same distance (tcp_syn_linear_timeouts = 4), then doubled
SYN_LINEAR = 4
SYN_RETRIES = 10  # tcp_syn_retries = 6 beside the linear ones: the kernel gives up after 131 s

# States of a connection, as the node sees it.
CONNECTING, SETTLING, READY, CLOSED = range(4)

# What travels on a stream; the first four are the kinds of the trace.
HELLO, HEARTBEAT, CHUNK, GOODBYE = (int(kind) for kind in Kind)
HEARTBEAT_ASKING = 4  # a heartbeat that asks for an acknowledgement
PREFACE, PING, FIN = 5, 6, 7
SETTINGS, WELCOME, HEARTBEAT_ACK, PONG = 8, 9, 10, 11

# How a node leaves. PROCESS: the kernel delivers what was written, then FIN. POWER: silence.
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


MAX_HUB_FAULTS = 16
# States of the hub's process. PAUSED: its kernel accepts and acknowledges; nothing is read or answered until it runs
# again. DOWN: its kernel has closed every connection (FIN; RST to data that still comes) and refuses SYNs (RST).
HUB_RUNS, HUB_PAUSED, HUB_DOWN = range(3)


class Hub(Record):
    """The states of the hub's process in a scenario, and since when; at first it runs."""

    count: int
    at_s: Annotated[Array[float], 2 * MAX_HUB_FAULTS]  # ascending
    state: Annotated[Array[int], 2 * MAX_HUB_FAULTS]


class Rules(Record):
    """gRPC and TCP settings of a node and of the hub it connects to."""

    keepalive_time_s: float  # ping after this time without anything received; 0: off
    ping_timeout_s: float  # close if a ping is not answered by then
    user_timeout_s: float  # TCP_USER_TIMEOUT of the node; 0: none
    hub_user_timeout_s: float  # and of the hub
    hub: Hub


class Connection(Record):
    """One TCP connection with HTTP/2 on it, as both ends and the wire between them know it."""

    state: int = CONNECTING
    deadline_s: float  # when an attempt that has not succeeded ends
    syns: int = 0
    syn_timer_s: float
    hub_state: int
    hub_changes_s: float  # when that changes next
    hub_has_syn: bool = False
    hub_open: bool = False
    heard_s: float  # when the node last received data
    ping_timer_s: float = inf
    pinging: bool = False
    powered: bool = True
    timer_phase_s: float  # of the node's kernel, see `timers.fires`
    node_closed_s: float = nan
    hub_closed_s: float = nan
    answered: int = 0  # messages of the node that the hub has looked at
    read: int = 0  # messages of the hub that the node has looked at
    collected: int = 0  # messages of the node whose arrival has been recorded
    tunnel_s: float = inf  # when the tunnel does something next that concerns the connection
    rules: Rules
    up: Flow
    down: Flow


HUB, RULES, CONNECTION = dtype_of(Hub), dtype_of(Rules), dtype_of(Connection)
reset_connection = resetter(Connection)


def make_connection(rules: NDArray[np.void]) -> Connection:
    """Return a record for a connection under `rules`, an array of one RULES; `connect` opens it, as often as needed."""
    connection = new(Connection)
    connection.rules = rules[0]
    return connection


@part
def first_arrival(flow: Flow) -> float:
    """Return when the first packet in flight arrives, in s, or inf."""
    if flow.wire_head == flow.wire_tail:
        return inf
    return flow.packets[flow.wire_head % PACKETS].arrives_s


@kernel
def is_over(connection: Connection) -> bool:
    """Return whether nothing that either end has sent can have an effect any more."""
    up, down = connection.up, connection.down
    if connection.state != CLOSED:
        return False
    nothing_out = up.wire_head == up.wire_tail
    node_done = nothing_out and (up.dead or (up.snd_una == up.snd_nxt and up.packed == up.written))
    hub_closed = not isnan(connection.hub_closed_s)
    hub_done = not connection.hub_open or hub_closed or down.snd_una == down.snd_nxt
    return node_done and hub_done and (hub_closed or connection.answered == up.delivered)


@kernel
def send_syn(connection: Connection, at: float) -> None:
    """Send SYN, and arm the timer for the next one."""
    wait = SYN_TIMEOUT_S * 2.0 ** max(connection.syns - SYN_LINEAR, 0)
    connection.syns += 1
    connection.syn_timer_s = fires(at, wait, connection.up.timer_phase_s)
    connection.up.control = SYN


@part
def arrives_at_node(connection: Connection, at: float) -> None:
    """Process the first packet in flight to the node, which arrives at `at`."""
    up, down = connection.up, connection.down
    packet = down.packets[down.wire_head % PACKETS]
    down.wire_head += 1
    if not connection.powered:
        return
    if packet.kind == RESET:
        kill(up)
        node_closes(connection, at)
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
        acknowledge(up, packet.acks, packet.sacks, packet.dsack_end, packet.left_s, packet.echo_s, at)
        if packet.segment >= 0:
            receive(down, up, packet.segment, packet.segment_to, packet.left_s, at)
            _read(connection, at)


@part
def _read(connection: Connection, at: float) -> None:
    """Process what has just been delivered to the node's gRPC."""
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
            leave(connection, at, PROCESS)  # the hub ends the stream


@kernel
def keep_alive(connection: Connection, at: float) -> None:
    """Handle the keepalive timer: send a ping, or close because the last one was not answered."""
    rules = connection.rules
    if connection.pinging:
        leave(connection, at, PROCESS)
    elif at - connection.heard_s < rules.keepalive_time_s - 1e-9:
        connection.ping_timer_s = connection.heard_s + rules.keepalive_time_s
    else:
        connection.pinging = True
        connection.ping_timer_s = at + rules.ping_timeout_s
        write(connection.up, PING_BYTES, PING, -1)


@kernel
def leave(connection: Connection, at: float, how: int) -> None:
    """Close the node's end: its PROCESS ends, or its POWER."""
    established = connection.state in (SETTLING, READY)
    node_closes(connection, at)
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
def node_closes(connection: Connection, at: float) -> None:
    """Record that the node's end is closed."""
    connection.state = CLOSED
    connection.syn_timer_s = connection.ping_timer_s = inf
    if isnan(connection.node_closed_s):
        connection.node_closed_s = at


@kernel
def find_hub(connection: Connection, at: float) -> None:
    """Set the hub's state at `at`, and when that changes next."""
    hub = connection.rules.hub
    n = 0
    while n < hub.count and hub.at_s[n] <= at:
        n += 1
    connection.hub_state = hub.state[n - 1] if n > 0 else HUB_RUNS
    connection.hub_changes_s = hub.at_s[n] if n < hub.count else inf


@kernel
def hub_turns(connection: Connection, at: float) -> None:
    """Change the state of the hub's process: it ends, stops or runs again."""
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


@part
def arrives_at_hub(connection: Connection, at: float) -> None:
    """Process the first packet in flight to the hub, which arrives at `at`."""
    up, down = connection.up, connection.down
    packet = up.packets[up.wire_head % PACKETS]
    up.wire_head += 1
    if packet.kind == RESET:
        if connection.hub_open:
            hub_closes(connection, at)
    elif packet.kind == SYN and connection.hub_open:
        return  # it came twice, or late
    elif packet.kind == SYN:
        connection.hub_has_syn = connection.hub_state != HUB_DOWN
        up.echo_s = packet.left_s
        down.control = SYN_ACK if connection.hub_has_syn else RESET
    elif _refuses(connection, packet.segment):
        kill(down)
        down.control = RESET
    else:
        if not connection.hub_open:
            connection.hub_open = True
            sample(down, at - packet.echo_s)
        acknowledge(down, packet.acks, packet.sacks, packet.dsack_end, packet.left_s, packet.echo_s, at)
        if packet.segment >= 0:
            receive(up, down, packet.segment, packet.segment_to, packet.left_s, at)
            if connection.hub_state == HUB_RUNS:
                _answer(connection, at)


@kernel
def _answer(connection: Connection, at: float) -> None:
    """Answer what was delivered to the hub since its last answer."""
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
            hub_closes(connection, at)


@kernel
def hub_closes(connection: Connection, at: float) -> None:
    """Close the hub's end."""
    if isnan(connection.hub_closed_s):
        connection.hub_closed_s = at
    kill(connection.down)
    connection.up.ack_due_s = inf


@part
def _refuses(connection: Connection, segment: int) -> bool:
    """Return whether the hub's kernel does not know the connection, or gets data for a process that is gone."""
    if not isnan(connection.hub_closed_s):
        return connection.down.dead or segment >= 0
    return not connection.hub_has_syn
