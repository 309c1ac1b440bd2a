"""The hub's end of a connection: its kernel, its process, and what that answers.

The hub answers SETTINGS at once, Welcome to Hello, an acknowledgement to a heartbeat that asks for one, PING to PING.
"""

from math import inf, isnan

from heartbench.simulator.connection import (
    FIN,
    HEARTBEAT_ACK,
    HEARTBEAT_ACK_BYTES,
    HEARTBEAT_ASKING,
    HELLO,
    PING,
    PING_BYTES,
    PONG,
    PREFACE,
    SETTINGS,
    SETTINGS_BYTES,
    WELCOME,
    WELCOME_BYTES,
    Connection,
)
from heartbench.simulator.hub_state import HUB_DOWN, HUB_RUNS
from heartbench.simulator.kernel import kernel, part
from heartbench.simulator.tcp.acknowledgement import acknowledge
from heartbench.simulator.tcp.flow import MESSAGES, PACKETS, RESET, SYN, SYN_ACK, write
from heartbench.simulator.tcp.receiver import receive
from heartbench.simulator.tcp.timeouts import kill
from heartbench.simulator.tcp.timers import sample


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
