"""What a gRPC connection is: its record, its states, and what travels on it.

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
from heartbench.simulator.tcp.flow import PACKETS, Flow

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
