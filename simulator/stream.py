"""The modelled transport: a gRPC connection of a node to the hub over TCP, on a link, as a state machine.

    connect(connection, link, at, deadline)       the node opens a connection
    send(connection, link, at, size, kind, tag)   the node writes a message
    advance(connection, link, until)              deliveries and closes up to a time; stops when the node has to decide
    close(connection, link, at, how)              the node leaves: its process ends, or its power
    abort(...), forget(connection)                what the path does to the connection: RST, or nothing passes any more

    CONNECTING ──SYN-ACK──▶ SETTLING ──SETTINGS──▶ READY
         └──────────┬──────────┴──────────┬──────────┘
        end of the attempt        user timeout · ping timeout · reset ──▶ CLOSED

What the hub answers is part of the stream, because it takes the same way. Times are in s; sizes are bytes of TCP
payload. Of its link a transport knows only `transmit` and `mss_bytes`.
"""

from heartbench.simulator import connection as conn
from heartbench.simulator.connection import Connection
from heartbench.simulator.kernel import kernel, part
from heartbench.simulator.link import DOWN, UP, Link, mss_bytes
from heartbench.simulator.tcp.flow import MESSAGES, Flow, reset, write
from heartbench.simulator.tcp.sender import emit, expire, has_due, kill
from heartbench.simulator.tcp.staging import admits, advance_tunnel, awaited_s, cut_power


@kernel
def connect(connection: Connection, link: Link, at: float, deadline_s: float) -> None:
    """Open a new connection at `at`, replacing any earlier one. The attempt ends by `deadline_s`."""
    rules, mss = connection.rules, mss_bytes(link)
    _open_flow(connection.up, UP, mss, rules.user_timeout_s, connection.timer_phase_s)
    _open_flow(connection.down, DOWN, mss, rules.hub_user_timeout_s, 0.0)
    conn.reset_connection(connection)
    connection.deadline_s = deadline_s
    connection.heard_s = at
    conn.find_hub(connection, at)
    conn.send_syn(connection, at)
    _flush(connection, link, at)


@kernel
def _open_flow(flow: Flow, direction: int, mss: int, user_timeout_s: float, timer_phase_s: float) -> None:
    reset(flow)
    flow.direction = direction
    flow.mss_bytes = mss
    flow.user_timeout_s = user_timeout_s
    flow.timer_phase_s = timer_phase_s


@part
def _flush(connection: Connection, link: Link, at: float) -> None:
    """Put on the link what both ends have due."""
    if has_due(connection.up, connection.down, at):
        emit(connection.up, connection.down, link, at)
    if has_due(connection.down, connection.up, at):
        emit(connection.down, connection.up, link, at)
    connection.tunnel_s = awaited_s(link)


@part
def next_event(connection: Connection) -> float:
    """Return when something happens next on the connection, in s; inf: nothing until the node sends."""
    up, down = connection.up, connection.down
    at = min(conn.first_arrival(connection.up), conn.first_arrival(connection.down))
    at = min(at, up.timer_s, down.ack_due_s)
    at = min(at, down.timer_s, up.ack_due_s)
    at = min(at, connection.hub_changes_s)
    if connection.state == conn.READY:
        return min(at, connection.ping_timer_s, connection.tunnel_s)
    if connection.state != conn.CLOSED:
        return min(at, connection.syn_timer_s, connection.deadline_s, connection.tunnel_s)
    return min(at, connection.tunnel_s)


@part
def send(connection: Connection, link: Link, at: float, size: int, kind: int, tag: int) -> bool:
    """Write a message of `size` bytes at `at` and return False if there is no room for it; `tag` is the caller's."""
    if connection.up.messages - connection.answered == MESSAGES:
        return False  # the hub does not read
    taken = write(connection.up, size, kind, tag)
    _flush(connection, link, at)
    return taken


@kernel
def send_down(connection: Connection, link: Link, at: float, size: int, kind: int, tag: int) -> bool:
    """Write a message from the hub to the node at `at`, as `send` does for the node."""
    taken = write(connection.down, size, kind, tag)
    _flush(connection, link, at)
    return taken


@kernel
def close(connection: Connection, link: Link, at: float, how: int) -> None:
    """Close the node's end at `at`. What it wrote may still arrive: `advance` until `is_over`."""
    conn.leave(connection, at, how)
    if how == conn.POWER:
        cut_power(connection.up, link, at)
    _flush(connection, link, at)


@kernel
def abort(connection: Connection, link: Link, at: float, at_node: bool, at_hub: bool) -> None:
    """Process RST at `at` that something on the path has sent to the node, to the hub or to both."""
    if at_node:
        kill(connection.up)
        conn.node_closes(connection, at)
    if at_hub and connection.hub_open:
        conn.hub_closes(connection, at)
    _flush(connection, link, at)


@part
def forget(connection: Connection) -> None:
    """Stop passing packets of this connection: its path or address is another. What is on the way arrives."""
    connection.up.is_forgotten = connection.down.is_forgotten = True


@kernel
def advance(connection: Connection, link: Link, until: float) -> float:
    """Advance to `until` and return it, or to the earlier time at which the node becomes ready or is closed.

    The messages of `connection.up` and `.down` up to `delivered` of each are delivered.
    """
    state = connection.state
    while True:
        at = next_event(connection)
        if at > until:
            return until
        _step(connection, link, at)
        _flush(connection, link, at)
        if connection.state != state:
            return at


@part
def _step(connection: Connection, link: Link, at: float) -> None:
    """Process the one event at `at`. The order of simultaneous events is fixed, so that runs repeat."""
    up, down = connection.up, connection.down
    if connection.hub_changes_s <= at:
        conn.hub_turns(connection, at)
    elif conn.first_arrival(up) <= at:
        if admits(up, down, link, at):
            conn.arrives_at_hub(connection, at)
    elif conn.first_arrival(down) <= at:
        if admits(down, up, link, at):
            conn.arrives_at_node(connection, at)
    elif connection.tunnel_s <= at:
        advance_tunnel(up, down, link, at)
    elif up.timer_s <= at:
        expire(up, at)
        if up.dead:
            conn.node_closes(connection, at)
    elif down.timer_s <= at:
        expire(down, at)
        if down.dead:
            conn.hub_closes(connection, at)
    elif up.ack_due_s <= at or down.ack_due_s <= at:
        return  # what is due is sent after every step
    elif connection.state == conn.READY:
        conn.keep_alive(connection, at)
    elif connection.syn_timer_s <= at < connection.deadline_s and connection.syns <= conn.SYN_RETRIES:
        conn.send_syn(connection, at)
    else:
        conn.leave(connection, at, conn.PROCESS)  # the attempt took too long
