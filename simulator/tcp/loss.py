"""What the sender concludes from acknowledgements: what has arrived, what is lost, and how wide its window is.

    OPEN ──something is missing──▶ DISORDER ──RACK: lost──▶ RECOVERY ──all before `high` acknowledged──▶ OPEN
      └──────────────────────────────┴── RTO ──▶ LOSS ◀── RTO ──┘
    LOSS ──all before `high` acknowledged, or the timeout was spurious──▶ OPEN;  ──a retransmission is lost──▶ RECOVERY

An order of tcp_fastretrans_alert and of what it calls (tcp_input.c, tcp_recovery.c). Spurious is a timeout where an
echoed timestamp is older than the first retransmission (Eifel, RFC 4015), where D-SACKs tell that each retransmission
arrived a second time (RFC 3708), or where something arrived that was sent once only (F-RTO, RFC 5682). Reordering is
not learnt: the link keeps the order.
"""

from math import floor, inf, isnan, nan

from heartbench.simulator.kernel import kernel, part
from heartbench.simulator.link import Record
from heartbench.simulator.tcp.flow import (
    DISORDER,
    LOSS,
    LOST,
    NEW,
    OPEN,
    RECOVERY,
    REORDER,
    SEGMENTS,
    TIMEOUT_MIN_S,
    in_flight,
)
from heartbench.simulator.tcp.timers import set_timer


@part
def unmark(flow: Record, segment: int) -> None:
    """Take a segment out of the counts of lost and resent ones."""
    out = flow.segments[segment % SEGMENTS]
    if out.is_lost:
        out.is_lost = False
        flow.lost -= 1
    if out.is_resending:
        out.is_resending = False
        flow.resending -= 1


@part
def mark_lost(flow: Record, segment: int) -> None:
    """Take a segment, and what was sent of it again, for lost."""
    unmark(flow, segment)
    flow.segments[segment % SEGMENTS].is_lost = True
    flow.lost += 1
    flow.losses += 1


@part
def note_arrival(flow: Record, segment: int, now: float) -> None:
    """Let RACK know that a packet has arrived (tcp_rack_advance): the newest counts, but for its RTT the latest."""
    out = flow.segments[segment % SEGMENTS]
    sent_s = out.sent_s
    if out.is_resent and now - sent_s < flow.least_rtt_s:
        return  # too soon: it was an earlier one of its transmissions
    flow.is_news = True
    flow.newest_rtt_s = now - sent_s
    if sent_s > flow.newest_s or (sent_s == flow.newest_s and segment > flow.newest):
        flow.newest = segment
        flow.newest_s = sent_s


@kernel
def detect_losses(flow: Record, now: float) -> bool:
    """Mark as lost what was sent a reordering window before the newest that has arrived.

    Says whether something may yet come and is waited for (tcp_rack_detect_loss, tcp_rack_mark_lost).
    """
    window = 0.0 if flow.state >= RECOVERY or flow.sacked >= 3 else min(flow.least_rtt_s / 4.0, flow.srtt_s)
    wait = 0.0
    for i in range(flow.head, flow.tail):
        out = flow.segments[i % SEGMENTS]
        if out.is_joined or out.is_sacked or (out.is_lost and not out.is_resending):
            continue
        sent_s = out.sent_s
        if sent_s > flow.newest_s or (sent_s == flow.newest_s and i >= flow.newest):
            continue
        left = flow.newest_rtt_s + window - (now - sent_s)
        if left <= 1e-9:
            mark_lost(flow, i)
        else:
            wait = max(wait, left)
    if wait > 0.0:
        set_timer(flow, REORDER, now, min(wait + TIMEOUT_MIN_S, flow.rto_s))
    return wait > 0.0


@part
def _look_for_losses(flow: Record, now: float) -> bool:
    if flow.head == flow.tail or not flow.is_news:
        return False
    flow.is_news = False
    return detect_losses(flow, now)


@part
def reduced(flow: Record) -> float:
    """Give the window after a loss (RFC 9438, beta = 717/1024)."""
    return max(floor(flow.window * 717.0 / 1024.0), 2.0)


@kernel
def begin_undo(flow: Record) -> None:
    """Keep what an undo would restore."""
    flow.old_threshold = max(flow.threshold, floor(0.75 * flow.window))
    flow.old_window = flow.window
    flow.undo = flow.head
    flow.undo_retries = flow.resending + (1 if flow.probed > 0 and flow.probe_resent else 0)
    if flow.undo_retries == 0:
        flow.undo_retries = -1


@kernel
def enter_recovery(flow: Record) -> None:
    """Begin to send again what is lost, at a reduced window."""
    begin_undo(flow)
    flow.high = flow.tail
    flow.probed = 0
    flow.delivered_in_recovery = flow.sent_in_recovery = 0
    flow.threshold = reduced(flow)
    if not _was_resent(flow):
        flow.first_retry_s = nan
    flow.state = RECOVERY


@kernel
def enter_loss(flow: Record, now: float) -> None:
    """Take what is out for lost, but for what was sent less than a round trip ago."""
    is_new = flow.state < RECOVERY
    for i in range(flow.head, flow.tail):
        out = flow.segments[i % SEGMENTS]
        if out.is_joined or out.is_sacked:
            continue
        if i == flow.head or now - out.sent_s >= flow.newest_rtt_s:
            mark_lost(flow, i)
    if is_new or flow.high <= flow.head or (flow.state == LOSS and flow.retries == 0):
        begin_undo(flow)
        flow.threshold = reduced(flow)
    flow.window = in_flight(flow) + 1.0
    flow.state = LOSS
    flow.high = flow.tail
    flow.probed = 0
    flow.is_trying = is_new or flow.retries > 0


@kernel
def _undo(flow: Record, unmark_losses: bool) -> None:
    """Take back a reduction of the window that was for nothing."""
    if unmark_losses:
        for i in range(flow.head, flow.tail):
            if flow.segments[i % SEGMENTS].is_lost:
                flow.segments[i % SEGMENTS].is_lost = False
                flow.lost -= 1
    flow.window = max(flow.window, flow.old_window)
    flow.threshold = max(flow.threshold, flow.old_threshold)
    flow.undo = -1
    flow.is_news = True


@part
def _was_resent(flow: Record) -> bool:
    """Whether anything that is out has been sent again."""
    return flow.resending > 0 or (flow.head < flow.tail and flow.segments[flow.head % SEGMENTS].is_resent)


@kernel
def _keep_open(flow: Record) -> None:
    state = DISORDER if flow.lost > 0 or flow.sacked > 0 or _was_resent(flow) else OPEN
    if flow.state != state:
        flow.state = state
        flow.high = flow.tail


@part
def _is_delayed(flow: Record, echo_s: float) -> bool:
    """Whether what has arrived left before the first retransmission."""
    return isnan(flow.first_retry_s) or echo_s < flow.first_retry_s


@kernel
def _end_recovery(flow: Record, echo_s: float) -> None:
    """All is acknowledged that was out when the loss was found (tcp_try_undo_recovery)."""
    if flow.undo >= 0 and (flow.undo_retries == 0 or _is_delayed(flow, echo_s)):
        _undo(flow, False)
    flow.state = OPEN


@kernel
def judge(flow: Record, advanced: bool, sacked: bool, once: bool, echo_s: float, now: float) -> bool:
    """Draw the conclusions of an acknowledgement that is not plain, and set what is to be sent; say whether RACK waits.

    `advanced`: more is acknowledged in order; `sacked`: beyond a gap; `once`: something that was sent once only and
    before recovery began.
    """
    waits = False
    if flow.state == OPEN:
        flow.first_retry_s = nan
    elif flow.state == RECOVERY and flow.head >= flow.high:
        _end_recovery(flow, echo_s)
        if flow.threshold < inf and flow.undo >= 0:
            flow.window = flow.threshold
    if flow.state == RECOVERY:
        if advanced and flow.undo >= 0 and _is_delayed(flow, echo_s):
            if flow.resending > 0:
                return False
            _undo(flow, True)
            _keep_open(flow)
        if flow.undo >= 0 and flow.undo_retries == 0:
            _undo(flow, False)
            _keep_open(flow)
    elif flow.state == LOSS:
        _judge_timeout(flow, advanced, sacked, once, echo_s)
        before = flow.resending
        waits = _look_for_losses(flow, now)
        if flow.state == LOSS and flow.resending >= before:
            return waits
    elif flow.undo >= 0 and flow.undo_retries == 0:
        _undo(flow, False)
    waits = _look_for_losses(flow, now) or waits
    if flow.state == RECOVERY:
        flow.to_send = LOST
    elif flow.lost > 0:
        enter_recovery(flow)
        flow.to_send = LOST
    elif flow.state != RECOVERY:
        if not _was_resent(flow):
            flow.first_retry_s = nan
        _keep_open(flow)
    return waits


@kernel
def _judge_timeout(flow: Record, advanced: bool, sacked: bool, once: bool, echo_s: float) -> None:
    """Go on after a timeout, or find that it was spurious (tcp_process_loss)."""
    recovered = flow.head >= flow.high
    is_spurious = advanced and flow.undo >= 0 and (flow.undo_retries == 0 or _is_delayed(flow, echo_s))
    if is_spurious or (flow.is_trying and once):
        _undo(flow, True)
        flow.retries = 0
        flow.state = OPEN
        return
    if flow.is_trying:
        if flow.tail > flow.high:
            if sacked:
                flow.is_trying = False
        elif advanced and not recovered:
            flow.high = flow.tail
            if flow.packed < flow.written:
                flow.to_send = NEW
                return
            flow.is_trying = False
    if recovered:
        _end_recovery(flow, echo_s)
    else:
        flow.to_send = LOST


@kernel
def end_probe(flow: Record, acks: int, again: int) -> None:
    """Close a tail loss probe that is answered; a loss that it has repaired narrows the window (RFC 8985, 7.4)."""
    if acks < flow.probed:
        return
    if not flow.probe_resent or again == flow.probed:
        flow.probed = 0
    elif acks > flow.probed:
        flow.threshold = flow.window = reduced(flow)
        flow.high = flow.tail
        flow.probed = 0
        _keep_open(flow)


@part
def widen(flow: Record, delivered: int, advanced: bool, lost: int) -> None:
    """Set the window after `delivered` packets: PRR in recovery (RFC 6937), else slow start or congestion avoidance."""
    if flow.state == RECOVERY:
        _reduce(flow, delivered, advanced, lost)
    elif advanced and (flow.window_limits or (flow.window < flow.threshold and flow.window < 2.0 * flow.window_used)):
        if flow.window < flow.threshold:
            flow.window = min(flow.window + delivered, flow.threshold)
        else:
            flow.window += delivered / flow.window


@kernel
def _reduce(flow: Record, delivered: int, advanced: bool, lost: int) -> None:
    if delivered <= 0:
        return
    flow.delivered_in_recovery += delivered
    out = in_flight(flow)
    room = flow.threshold - out
    if room < 0.0:
        part = (flow.threshold * flow.delivered_in_recovery + flow.old_window - 1.0) // flow.old_window
        count = part - flow.sent_in_recovery
    else:
        count = max(flow.delivered_in_recovery - flow.sent_in_recovery, delivered)
        if advanced and lost == 0:
            count += 1
        count = min(room, count)
    flow.window = out + max(count, 0.0 if flow.sent_in_recovery > 0 else 1.0)
