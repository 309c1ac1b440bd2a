"""The sender: what it sends and when, what it does with acknowledgements, and what its timers make it do."""

from math import floor, inf, isnan, nan

from heartbench.simulator.kernel import kernel, part
from heartbench.simulator.link import Record, transmit
from heartbench.simulator.tcp.flow import (
    DATA,
    DELAYED_ACK_S,
    FIRING,
    GIVE_UP_ORPHAN_S,
    GIVE_UP_S,
    INITIAL_WINDOW,
    LOST,
    NEW,
    NO_TIMER,
    NOTHING,
    OPEN,
    PACKETS,
    PROBE,
    RECOVERY,
    REORDER,
    RTO,
    RTO_MAX_S,
    SEGMENTS,
    TICK_S,
    TIMED_OUT,
    in_flight,
    packet_end,
)
from heartbench.simulator.tcp.loss import (
    detect_losses,
    end_probe,
    enter_loss,
    enter_recovery,
    judge,
    note_arrival,
    unmark,
    widen,
)
from heartbench.simulator.tcp.timers import rearm, sample, schedule_probe, set_timer


@part
def has_due(flow: Record, back: Record, now: float) -> bool:
    """Whether `emit` has anything to do. Mostly it has not, and a call costs more than this look."""
    return (
        flow.control != DATA
        or flow.to_send != NOTHING
        or flow.probe_due
        or flow.packed < flow.written
        or back.ack_due_s <= now
    )


@part
def emit(flow: Record, back: Record, link: Record, now: float) -> None:
    """Give the link what is due in this direction: control, lost segments, a probe, new segments, acknowledgements."""
    if flow.control != DATA:
        _put(flow, back, link, flow.control, -1, now)
        flow.control = DATA
    if not flow.dead:
        if flow.to_send in (LOST, TIMED_OUT):
            _resend_lost(flow, back, link, now)
        if flow.probe_due or flow.packed < flow.written:
            _send_new(flow, back, link, now)
        if flow.to_send == NEW and flow.tail == flow.high:
            flow.is_trying = False
            _resend_lost(flow, back, link, now)
        flow.to_send = NOTHING
    if back.ack_due_s <= now:
        if back.ack_due_s > -inf:
            back.is_talking = False  # it waited in vain for something to go with
        _put(flow, back, link, DATA, -1, now)


@kernel
def _put(flow: Record, back: Record, link: Record, kind: int, segment: int, now: float) -> None:
    """Give the link a packet: what begins with a segment of `flow` (−1: nothing), and what `back` has received."""
    again = back.again
    back.ack_due_s = inf
    back.acked = back.expected
    back.again = 0
    arrives = transmit(link, flow.direction, now)
    to = segment
    if segment >= 0:
        to = packet_end(flow, segment)
        flow.segments[segment % SEGMENTS].sent_s = now
        flow.last_sent_s = now
        if now - back.last_data_s < DELAYED_ACK_S:
            back.is_talking = True
    if isnan(arrives) or flow.wire_tail - flow.wire_head == PACKETS:
        return
    if flow.wire_head == flow.wire_tail:
        flow.wire_head = flow.wire_tail = 0  # an empty ring starts over: the same few cache lines serve
    packet = flow.packets[flow.wire_tail % PACKETS]
    flow.wire_tail += 1
    packet.arrives_s = arrives
    packet.left_s = now
    packet.kind = kind
    packet.segment = segment
    packet.segment_to = to
    packet.acks = back.expected
    packet.sacks = back.strays
    packet.again = again
    packet.echo_s = back.echo_s


@kernel
def _resend(flow: Record, back: Record, link: Record, segment: int, now: float) -> None:
    """Send a packet again, with as much of what follows as fits into it (tcp_retrans_try_collapse)."""
    end = packet_end(flow, segment)
    begin = flow.segments[(segment - 1) % SEGMENTS].end if segment > 0 else 0
    while end < flow.tail and not flow.segments[end % SEGMENTS].is_sacked:
        to = packet_end(flow, end)
        if flow.segments[(to - 1) % SEGMENTS].end - begin > link.profile.mss_bytes:
            break
        unmark(flow, end)
        flow.segments[end % SEGMENTS].is_joined = True
        flow.joined += 1
        end = to
    flow.segments[segment % SEGMENTS].is_resent = True
    _put(flow, back, link, DATA, segment, now)


@kernel
def _resend_lost(flow: Record, back: Record, link: Record, now: float) -> None:
    i = flow.head
    while i < flow.tail and flow.lost > flow.resending and in_flight(flow) + 1.0 <= flow.window:
        out = flow.segments[i % SEGMENTS]
        if out.is_lost and not out.is_resending:
            out.is_resending = True
            flow.resending += 1
            flow.undo_retries = max(flow.undo_retries, 0) + 1
            flow.sent_in_recovery += 1
            if isnan(flow.first_retry_s):
                flow.first_retry_s = now
            if i == flow.head and flow.to_send != TIMED_OUT and flow.timer != REORDER:
                set_timer(flow, RTO, now, flow.rto_s)
            _resend(flow, back, link, i, now)
        i += 1


@kernel
def _send_new(flow: Record, back: Record, link: Record, now: float) -> None:
    """Send what was written as far as the window allows; a probe goes in any case, with old data where none is new."""
    is_probe = flow.probe_due
    flow.probe_due = False
    if flow.head == flow.tail and now - flow.last_sent_s > flow.rto_s:
        _narrow_after_idle(flow, now - flow.last_sent_s)
    sent = restarts = False
    while flow.packed < flow.written and flow.tail - flow.head < SEGMENTS - 1:
        if not is_probe and in_flight(flow) + 1.0 > flow.window:
            break
        restarts = restarts or flow.head == flow.tail or flow.timer == PROBE
        _append(flow, link.profile.mss_bytes)
        _put(flow, back, link, DATA, flow.tail - 1, now)
        flow.sent_in_recovery += 1
        sent = True
        if is_probe:
            break
    if sent or not is_probe:
        _use_window(flow)
    if not is_probe:
        if sent and not schedule_probe(flow, now, False) and restarts:
            rearm(flow, now)
        return
    flow.probe_resent = not sent
    if not sent:
        last = flow.tail - 1
        while flow.segments[last % SEGMENTS].is_joined:
            last -= 1
        flow.segments[last % SEGMENTS].is_resent = True
        _put(flow, back, link, DATA, last, now)
    flow.probed = flow.tail


@kernel
def _narrow_after_idle(flow: Record, idle_s: float) -> None:
    """Halve the window for each RTO without sending, down to the initial one (tcp_cwnd_restart; RFC 2861, 3.2)."""
    flow.threshold = max(flow.threshold, floor(0.75 * flow.window))
    least = min(float(INITIAL_WINDOW), flow.window)
    left_s = idle_s - flow.rto_s
    while left_s > 0.0 and flow.window > least:
        flow.window = max(floor(flow.window / 2.0), least)
        left_s -= flow.rto_s


@part
def _append(flow: Record, mss_bytes: int) -> None:
    """Cut the next segment from what was written."""
    segment = flow.segments[flow.tail % SEGMENTS]
    flow.packed += min(mss_bytes, flow.written - flow.packed)
    segment.end = flow.packed
    segment.received_s = nan
    segment.is_joined = segment.is_resent = segment.is_resending = segment.is_sacked = segment.is_lost = False
    flow.tail += 1


@part
def _use_window(flow: Record) -> None:
    """Note how much of the window is in use, which decides whether it may grow (tcp_cwnd_validate)."""
    limits = in_flight(flow) + 1.0 > flow.window
    out = flow.tail - flow.head - flow.joined
    if flow.head >= flow.window_end or limits or (not flow.window_limits and out > flow.window_used):
        flow.window_limits = limits
        flow.window_used = out
        flow.window_end = flow.tail


@part
def acknowledge(flow: Record, acks: int, sacks: int, again: int, acked_s: float, echo_s: float, now: float) -> None:
    """Take an acknowledgement that left at `acked_s`: of `acks` segments in order, `sacks` beyond a gap.

    `again` is the end of what arrived a second time (D-SACK), 0: nothing; `echo_s` the timestamp that it echoes.
    """
    if flow.dead or (flow.head == flow.tail and again == 0 and flow.state == OPEN and flow.probed == 0):
        return  # the other end talks alone
    if again > flow.undo >= 0 and flow.undo_retries > 0:
        flow.undo_retries -= 1
    before, losses = flow.head, flow.losses
    sacked, sack_once, sack_sent_s = 0, False, nan
    if sacks > 0:
        sacked, sack_once, sack_sent_s = _take_sacks(flow, acks, sacks, acked_s, now)
    acked, once, sent_s = _take_acked(flow, acks, echo_s, now)
    if flow.head > before:
        flow.retries = 0
    if isnan(sent_s):
        sent_s = sack_sent_s
    if isnan(sent_s) and acked > 0:
        sent_s = echo_s
    if not isnan(sent_s):
        sample(flow, now - sent_s)
    if flow.probed > 0:
        end_probe(flow, acks, again)
    waits = False
    if sacked > 0 or again > 0 or flow.state != OPEN:
        waits = judge(flow, flow.head > before, sacked > 0, once or sack_once, echo_s, now)
    if flow.head == flow.tail:
        flow.timer = NO_TIMER
        flow.timer_s = inf
    elif not waits and (acked > 0 or sack_sent_s < flow.segments[flow.head % SEGMENTS].sent_s):  # noqa: SIM102 (it arms)
        if not schedule_probe(flow, now, True):
            rearm(flow, now)
    widen(flow, acked + sacked, flow.head > before, flow.losses - losses)


@kernel
def _take_sacks(flow: Record, acks: int, sacks: int, acked_s: float, now: float) -> tuple[int, bool, float]:
    """Mark what had arrived beyond a gap by `acked_s`: `sacks` segments in all.

    Of segments that arrived at the same moment the count says which had arrived before the acknowledgement left.
    Returns how many packets are new among them, whether one was sent once only and before recovery began, and when the
    first such was sent.
    """
    count, once, first_s = 0, False, nan
    news = sacks - _sacked_beyond(flow, acks)
    for i in range(acks + 1, flow.tail):
        out = flow.segments[i % SEGMENTS]
        if out.is_joined or out.is_sacked or not out.received_s <= acked_s:
            continue
        end = packet_end(flow, i)
        if end - i > news or not flow.segments[(end - 1) % SEGMENTS].received_s <= acked_s:
            continue
        news -= end - i
        note_arrival(flow, i, now)
        if not out.is_resent:
            once = once or i < flow.high
            if isnan(first_s):
                first_s = out.sent_s
        unmark(flow, i)
        out.is_sacked = True
        flow.sacked += 1
        count += 1
    return count, once, first_s


@part
def _sacked_beyond(flow: Record, acks: int) -> int:
    """Return how many segments beyond a gap at `acks` are marked already."""
    count = 0
    for i in range(acks + 1, flow.tail):
        if flow.segments[i % SEGMENTS].is_sacked:
            count += packet_end(flow, i) - i
    return count


@part
def _take_acked(flow: Record, acks: int, echo_s: float, now: float) -> tuple[int, bool, float]:
    """Drop what is acknowledged in order. Returns as `_take_sacks` does, the time NaN where anything was sent again."""
    count, once, resent, first_s = 0, False, False, nan
    while flow.head < acks:
        out = flow.segments[flow.head % SEGMENTS]
        end = packet_end(flow, flow.head)
        if end > acks:
            _split(flow, acks)
            break
        if out.is_resent:
            resent = True
        elif not out.is_sacked:
            once = once or flow.head < flow.high
            if isnan(first_s):
                first_s = out.sent_s
        if out.is_sacked:
            flow.sacked -= 1
        else:
            count += 1
            if not out.is_resent or echo_s >= out.sent_s:
                note_arrival(flow, flow.head, now)
        unmark(flow, flow.head)
        flow.joined -= end - flow.head - 1
        flow.head = end
    return count, once, nan if resent else first_s


@kernel
def _split(flow: Record, acks: int) -> None:
    """Let what is left of the oldest packet, of which a part had arrived before it was joined, stand for all of it."""
    old, new = flow.segments[flow.head % SEGMENTS], flow.segments[acks % SEGMENTS]
    new.is_joined = False
    new.is_lost, new.is_resending = old.is_lost, old.is_resending
    new.is_resent, new.sent_s = True, old.sent_s
    flow.joined -= acks - flow.head
    flow.head = acks


@kernel
def expire(flow: Record, now: float) -> None:
    """Act on the sender's timer, which fires now."""
    flow.timer_s = FIRING
    if flow.timer == RTO:
        _time_out(flow, now)
    elif flow.timer == REORDER:
        _stop_waiting(flow, now)
    elif flow.probed == 0:
        flow.probe_due = True
        set_timer(flow, RTO, now, flow.rto_s)
    else:
        rearm(flow, now)


@kernel
def _stop_waiting(flow: Record, now: float) -> None:
    """What may have been reordered did not come: it is lost (tcp_rack_reo_timeout)."""
    losses = flow.losses
    detect_losses(flow, now)
    if flow.losses > losses:
        if flow.state != RECOVERY:
            enter_recovery(flow)
            widen(flow, 1, False, flow.losses - losses)
        flow.to_send = LOST
    if flow.timer != RTO:
        rearm(flow, now)


@kernel
def _time_out(flow: Record, now: float) -> None:
    """Begin again with the oldest segment; or give up."""
    limit = flow.user_timeout_s
    if limit == 0.0:
        limit = GIVE_UP_ORPHAN_S if flow.orphan else GIVE_UP_S
    if flow.retries > 0 and now - flow.first_retry_s >= limit - 1e-9:
        kill(flow)
        return
    enter_loss(flow, now)
    flow.to_send = TIMED_OUT
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
