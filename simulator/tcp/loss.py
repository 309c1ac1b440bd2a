"""What the sender concludes from acknowledgements: what is lost, and what cwnd is.

    OPEN ──something is missing──▶ DISORDER ──RACK: lost──▶ RECOVERY ──all before high_seq acknowledged──▶ OPEN
      └──────────────────────────────┴── RTO ──▶ LOSS ◀── RTO ──┘
    LOSS ──all before high_seq acknowledged, or the timeout was spurious──▶ OPEN; ──a retransmission is lost──▶ RECOVERY

It follows tcp_fastretrans_alert and what that calls (tcp_input.c, tcp_recovery.c). A timeout is spurious if an echoed
timestamp is older than the first retransmission (Eifel, RFC 4015), if D-SACKs show that each retransmission arrived a
second time (RFC 3708), or if something arrived that was sent only once (F-RTO, RFC 5682). The degree of reordering is
not learnt: most links keep the order.
"""

from math import floor, inf, isnan, nan

from heartbench.simulator.kernel import kernel, part
from heartbench.simulator.tcp.flow import DISORDER, LOSS, LOST, NEW, OPEN, RECOVERY, REORDER, SEGMENTS, Flow, in_flight
from heartbench.simulator.tcp.timers import TIMEOUT_MIN_S, set_timer


@part
def unmark(flow: Flow, segment: int) -> None:
    """Remove a segment from the counts of lost and retransmitted ones."""
    out = flow.segments[segment % SEGMENTS]
    if out.is_lost:
        out.is_lost = False
        flow.lost_out -= 1
    if out.is_retransmitted:
        out.is_retransmitted = False
        flow.retrans_out -= 1


@part
def mark_lost(flow: Flow, segment: int) -> None:
    """Mark a segment, and its retransmission if any, as lost."""
    unmark(flow, segment)
    flow.segments[segment % SEGMENTS].is_lost = True
    flow.lost_out += 1
    flow.lost_total += 1


@part
def advance_rack(flow: Flow, segment: int, now: float) -> None:
    """Advance RACK to a packet that has arrived (tcp_rack_advance): the newest sent, but the RTT of the latest."""
    out = flow.segments[segment % SEGMENTS]
    sent_s = out.sent_s
    if out.ever_retrans and now - sent_s < flow.min_rtt_s:
        return  # too soon: it was an earlier transmission
    flow.rack_advanced = True
    flow.rack_rtt_s = now - sent_s
    if sent_s > flow.rack_sent_s or (sent_s == flow.rack_sent_s and segment > flow.rack_segment):
        flow.rack_segment = segment
        flow.rack_sent_s = sent_s


@kernel
def detect_losses(flow: Flow, now: float) -> bool:
    """Mark as lost what was sent a reordering window before the newest that has arrived.

    Return whether the reordering timer waits for packets that may yet come (tcp_rack_detect_loss, tcp_rack_mark_lost).
    """
    window = 0.0 if flow.ca_state >= RECOVERY or flow.sacked_out >= 3 else min(flow.min_rtt_s / 4.0, flow.srtt_s)
    wait = 0.0
    for i in range(flow.snd_una, flow.snd_nxt):
        out = flow.segments[i % SEGMENTS]
        if out.is_joined or out.is_sacked or (out.is_lost and not out.is_retransmitted):
            continue
        sent_s = out.sent_s
        if sent_s > flow.rack_sent_s or (sent_s == flow.rack_sent_s and i >= flow.rack_segment):
            continue
        left = flow.rack_rtt_s + window - (now - sent_s)
        if left <= 1e-9:
            mark_lost(flow, i)
        else:
            wait = max(wait, left)
    if wait > 0.0:
        set_timer(flow, REORDER, now, min(wait + TIMEOUT_MIN_S, flow.rto_s))
    return wait > 0.0


@part
def _identify_losses(flow: Flow, now: float) -> bool:
    if flow.snd_una == flow.snd_nxt or not flow.rack_advanced:
        return False
    flow.rack_advanced = False
    return detect_losses(flow, now)


@part
def reduced_cwnd(flow: Flow) -> float:
    """Return cwnd after a loss (RFC 9438, beta = 717/1024)."""
    return max(floor(flow.cwnd * 717.0 / 1024.0), 2.0)


@kernel
def init_undo(flow: Flow) -> None:
    """Save what an undo would restore."""
    flow.prior_ssthresh = max(flow.ssthresh, floor(0.75 * flow.cwnd))
    flow.prior_cwnd = flow.cwnd
    flow.undo_marker = flow.snd_una
    flow.undo_retrans = flow.retrans_out + (1 if flow.tlp_high_seq > 0 and flow.tlp_retrans else 0)
    if flow.undo_retrans == 0:
        flow.undo_retrans = -1


@kernel
def enter_recovery(flow: Flow) -> None:
    """Begin to retransmit what is lost, at a reduced ssthresh."""
    init_undo(flow)
    flow.high_seq = flow.snd_nxt
    flow.tlp_high_seq = 0
    flow.prr_delivered = flow.prr_out = 0
    flow.ssthresh = reduced_cwnd(flow)
    if not _any_retrans(flow):
        flow.retrans_stamp_s = nan
    flow.ca_state = RECOVERY


@kernel
def enter_loss(flow: Flow, now: float) -> None:
    """Mark what is in flight as lost, except what was sent less than a round trip ago."""
    is_new = flow.ca_state < RECOVERY
    for i in range(flow.snd_una, flow.snd_nxt):
        out = flow.segments[i % SEGMENTS]
        if out.is_joined or out.is_sacked:
            continue
        if i == flow.snd_una or now - out.sent_s >= flow.rack_rtt_s:
            mark_lost(flow, i)
    if is_new or flow.high_seq <= flow.snd_una or (flow.ca_state == LOSS and flow.retransmits == 0):
        init_undo(flow)
        flow.ssthresh = reduced_cwnd(flow)
    flow.cwnd = in_flight(flow) + 1.0
    flow.ca_state = LOSS
    flow.high_seq = flow.snd_nxt
    flow.tlp_high_seq = 0
    flow.frto = is_new or flow.retransmits > 0


@kernel
def _undo(flow: Flow, unmark_losses: bool) -> None:
    """Take back a needless reduction of cwnd."""
    if unmark_losses:
        for i in range(flow.snd_una, flow.snd_nxt):
            if flow.segments[i % SEGMENTS].is_lost:
                flow.segments[i % SEGMENTS].is_lost = False
                flow.lost_out -= 1
    flow.cwnd = max(flow.cwnd, flow.prior_cwnd)
    flow.ssthresh = max(flow.ssthresh, flow.prior_ssthresh)
    flow.undo_marker = -1
    flow.rack_advanced = True


@part
def _any_retrans(flow: Flow) -> bool:
    """Return whether anything in flight was retransmitted."""
    return flow.retrans_out > 0 or (flow.snd_una < flow.snd_nxt and flow.segments[flow.snd_una % SEGMENTS].ever_retrans)


@kernel
def _try_keep_open(flow: Flow) -> None:
    state = DISORDER if flow.lost_out > 0 or flow.sacked_out > 0 or _any_retrans(flow) else OPEN
    if flow.ca_state != state:
        flow.ca_state = state
        flow.high_seq = flow.snd_nxt


@part
def _is_delayed(flow: Flow, echo_s: float) -> bool:
    """Return whether what has arrived left before the first retransmission."""
    return isnan(flow.retrans_stamp_s) or echo_s < flow.retrans_stamp_s


@kernel
def _end_recovery(flow: Flow, echo_s: float) -> None:
    """End recovery: all that was in flight when the loss was found is acknowledged (tcp_try_undo_recovery)."""
    if flow.undo_marker >= 0 and (flow.undo_retrans == 0 or _is_delayed(flow, echo_s)):
        _undo(flow, False)
    flow.ca_state = OPEN


@kernel
def process_dubious_ack(flow: Flow, advanced: bool, sacked: bool, once: bool, echo_s: float, now: float) -> bool:
    """Process an acknowledgement in trouble (tcp_fastretrans_alert), and set what to send; return whether RACK waits.

    `advanced`: more is acknowledged in order; `sacked`: beyond a gap; `once`: something that was sent only once and
    before recovery began.
    """
    waits = False
    if flow.ca_state == OPEN:
        flow.retrans_stamp_s = nan
    elif flow.ca_state == RECOVERY and flow.snd_una >= flow.high_seq:
        _end_recovery(flow, echo_s)
        if flow.ssthresh < inf and flow.undo_marker >= 0:
            flow.cwnd = flow.ssthresh
    if flow.ca_state == RECOVERY:
        if advanced and flow.undo_marker >= 0 and _is_delayed(flow, echo_s):
            if flow.retrans_out > 0:
                return False
            _undo(flow, True)
            _try_keep_open(flow)
        if flow.undo_marker >= 0 and flow.undo_retrans == 0:
            _undo(flow, False)
            _try_keep_open(flow)
    elif flow.ca_state == LOSS:
        _process_loss(flow, advanced, sacked, once, echo_s)
        before = flow.retrans_out
        waits = _identify_losses(flow, now)
        if flow.ca_state == LOSS and flow.retrans_out >= before:
            return waits
    elif flow.undo_marker >= 0 and flow.undo_retrans == 0:
        _undo(flow, False)
    waits = _identify_losses(flow, now) or waits
    if flow.ca_state == RECOVERY:
        flow.to_send = LOST
    elif flow.lost_out > 0:
        enter_recovery(flow)
        flow.to_send = LOST
    elif flow.ca_state != RECOVERY:
        if not _any_retrans(flow):
            flow.retrans_stamp_s = nan
        _try_keep_open(flow)
    return waits


@kernel
def _process_loss(flow: Flow, advanced: bool, sacked: bool, once: bool, echo_s: float) -> None:
    """Continue after a timeout, or find that it was spurious (tcp_process_loss)."""
    recovered = flow.snd_una >= flow.high_seq
    is_spurious = advanced and flow.undo_marker >= 0 and (flow.undo_retrans == 0 or _is_delayed(flow, echo_s))
    if is_spurious or (flow.frto and once):
        _undo(flow, True)
        flow.retransmits = 0
        flow.ca_state = OPEN
        return
    if flow.frto:
        if flow.snd_nxt > flow.high_seq:
            if sacked:
                flow.frto = False
        elif advanced and not recovered:
            flow.high_seq = flow.snd_nxt
            if flow.packed < flow.written:
                flow.to_send = NEW
                return
            flow.frto = False
    if recovered:
        _end_recovery(flow, echo_s)
    else:
        flow.to_send = LOST


@kernel
def process_tlp_ack(flow: Flow, acks: int, dsack_end: int) -> None:
    """End a tail loss probe that is answered; a loss that it repaired reduces cwnd (RFC 8985, 7.4)."""
    if acks < flow.tlp_high_seq:
        return
    if not flow.tlp_retrans or dsack_end == flow.tlp_high_seq:
        flow.tlp_high_seq = 0
    elif acks > flow.tlp_high_seq:
        flow.ssthresh = flow.cwnd = reduced_cwnd(flow)
        flow.high_seq = flow.snd_nxt
        flow.tlp_high_seq = 0
        _try_keep_open(flow)


@part
def update_cwnd(flow: Flow, delivered: int, advanced: bool, lost: int) -> None:
    """Update cwnd after `delivered` packets: PRR in recovery (RFC 6937), else slow start or congestion avoidance."""
    if flow.ca_state == RECOVERY:
        _reduce_cwnd(flow, delivered, advanced, lost)
    elif advanced and (flow.is_cwnd_limited or (flow.cwnd < flow.ssthresh and flow.cwnd < 2.0 * flow.max_packets_out)):
        if flow.cwnd < flow.ssthresh:
            flow.cwnd = min(flow.cwnd + delivered, flow.ssthresh)
        else:
            flow.cwnd += delivered / flow.cwnd


@kernel
def _reduce_cwnd(flow: Flow, delivered: int, advanced: bool, lost: int) -> None:
    if delivered <= 0:
        return
    flow.prr_delivered += delivered
    out = in_flight(flow)
    room = flow.ssthresh - out
    if room < 0.0:
        part = (flow.ssthresh * flow.prr_delivered + flow.prior_cwnd - 1.0) // flow.prior_cwnd
        count = part - flow.prr_out
    else:
        count = max(flow.prr_delivered - flow.prr_out, delivered)
        if advanced and lost == 0:
            count += 1
        count = min(room, count)
    flow.cwnd = out + max(count, 0.0 if flow.prr_out > 0 else 1.0)
