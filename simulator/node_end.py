"""The node's end of a connection: SYNs, SETTINGS, keepalive pings, and how it closes."""

from math import inf, isnan

from heartbench.simulator.connection import (
    CLOSED,
    CONNECTING,
    FIN,
    PING,
    PING_BYTES,
    PONG,
    POWER,
    PREFACE,
    PREFACE_BYTES,
    PROCESS,
    READY,
    SETTINGS,
    SETTLING,
    SYN_LINEAR,
    SYN_TIMEOUT_S,
    Connection,
)
from heartbench.simulator.kernel import kernel, part
from heartbench.simulator.tcp.acknowledgement import acknowledge
from heartbench.simulator.tcp.flow import MESSAGES, PACKETS, RESET, SYN, SYN_ACK, write
from heartbench.simulator.tcp.receiver import receive
from heartbench.simulator.tcp.timeouts import kill
from heartbench.simulator.tcp.timers import fires, sample


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
