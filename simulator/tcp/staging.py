"""A transport's packets and its node's tunnel: they are sent, or staged until the tunnel has a key.

Staged packets are the last ones of the ring of their direction and arrive at inf. They leave, in order, with the
handshake that makes a key; all of them are dropped if it is given up. At most 128 are staged, and the oldest is dropped
for another (wireguard-go: QueueStagedSize; Linux: MAX_STAGED_PACKETS); boringtun stages 256 and drops the newest
(MAX_QUEUE_DEPTH).

While none is staged, the tunnel's own timers and messages concern no connection: they are made up for when a packet is
next sent or arrives.
"""

from math import inf

from heartbench.simulator.kernel import kernel, part
from heartbench.simulator.link import DOWN, UP, Link, transmit
from heartbench.simulator.tcp.flow import PACKETS, Flow
from heartbench.simulator.tunnel.wireguard import catch_up, lose_power, receive, step, transmit_data
from heartbench.simulator.tunnel_state import BORINGTUN, LEAVE, NO_TUNNEL, STAY

MOST_STAGED = 128
MOST_STAGED_BORINGTUN = 256


@part
def send(flow: Flow, link: Link, at: float, size: int) -> float:
    """Return when a packet of `size` bytes sent at `at` arrives, NaN if it is lost, or inf if it has to be staged."""
    if link.profile.tunnel.kind == NO_TUNNEL:
        return transmit(link, flow.direction, at, size)
    catch_up(link, at)
    return transmit_data(link, flow.direction, at, size)


@part
def label(flow: Flow, link: Link, size: int) -> None:
    """Mark the last packet in the ring with its key, or stage it; to be called for what `send` has not lost."""
    if link.profile.tunnel.kind != NO_TUNNEL:
        packet = flow.packets[(flow.wire_tail - 1) % PACKETS]
        packet.key = link.tunnel.ends[flow.direction].current
        if packet.arrives_s == inf:
            packet.size = size
            _stage(flow, link)


@kernel
def _stage(flow: Flow, link: Link) -> None:
    """Count the last packet in the ring as staged, and drop one if there are too many."""
    end = link.tunnel.ends[flow.direction]
    if end.staged < (MOST_STAGED_BORINGTUN if link.profile.tunnel.kind == BORINGTUN else MOST_STAGED):
        end.staged += 1
        return
    if link.profile.tunnel.kind != BORINGTUN:
        for i in range(flow.wire_tail - end.staged, flow.wire_tail):
            flow.packets[(i - 1) % PACKETS] = flow.packets[i % PACKETS]
    flow.wire_tail -= 1


@part
def admits(flow: Flow, back: Flow, link: Link, at: float) -> bool:
    """Return whether the receiver's tunnel accepts the first packet in flight in `flow`; if not, it is removed."""
    return link.profile.tunnel.kind == NO_TUNNEL or _admits(flow, back, link, at)


@part
def _admits(flow: Flow, back: Flow, link: Link, at: float) -> bool:
    who = 1 - flow.direction
    catch_up(link, at)
    is_on = who == DOWN or link.tunnel.is_on
    accepted = is_on and receive(link, who, flow.packets[flow.wire_head % PACKETS].key, True, at)
    if not accepted:
        flow.wire_head += 1
    _settle(back, link, at)
    return accepted


@part
def awaited_s(link: Link) -> float:
    """Return when the tunnel does something next that may let staged packets leave; inf: none are staged."""
    ends = link.tunnel.ends
    return link.tunnel.next_s if ends[UP].staged + ends[DOWN].staged > 0 else inf


@kernel
def advance_tunnel(up: Flow, down: Flow, link: Link, at: float) -> None:
    """Process what the tunnel itself has due at `at`."""
    step(link, at)
    _settle(up, link, at)
    _settle(down, link, at)


@part
def _settle(flow: Flow, link: Link, at: float) -> None:
    """Send or drop what is staged in this direction, if the tunnel has decided."""
    if link.tunnel.ends[flow.direction].staged_outcome != STAY:
        _release(flow, link, at)


@kernel
def _release(flow: Flow, link: Link, at: float) -> None:
    """Send or drop what is staged, as the tunnel has decided."""
    end = link.tunnel.ends[flow.direction]
    outcome, staged = end.staged_outcome, end.staged
    end.staged_outcome = STAY
    if staged == 0:
        return
    end.staged = 0
    first = flow.wire_tail - staged
    flow.wire_tail = first
    if outcome != LEAVE:
        return
    for i in range(first, first + staged):
        arrives = transmit_data(link, flow.direction, at, flow.packets[i % PACKETS].size)
        if arrives < inf:
            if flow.wire_tail > flow.wire_head:
                arrives = max(arrives, flow.packets[(flow.wire_tail - 1) % PACKETS].arrives_s)
            flow.packets[flow.wire_tail % PACKETS] = flow.packets[i % PACKETS]
            flow.packets[flow.wire_tail % PACKETS].arrives_s = arrives
            flow.packets[flow.wire_tail % PACKETS].key = end.current
            flow.wire_tail += 1


@part
def cut_power(up: Flow, link: Link, at: float) -> None:
    """Process that the node loses its power: what it has staged is gone with its tunnel."""
    if link.profile.tunnel.kind != NO_TUNNEL:
        up.wire_tail -= link.tunnel.ends[UP].staged
        lose_power(link, at)
