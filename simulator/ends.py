"""The two ends of a connection: SYNs, SETTINGS, keepalive pings, what the hub answers, and how each end closes.

The hub answers SETTINGS at once, Welcome to Hello, an acknowledgement to a heartbeat that asks for one, PING to PING.
"""

from math import inf, isnan

from heartbench.simulator.connection import (
    CLOSED,
    CONNECTING,
    FIN,
    HEARTBEAT_ACK,
    HEARTBEAT_ACK_BYTES,
    HEARTBEAT_ASKING,
    HELLO,
    HUB_DOWN,
    HUB_RUNS,
    PING,
    PING_BYTES,
    PONG,
    POWER,
    PREFACE,
    PREFACE_BYTES,
    PROCESS,
    READY,
    SETTINGS,
    SETTINGS_BYTES,
    SETTLING,
    SYN_LINEAR,
    SYN_TIMEOUT_S,
    WELCOME,
    WELCOME_BYTES,
    Connection,
)
from heartbench.simulator.kernel import kernel, part
from heartbench.simulator.tcp.acknowledgement import acknowledge
from heartbench.simulator.tcp.flow import MESSAGES, PACKETS, RESET, SYN, SYN_ACK, write
from heartbench.simulator.tcp.receiver import receive
from heartbench.simulator.tcp.sender import kill
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
