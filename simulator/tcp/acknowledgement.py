"""Acknowledgements at the sender: which segments have arrived, what the RTT is, and which timer runs next.

What follows for losses and cwnd is decided in `loss`.
"""

from math import inf, isnan, nan

from heartbench.simulator.kernel import kernel, part
from heartbench.simulator.tcp.flow import NO_TIMER, OPEN, SEGMENTS, Flow, packet_end
from heartbench.simulator.tcp.loss import advance_rack, process_dubious_ack, process_tlp_ack, unmark, update_cwnd
from heartbench.simulator.tcp.timers import rearm, sample, schedule_probe


@part
def acknowledge(flow: Flow, acks: int, sacks: int, dsack_end: int, acked_s: float, echo_s: float, now: float) -> None:
    """Process an acknowledgement that left at `acked_s`, of `acks` segments in order and `sacks` beyond a gap.

    `dsack_end` is the end of what arrived a second time (D-SACK), 0: nothing; `echo_s` is the timestamp it echoes.
    """
    if flow.dead or (
        flow.snd_una == flow.snd_nxt and dsack_end == 0 and flow.ca_state == OPEN and flow.tlp_high_seq == 0
    ):
        return  # only the other end sends
    if acks < flow.snd_una:
        return  # it was overtaken by a later one
    if dsack_end > flow.undo_marker >= 0 and flow.undo_retrans > 0:
        flow.undo_retrans -= 1
    before, losses = flow.snd_una, flow.lost_total
    sacked, sack_once, sack_sent_s = 0, False, nan
    if sacks > 0:
        sacked, sack_once, sack_sent_s = _take_sacks(flow, acks, sacks, acked_s, now)
    acked, once, sent_s = _take_acked(flow, acks, echo_s, now)
    if flow.snd_una > before:
        flow.retransmits = 0
    if isnan(sent_s):
        sent_s = sack_sent_s
    if isnan(sent_s) and acked > 0:
        sent_s = echo_s
    if not isnan(sent_s):
        sample(flow, now - sent_s)
    if flow.tlp_high_seq > 0:
        process_tlp_ack(flow, acks, dsack_end)
    waits = False
    if sacked > 0 or dsack_end > 0 or flow.ca_state != OPEN:
        waits = process_dubious_ack(flow, flow.snd_una > before, sacked > 0, once or sack_once, echo_s, now)
    if flow.snd_una == flow.snd_nxt:
        flow.timer = NO_TIMER
        flow.timer_s = inf
    elif not waits and (acked > 0 or sack_sent_s < flow.segments[flow.snd_una % SEGMENTS].sent_s):  # noqa: SIM102 (it arms)
        if not schedule_probe(flow, now, True):
            rearm(flow, now)
    update_cwnd(flow, acked + sacked, flow.snd_una > before, flow.lost_total - losses)


@kernel
def _take_sacks(flow: Flow, acks: int, sacks: int, acked_s: float, now: float) -> tuple[int, bool, float]:
    """Mark what had arrived beyond a gap by `acked_s`: `sacks` segments in all.

    If segments arrived at the same moment, the count tells which of them arrived before the acknowledgement left.
    Return how many packets are newly marked, whether one was sent only once and before recovery began, and when the
    first such packet was sent.
    """
    count, once, first_s = 0, False, nan
    news = sacks - _sacked_beyond(flow, acks)
    for i in range(acks + 1, flow.snd_nxt):
        out = flow.segments[i % SEGMENTS]
        if out.is_joined or out.is_sacked or not out.received_s <= acked_s:
            continue
        end = packet_end(flow, i)
        if end - i > news or not flow.segments[(end - 1) % SEGMENTS].received_s <= acked_s:
            continue
        news -= end - i
        advance_rack(flow, i, now)
        if not out.ever_retrans:
            once = once or i < flow.high_seq
            if isnan(first_s):
                first_s = out.sent_s
        unmark(flow, i)
        out.is_sacked = True
        flow.sacked_out += 1
        count += 1
    return count, once, first_s


@part
def _sacked_beyond(flow: Flow, acks: int) -> int:
    """Return how many segments beyond a gap at `acks` are marked already."""
    count = 0
    for i in range(acks + 1, flow.snd_nxt):
        if flow.segments[i % SEGMENTS].is_sacked:
            count += packet_end(flow, i) - i
    return count


@part
def _take_acked(flow: Flow, acks: int, echo_s: float, now: float) -> tuple[int, bool, float]:
    """Drop what is acknowledged in order. Return as `_take_sacks` does; the time is NaN if any was retransmitted."""
    count, once, retransmitted, first_s = 0, False, False, nan
    while flow.snd_una < acks:
        out = flow.segments[flow.snd_una % SEGMENTS]
        end = packet_end(flow, flow.snd_una)
        if end > acks:
            _split(flow, acks)
            break
        if out.ever_retrans:
            retransmitted = True
        elif not out.is_sacked:
            once = once or flow.snd_una < flow.high_seq
            if isnan(first_s):
                first_s = out.sent_s
        if out.is_sacked:
            flow.sacked_out -= 1
        else:
            count += 1
            if not out.ever_retrans or echo_s >= out.sent_s:
                advance_rack(flow, flow.snd_una, now)
        unmark(flow, flow.snd_una)
        flow.joined -= end - flow.snd_una - 1
        flow.snd_una = end
    return count, once, nan if retransmitted else first_s


@kernel
def _split(flow: Flow, acks: int) -> None:
    """Shorten the oldest packet to what is left of it: a part had arrived before it was joined."""
    old, new = flow.segments[flow.snd_una % SEGMENTS], flow.segments[acks % SEGMENTS]
    new.is_joined = False
    new.is_lost, new.is_retransmitted = old.is_lost, old.is_retransmitted
    new.ever_retrans, new.sent_s = True, old.sent_s
    flow.joined -= acks - flow.snd_una
    flow.snd_una = acks
