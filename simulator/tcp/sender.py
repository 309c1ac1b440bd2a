"""The sender: what it sends and when, what it makes of acknowledgements, and how it takes a loss."""

from math import inf, isnan, nan

from heartbench.simulator.kernel import kernel, part
from heartbench.simulator.link import Record, transmit
from heartbench.simulator.tcp.flow import (
    DATA,
    GIVE_UP_ORPHAN_S,
    GIVE_UP_S,
    INITIAL_WINDOW,
    LOSS,
    NO_TIMER,
    OPEN,
    PACKETS,
    PROBE,
    RECOVERY,
    REORDER,
    RTO,
    RTO_MAX_S,
    SEGMENTS,
    TICK_S,
)
from heartbench.simulator.tcp.timers import rearm, sample, schedule_probe, set_timer


@kernel
def emit(flow: Record, back: Record, link: Record, now: float) -> None:
    """Give the link what is due in this direction: control, lost segments, a probe, new segments, acknowledgements."""
    if flow.control != DATA:
        _put(flow, back, link, flow.control, -1, now)
        flow.control = DATA
    if not flow.dead:
        if flow.lost > flow.resending:
            _resend_lost(flow, back, link, now)
        if flow.probe_due or flow.packed < flow.written:
            _send_new(flow, back, link, now)
    if back.ack_due_s <= now:
        _put(flow, back, link, DATA, -1, now)


@kernel
def _put(flow: Record, back: Record, link: Record, kind: int, segment: int, now: float) -> None:
    """Give the link a packet: a segment of `flow` (−1: none), and what `back` has received so far."""
    back.ack_due_s = inf
    back.acked = back.expected
    arrives = transmit(link, flow.direction, now)
    if segment >= 0:
        flow.sent_s[segment % SEGMENTS] = now
        flow.last_sent_s = now
    if isnan(arrives) or flow.wire_tail - flow.wire_head == PACKETS:
        return
    if flow.wire_head == flow.wire_tail:
        flow.wire_head = flow.wire_tail = 0  # an empty ring starts over: the same few cache lines serve
    i = flow.wire_tail % PACKETS
    flow.wire_tail += 1
    flow.arrives_s[i] = arrives
    flow.left_s[i] = now
    flow.kind[i] = kind
    flow.segment[i] = segment
    flow.acks[i] = back.expected
    flow.echoes_s[i] = back.echo_s


@part
def in_flight(flow: Record) -> int:
    """Count the segments that are thought to be on their way."""
    return flow.tail - flow.head - flow.sacked - flow.lost + flow.resending


@kernel
def _resend_lost(flow: Record, back: Record, link: Record, now: float) -> None:
    for i in range(flow.head, flow.tail):
        if flow.lost <= flow.resending or in_flight(flow) >= flow.window:
            return
        out = i % SEGMENTS
        if flow.is_lost[out] and not flow.is_resending[out]:
            flow.is_resent[out] = flow.is_resending[out] = True
            flow.resending += 1
            if isnan(flow.first_retry_s):
                flow.first_retry_s = now
            if i == flow.head and flow.state == RECOVERY and flow.timer != REORDER:
                set_timer(flow, RTO, now, flow.rto_s)
            _put(flow, back, link, DATA, i, now)


@kernel
def _send_new(flow: Record, back: Record, link: Record, now: float) -> None:
    """Send what was written as far as the window allows; a probe goes in any case, with old data where none is new."""
    if flow.head == flow.tail and now - flow.last_sent_s > flow.rto_s:
        flow.window = min(flow.window, float(INITIAL_WINDOW))  # congestion window validation after an idle time
    sent = False
    restarts = flow.head == flow.tail or flow.timer == PROBE
    while flow.packed < flow.written and flow.tail - flow.head < SEGMENTS:
        if in_flight(flow) >= flow.window and not flow.probe_due:
            break
        i = flow.tail % SEGMENTS
        flow.packed += min(link.profile.mss_bytes, flow.written - flow.packed)
        flow.segment_end[i] = flow.packed
        flow.received_s[i] = nan
        flow.is_resent[i] = flow.is_resending[i] = flow.is_sacked[i] = flow.is_lost[i] = False
        flow.tail += 1
        flow.probe_due = False
        _put(flow, back, link, DATA, flow.tail - 1, now)
        sent = True
    if flow.probe_due:
        flow.probe_due = False
        flow.is_resent[(flow.tail - 1) % SEGMENTS] = True
        _put(flow, back, link, DATA, flow.tail - 1, now)
    elif sent and (flow.probed > 0 or not schedule_probe(flow, now, False)) and restarts:
        rearm(flow, now)


@part
def _unmark(flow: Record, segment: int) -> None:
    """Take a segment out of the counts of lost and resent ones."""
    out = segment % SEGMENTS
    if flow.is_lost[out]:
        flow.is_lost[out] = False
        flow.lost -= 1
    if flow.is_resending[out]:
        flow.is_resending[out] = False
        flow.resending -= 1


@kernel
def _mark_lost(flow: Record, segment: int) -> None:
    _unmark(flow, segment)
    flow.is_lost[segment % SEGMENTS] = True
    flow.lost += 1


@part
def _take_ack(flow: Record, acks: int, acked_s: float, echo_s: float, now: float) -> bool:
    """Drop what is acknowledged, mark what is selectively so, sample the RTT; say whether anything advanced."""
    first = nan
    before = flow.head
    while flow.head < acks:
        out = flow.head % SEGMENTS
        if flow.is_sacked[out]:
            flow.sacked -= 1
        elif not flow.is_resent[out] and isnan(first):
            first = flow.sent_s[out]
        flow.newest_s = max(flow.newest_s, flow.sent_s[out])
        _unmark(flow, flow.head)
        flow.head += 1
    if flow.strays > 0:
        for i in range(max(acks + 1, flow.head), flow.tail):
            out = i % SEGMENTS
            if not flow.is_sacked[out] and flow.received_s[out] <= acked_s:
                flow.is_sacked[out] = True
                flow.sacked += 1
                flow.newest_s = max(flow.newest_s, flow.sent_s[out])
                _unmark(flow, i)
    if flow.head > before:
        flow.retries = 0
        sample(flow, now - (echo_s if isnan(first) else first))
    return flow.head > before


@kernel
def _detect_losses(flow: Record, now: float) -> None:
    """Mark as lost what was sent a reordering window before something that has arrived; wait for what may yet come."""
    window = 0.0 if flow.state != OPEN or flow.sacked >= 3 else flow.srtt_s / 8.0
    wait = 0.0
    for i in range(flow.head, flow.tail):
        out = i % SEGMENTS
        if (
            flow.is_sacked[out]
            or (flow.is_lost[out] and not flow.is_resending[out])
            or flow.sent_s[out] >= flow.newest_s
        ):
            continue
        if flow.newest_s - flow.sent_s[out] + (0.0 if flow.timer != REORDER else window) >= window:
            _mark_lost(flow, i)
        else:
            wait = max(wait, window - (flow.newest_s - flow.sent_s[out]))
    if wait > 0.0:
        set_timer(flow, REORDER, now, wait)
    if flow.state == OPEN and flow.lost > 0:
        flow.threshold = flow.window = max(0.7 * flow.window, 2.0)
        flow.high = flow.tail
        flow.state = RECOVERY


@part
def _recover(flow: Record, advanced: bool, echo_s: float, now: float) -> None:
    """Leave loss recovery where an acknowledgement ends it or proves it wrong; else look for further losses."""
    if (
        flow.state == LOSS and advanced and echo_s < flow.first_retry_s
    ):  # what arrived had left before: nothing was lost
        for i in range(flow.head, flow.tail):
            _unmark(flow, i)
        flow.window = max(flow.window, flow.old_window)
        flow.threshold = inf
        flow.state = OPEN
    if flow.state != OPEN and flow.head >= flow.high:
        if flow.state == RECOVERY:
            flow.window = flow.threshold
        flow.state = OPEN
    if flow.head < flow.tail and (flow.sacked > 0 or flow.state != OPEN):
        _detect_losses(flow, now)


@part
def acknowledge(flow: Record, acks: int, acked_s: float, echo_s: float, now: float) -> None:
    """Take an acknowledgement of `acks` segments: it left at `acked_s` and echoes the timestamp `echo_s`."""
    if flow.dead or flow.head == flow.tail:
        return
    before = flow.head
    advanced = _take_ack(flow, acks, acked_s, echo_s, now)
    if flow.head >= flow.probed:
        flow.probed = 0
    _recover(flow, advanced, echo_s, now)
    if flow.resending == 0:
        flow.first_retry_s = nan
    if advanced and flow.state != RECOVERY and 2 * (flow.tail - before) >= flow.window:
        flow.window += (flow.head - before) / (1.0 if flow.window < flow.threshold else flow.window)
    if flow.head == flow.tail:
        flow.timer = NO_TIMER
        flow.timer_s = inf
    elif advanced and flow.timer != REORDER and not schedule_probe(flow, now, True):
        rearm(flow, now)


@kernel
def expire(flow: Record, now: float) -> None:
    """Act on the sender's timer, which fires now."""
    if flow.timer == RTO:
        _time_out(flow, now)
    elif flow.timer == REORDER:
        _detect_losses(flow, now)
        set_timer(flow, RTO, now, flow.rto_s)
    else:
        if flow.probed == 0:
            flow.probe_due = True
            flow.probed = flow.tail + (1 if flow.packed < flow.written else 0)
        set_timer(flow, RTO, now, flow.rto_s)


@kernel
def _time_out(flow: Record, now: float) -> None:
    """Take all that is out for lost and begin again with the oldest segment; or give up."""
    limit = flow.user_timeout_s
    if limit == 0.0:
        limit = GIVE_UP_ORPHAN_S if flow.orphan else GIVE_UP_S
    if flow.retries > 0 and now - flow.first_retry_s >= limit - 1e-9:
        kill(flow)
        return
    if flow.state != LOSS or flow.retries == 0:
        flow.old_window = flow.window
        flow.threshold = max(0.7 * flow.window, 2.0)
    for i in range(flow.head, flow.tail):
        out = i % SEGMENTS
        if not flow.is_sacked[out] and (i == flow.head or now - flow.sent_s[out] >= flow.srtt_s):
            _mark_lost(flow, i)
    flow.state = LOSS
    flow.high = flow.tail
    flow.probed = 0
    flow.window = in_flight(flow) + 1.0
    flow.retries += 1
    if isnan(flow.first_retry_s):
        flow.first_retry_s = now
    flow.rto_s = min(2.0 * flow.rto_s, RTO_MAX_S)
    wait = flow.rto_s
    if flow.user_timeout_s > 0.0:
        wait = min(wait, max(flow.first_retry_s + flow.user_timeout_s - now, TICK_S))
    set_timer(flow, RTO, now, wait)


@kernel
def kill(flow: Record) -> None:
    """Let the sender end: nothing is sent again."""
    flow.dead = True
    flow.timer = NO_TIMER
    flow.timer_s = inf
