"""The sender: what it puts on the link, when cwnd lets it, and what it does when its timer fires.

`emit` is the only place that gives packets to the link; acknowledgements and timers decide what is due.
"""

from math import floor, inf, isnan, nan

from heartbench.simulator.kernel import kernel, part
from heartbench.simulator.link import DOWN, UP, Link, is_doubled
from heartbench.simulator.tcp import staging
from heartbench.simulator.tcp.flow import (
    DATA,
    DELAYED_ACK_S,
    INITIAL_WINDOW,
    LOST,
    NEW,
    NO_TIMER,
    NOTHING,
    PACKETS,
    PROBE,
    RECOVERY,
    REORDER,
    RESET,
    RTO,
    SEGMENTS,
    SYN,
    TIMED_OUT,
    Flow,
    in_flight,
    packet_end,
)
from heartbench.simulator.tcp.loss import detect_losses, enter_loss, enter_recovery, unmark, update_cwnd
from heartbench.simulator.tcp.timers import FIRING, TICK_S, back_off, rearm, schedule_probe, set_timer
from heartbench.simulator.tunnel_state import FORGOTTEN, NO_TUNNEL, take_note

HEADER_BYTES = 52  # IPv4 (20), TCP (20) and its timestamps (12), of every packet
GIVE_UP_S = 924.6  # tcp_retries2 = 15: 0.2 * (2**10 - 1) + 6 * 120
GIVE_UP_ORPHAN_S = 102.2  # tcp_orphan_retries = 8: 0.2 * (2**9 - 1)


@part
def has_due(flow: Flow, back: Flow, now: float) -> bool:
    """Return whether `emit` has anything to do. Mostly it has not, and a call costs more than this test."""
    return (
        flow.control != DATA
        or flow.to_send != NOTHING
        or flow.probe_due
        or flow.packed < flow.written
        or back.ack_due_s <= now
    )


@part
def emit(flow: Flow, back: Flow, link: Link, now: float) -> None:
    """Transmit what is due in this direction: control, lost segments, a probe, new segments, acknowledgements."""
    if flow.control != DATA:
        _transmit(flow, back, link, flow.control, -1, now)
        flow.control = DATA
    if not flow.dead:
        if flow.to_send in (LOST, TIMED_OUT):
            _retransmit_lost(flow, back, link, now)
        if flow.probe_due or flow.packed < flow.written:
            _send_new(flow, back, link, now)
        if flow.to_send == NEW and flow.snd_nxt == flow.high_seq:
            flow.frto = False
            _retransmit_lost(flow, back, link, now)
        flow.to_send = NOTHING
    if back.ack_due_s <= now:
        if back.ack_due_s > -inf:
            back.is_pingpong = False  # no answer came to carry it
        _transmit(flow, back, link, DATA, -1, now)


@part
def _begin(flow: Flow, segment: int) -> int:
    """Return how many bytes of the flow precede a segment that is in flight."""
    return flow.segments[(segment - 1) % SEGMENTS].end if segment > 0 else 0


@kernel
def _transmit(flow: Flow, back: Flow, link: Link, kind: int, segment: int, now: float) -> None:
    """Put a packet on the link: the one that begins with a segment of `flow` (−1: none), acknowledging for `back`."""
    dsack_end = back.dsack_end
    back.ack_due_s = inf
    back.rcv_wup = back.rcv_nxt
    back.dsack_end = 0
    to, size = segment, HEADER_BYTES
    if segment >= 0:
        to = packet_end(flow, segment)
        size += flow.segments[(to - 1) % SEGMENTS].end - _begin(flow, segment)
        flow.segments[segment % SEGMENTS].sent_s = now
        flow.last_sent_s = now
        if now - back.last_data_s < DELAYED_ACK_S:
            back.is_pingpong = True
    if link.profile.path.tcp_idle_s > 0.0 or flow.is_forgotten:
        arrives = _pass_on(flow, back, link, kind, size, now)
    else:
        arrives = staging.send(flow, link, now, size)
    if isnan(arrives) or flow.wire_tail - flow.wire_head == PACKETS:
        return
    if flow.wire_head == flow.wire_tail:
        flow.wire_head = flow.wire_tail = 0  # an empty ring starts over, on the same few cache lines
    packet = flow.packets[flow.wire_tail % PACKETS]
    flow.wire_tail += 1
    packet.arrives_s = arrives
    packet.left_s = now
    packet.kind = kind
    packet.segment = segment
    packet.segment_to = to
    packet.acks = back.rcv_nxt
    packet.sacks = back.out_of_order
    packet.dsack_end = dsack_end
    packet.echo_s = back.echo_s
    staging.label(flow, link, size)
    if link.profile.path.duplicated > 0.0 or link.profile.path.reordered > 0.0:
        _disorder(flow, link, now)


@kernel
def _disorder(flow: Flow, link: Link, now: float) -> None:
    """Double the last packet on the wire, if the path does, and move it before those that it overtakes."""
    last = flow.wire_tail - 1
    if is_doubled(link, flow.direction, now) and _takes_twice(flow, link):
        flow.packets[flow.wire_tail % PACKETS] = flow.packets[last % PACKETS]
        flow.wire_tail += 1
        _sort_in(flow, last)
    _sort_in(flow, flow.wire_tail - 1)


@part
def _takes_twice(flow: Flow, link: Link) -> bool:
    """Return whether a packet that comes twice is noticed: a tunnel drops the second one."""
    return link.profile.tunnel.kind == NO_TUNNEL and flow.wire_tail - flow.wire_head < PACKETS


@kernel
def _pass_on(flow: Flow, back: Flow, link: Link, kind: int, size: int, now: float) -> float:
    """Return when a packet arrives, in s, or NaN if it is lost; the path may have forgotten its connection."""
    path = link.profile.path
    if path.tcp_idle_s > 0.0 and link.profile.tunnel.kind == NO_TUNNEL:
        _use_mapping(flow, back, link, kind, now)
    if flow.is_forgotten and flow.direction == DOWN and (kind != RESET or not flow.is_unmapped):
        return nan
    arrives = staging.send(flow, link, now, size)
    if flow.is_forgotten and flow.direction == UP:
        if flow.is_unmapped and path.resets and kind != RESET and not isnan(arrives):
            back.control = RESET
        return nan
    if flow.direction == UP and not isnan(arrives):
        flow.mapped_s = now
    return arrives


@part
def _use_mapping(flow: Flow, back: Flow, link: Link, kind: int, now: float) -> None:
    """Note that the NAT's mapping of the connection is made or used, or find that it has expired."""
    up = flow if flow.direction == UP else back
    idle_s = link.profile.path.tcp_idle_s
    if kind != SYN and now - up.mapped_s > idle_s:
        if not flow.is_unmapped:
            take_note(link.tunnel, FORGOTTEN, up.mapped_s + idle_s)
        flow.is_forgotten = back.is_forgotten = flow.is_unmapped = back.is_unmapped = True
    elif kind == SYN or flow.direction == DOWN:
        up.mapped_s = now


@kernel
def _sort_in(flow: Flow, position: int) -> None:
    """Move a packet on the wire before those that it overtakes."""
    if position == flow.wire_head or flow.wire_tail - flow.wire_head == PACKETS:
        return
    arrives_s = flow.packets[position % PACKETS].arrives_s
    if flow.packets[(position - 1) % PACKETS].arrives_s <= arrives_s:
        return
    free = flow.wire_tail % PACKETS
    flow.packets[free] = flow.packets[position % PACKETS]
    while position > flow.wire_head and flow.packets[(position - 1) % PACKETS].arrives_s > arrives_s:
        flow.packets[position % PACKETS] = flow.packets[(position - 1) % PACKETS]
        position -= 1
    flow.packets[position % PACKETS] = flow.packets[free]


@kernel
def _retransmit(flow: Flow, back: Flow, link: Link, segment: int, now: float) -> None:
    """Retransmit a packet, with as much of what follows as fits into it (tcp_retrans_try_collapse)."""
    end = packet_end(flow, segment)
    begin = _begin(flow, segment)
    while end < flow.snd_nxt and not flow.segments[end % SEGMENTS].is_sacked:
        to = packet_end(flow, end)
        if flow.segments[(to - 1) % SEGMENTS].end - begin > flow.mss_bytes:
            break
        unmark(flow, end)
        flow.segments[end % SEGMENTS].is_joined = True
        flow.joined += 1
        end = to
    flow.segments[segment % SEGMENTS].ever_retrans = True
    _transmit(flow, back, link, DATA, segment, now)


@kernel
def _retransmit_lost(flow: Flow, back: Flow, link: Link, now: float) -> None:
    i = flow.snd_una
    while i < flow.snd_nxt and flow.lost_out > flow.retrans_out and in_flight(flow) + 1.0 <= flow.cwnd:
        out = flow.segments[i % SEGMENTS]
        if out.is_lost and not out.is_retransmitted:
            out.is_retransmitted = True
            flow.retrans_out += 1
            flow.undo_retrans = max(flow.undo_retrans, 0) + 1
            flow.prr_out += 1
            if isnan(flow.retrans_stamp_s):
                flow.retrans_stamp_s = now
            if i == flow.snd_una and flow.to_send != TIMED_OUT and flow.timer != REORDER:
                set_timer(flow, RTO, now, flow.rto_s)
            _retransmit(flow, back, link, i, now)
        i += 1


@kernel
def _send_new(flow: Flow, back: Flow, link: Link, now: float) -> None:
    """Send new data as far as cwnd allows. A probe is sent in any case, with old data if there is none."""
    is_probe = flow.probe_due
    flow.probe_due = False
    if flow.snd_una == flow.snd_nxt and now - flow.last_sent_s > flow.rto_s:
        _restart_cwnd(flow, now - flow.last_sent_s)
    sent = restarts = False
    while flow.packed < flow.written and flow.snd_nxt - flow.snd_una < SEGMENTS - 1:
        if not is_probe and in_flight(flow) + 1.0 > flow.cwnd:
            break
        restarts = restarts or flow.snd_una == flow.snd_nxt or flow.timer == PROBE
        _append(flow)
        _transmit(flow, back, link, DATA, flow.snd_nxt - 1, now)
        flow.prr_out += 1
        sent = True
        if is_probe:
            break
    if sent or not is_probe:
        _validate_cwnd(flow)
    if not is_probe:
        if sent and not schedule_probe(flow, now, False) and restarts:
            rearm(flow, now)
        return
    flow.tlp_retrans = not sent
    if not sent:
        _retransmit_last(flow, back, link, now)
    flow.tlp_high_seq = flow.snd_nxt


@kernel
def _retransmit_last(flow: Flow, back: Flow, link: Link, now: float) -> None:
    """Retransmit the last packet, as a tail loss probe."""
    last = flow.snd_nxt - 1
    while flow.segments[last % SEGMENTS].is_joined:
        last -= 1
    flow.segments[last % SEGMENTS].ever_retrans = True
    _transmit(flow, back, link, DATA, last, now)


@kernel
def _restart_cwnd(flow: Flow, idle_s: float) -> None:
    """Halve cwnd for each RTO without sending, down to the initial window (tcp_cwnd_restart; RFC 2861, 3.2)."""
    flow.ssthresh = max(flow.ssthresh, floor(0.75 * flow.cwnd))
    least = min(float(INITIAL_WINDOW), flow.cwnd)
    left_s = idle_s - flow.rto_s
    while left_s > 0.0 and flow.cwnd > least:
        flow.cwnd = max(floor(flow.cwnd / 2.0), least)
        left_s -= flow.rto_s


@part
def _append(flow: Flow) -> None:
    """Cut the next segment from what was written."""
    segment = flow.segments[flow.snd_nxt % SEGMENTS]
    flow.packed += min(flow.mss_bytes, flow.written - flow.packed)
    segment.end = flow.packed
    segment.received_s = nan
    segment.is_joined = segment.ever_retrans = segment.is_retransmitted = segment.is_sacked = segment.is_lost = False
    flow.snd_nxt += 1


@part
def _validate_cwnd(flow: Flow) -> None:
    """Record how much of cwnd is in use, which decides whether it may grow (tcp_cwnd_validate)."""
    limits = in_flight(flow) + 1.0 > flow.cwnd
    out = flow.snd_nxt - flow.snd_una - flow.joined
    if flow.snd_una >= flow.cwnd_usage_seq or limits or (not flow.is_cwnd_limited and out > flow.max_packets_out):
        flow.is_cwnd_limited = limits
        flow.max_packets_out = out
        flow.cwnd_usage_seq = flow.snd_nxt


@kernel
def expire(flow: Flow, now: float) -> None:
    """Handle the sender's timer, which fires now."""
    flow.timer_s = FIRING
    if flow.timer == RTO:
        _time_out(flow, now)
    elif flow.timer == REORDER:
        _stop_waiting(flow, now)
    elif flow.tlp_high_seq == 0:
        flow.probe_due = True
        set_timer(flow, RTO, now, flow.rto_s)
    else:
        rearm(flow, now)


@kernel
def _stop_waiting(flow: Flow, now: float) -> None:
    """Mark as lost what may have been reordered and did not come (tcp_rack_reo_timeout)."""
    losses = flow.lost_total
    detect_losses(flow, now)
    if flow.lost_total > losses:
        if flow.ca_state != RECOVERY:
            enter_recovery(flow)
            update_cwnd(flow, 1, False, flow.lost_total - losses)
        flow.to_send = LOST
    if flow.timer != RTO:
        rearm(flow, now)


@kernel
def _time_out(flow: Flow, now: float) -> None:
    """Retransmit from the oldest segment on, and double the RTO; or give up."""
    limit = flow.user_timeout_s
    if limit == 0.0:
        limit = GIVE_UP_ORPHAN_S if flow.orphan else GIVE_UP_S
    if flow.retransmits > 0 and now - flow.retrans_stamp_s >= limit - 1e-9:
        kill(flow)
        return
    enter_loss(flow, now)
    flow.to_send = TIMED_OUT
    flow.retransmits += 1
    if isnan(flow.retrans_stamp_s):
        flow.retrans_stamp_s = now
    wait = back_off(flow)
    if flow.user_timeout_s > 0.0:
        wait = min(wait, max(flow.retrans_stamp_s + flow.user_timeout_s - now, TICK_S))
    set_timer(flow, RTO, now, wait)


@kernel
def kill(flow: Flow) -> None:
    """End the sender: nothing is sent any more."""
    flow.dead = True
    flow.timer = NO_TIMER
    flow.timer_s = inf
