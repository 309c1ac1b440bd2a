"""What the two ends of a node's WireGuard tunnel know, and their messages in flight.

An end has the number of the direction in which it sends: UP is the node, DOWN the hub. The tunnel is part of the link's
record, so that a connection that its node has left is followed on a copy of both.

Keys are numbered by the initiation that led to them. TunnelSpec says what a group has in common.
"""

from math import inf
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator.kernel import kernel, part
from heartbench.simulator.record import Array, Record, resetter

NO_TUNNEL, WIREGUARD, BORINGTUN = range(3)

IN_FLIGHT = 32  # messages of the tunnel's own in one direction; more are lost
NOTES = 256  # kept at a time
NUMBERS = 0x7FFF  # a packet has 16 bits for the number of its key; then numbers start over

# Messages of the tunnel's own.
INITIATION, RESPONSE, KEEPALIVE = range(3)

# What an end wants to happen to its staged packets.
STAY, LEAVE, DISCARD = range(3)

# What a run records as truth.
BEGUN, SUCCEEDED, GIVEN_UP, EXPIRED = range(4)
FORGOTTEN = 4  # by a NAT on the path of a connection without a tunnel


class TunnelSpec(Record):
    """What the tunnels of a group have in common."""

    kind: int  # NO_TUNNEL, or which implementation
    persistent_keepalive_s: float  # of the node; 0: off


class TunnelMessage(Record):
    """A message of the tunnel's own in flight."""

    arrives_s: float
    what: int
    number: int  # of the key that it asks for, answers for or is encrypted with


class End(Record):
    """One end: its keys (number 0: none), its handshake and its timers, which are inf while they are not set."""

    current: int = 0
    current_s: float = -inf  # when it was made at this end
    is_initiator: bool = False  # of the handshake that led to the current key
    next: int = 0  # a responder's, until a packet that uses it arrives
    next_s: float = -inf
    previous: int = 0
    previous_s: float = -inf
    awaited: int = 0  # number of the initiation whose response would be accepted
    is_seeking: bool = False  # a handshake of its own is going on,
    begun_s: float = -inf  # since
    is_noted: bool = False  # and the run has recorded it
    attempts: int = 0
    handshake_sent_s: float = -inf  # last initiation or response that left
    consumed_s: float = -inf  # last initiation that arrived
    was_late_rekey: bool = False  # a rekey was begun because something arrived shortly before the key expires
    needs_another: bool = False  # data arrived while the passive keepalive was pending
    staged: int = 0  # packets that wait for a key: the last ones of the transport's ring in this direction
    staged_outcome: int = STAY
    retry_s: float = inf
    keepalive_s: float = inf
    unanswered_s: float = inf
    is_overdue: bool = False  # it has fired, and only its jitter is left
    persistent_s: float = inf
    zero_s: float = inf


class Way(Record):
    """The tunnel's own messages in flight in one direction."""

    head: int = 0
    tail: int = 0
    first_s: float = inf  # when the first of them arrives
    messages: Annotated[Array[TunnelMessage], IN_FLIGHT]


class Tunnel(Record):
    """A node's tunnel to the hub."""

    next_s: float = inf  # nothing happens before
    numbers: int = 0  # the last that was given to a key
    waits: int = 0  # draws of jitter so far
    knows_node: bool = False  # the hub has the node's address
    moved_behind_s: float = -inf  # what reaches the hub later left the node since its address changed
    power_lost_s: float = -inf  # last power loss of the node
    is_on: bool = True  # the node has power
    noted: int = 0
    ends: Annotated[Array[End], 2]
    ways: Annotated[Array[Way], 2]
    note: Annotated[Array[int], NOTES]
    note_s: Annotated[Array[float], NOTES]


reset_end = resetter(End)
_reset_way, _reset_tunnel = resetter(Way), resetter(Tunnel)


@part
def reset_tunnel(tunnel: Tunnel) -> None:
    """Reset the tunnel to one in which no packet was ever sent."""
    _reset_tunnel(tunnel)
    for direction in range(2):
        reset_end(tunnel.ends[direction])
        _reset_way(tunnel.ways[direction])


@part
def take_note(tunnel: Tunnel, what: int, at: float) -> None:
    """Keep an event for the truth of the run, until the engine collects it."""
    if tunnel.noted < NOTES:
        tunnel.note[tunnel.noted] = what
        tunnel.note_s[tunnel.noted] = at
        tunnel.noted += 1


@kernel
def collect_notes(tunnel: Tunnel, node: int, notes: NDArray[np.float64], used: int) -> int:
    """Move the tunnel's notes to rows (node, what, when) from `used` on, and return how many are then in use."""
    for i in range(tunnel.noted):
        notes[used, 0] = node
        notes[used, 1] = tunnel.note[i]
        notes[used, 2] = tunnel.note_s[i]
        used += 1
    tunnel.noted = 0
    return used


@part
def wake(tunnel: Tunnel, at: float) -> None:
    """Schedule a look at what the tunnel has due at `at`, if none comes before."""
    tunnel.next_s = min(tunnel.next_s, at)


@part
def schedule(tunnel: Tunnel) -> None:
    """Set when the tunnel does something next. Between two calls `next_s` may be too early, but not too late."""
    messages_s = min(tunnel.ways[0].first_s, tunnel.ways[1].first_s)
    tunnel.next_s = min(messages_s, _first_timer_s(tunnel.ends[0]), _first_timer_s(tunnel.ends[1]))


@part
def _first_timer_s(end: End) -> float:
    # In pairs, because each minimum of a chain would wait for the one before.
    often_s, seldom_s = min(end.keepalive_s, end.unanswered_s), min(end.retry_s, end.zero_s)
    return min(often_s, seldom_s, end.persistent_s)
