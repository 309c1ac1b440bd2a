"""The receiver: what it delivers to the application, and when it acknowledges.

The application reads at once, and Linux acknowledges what it has read and what came with PSH (tcp_cleanup_rbuf), which
every message does. In an interactive exchange ("pingpong"), whose answer may carry the acknowledgement, it waits for a
second packet or 40 ms. After a wait without an answer it acknowledges at once until the next answer
(tcp_delack_timer_handler).
"""

from math import inf, isnan

from heartbench.simulator.kernel import part
from heartbench.simulator.tcp.flow import DELAYED_ACK_S, MESSAGES, SEGMENTS, Flow
from heartbench.simulator.tcp.timers import fires


@part
def receive(flow: Flow, back: Flow, segment: int, to: int, sent_s: float, now: float) -> None:
    """Receive a packet with segments [segment, to) that left at `sent_s`; `back` is what this end sends."""
    if segment <= flow.rcv_wup:
        flow.echo_s = max(flow.echo_s, sent_s)
    flow.last_data_s = now
    had_gap = flow.out_of_order > 0
    if _take(flow, segment, to, now) and flow.is_pingpong and not had_gap and flow.ack_due_s == inf:
        flow.ack_due_s = fires(now, DELAYED_ACK_S, back.timer_phase_s)
    else:
        flow.ack_due_s = -inf


@part
def _take(flow: Flow, segment: int, to: int, now: float) -> bool:
    """Record what has arrived and deliver what is complete; return whether anything was."""
    if to <= flow.rcv_nxt:
        flow.dsack_end = to
        flow.is_pingpong = False
        return False
    if segment > flow.rcv_nxt:
        for i in range(segment, to):
            if isnan(flow.segments[i % SEGMENTS].received_s):
                flow.segments[i % SEGMENTS].received_s = now
                flow.out_of_order += 1
            else:
                flow.dsack_end = to
        return False
    if segment < flow.rcv_nxt:
        flow.dsack_end = flow.rcv_nxt
    for i in range(flow.rcv_nxt, to):
        if not isnan(flow.segments[i % SEGMENTS].received_s):
            flow.out_of_order -= 1
        flow.segments[i % SEGMENTS].received_s = now
    flow.rcv_nxt = to
    while flow.out_of_order > 0 and not isnan(flow.segments[flow.rcv_nxt % SEGMENTS].received_s):
        flow.rcv_nxt += 1
        flow.out_of_order -= 1
    _deliver(flow, flow.segments[(flow.rcv_nxt - 1) % SEGMENTS].end, now)
    return True


@part
def _deliver(flow: Flow, end: int, now: float) -> None:
    while flow.delivered < flow.messages and flow.log[flow.delivered % MESSAGES].end <= end:
        flow.log[flow.delivered % MESSAGES].delivered_s = now
        flow.delivered += 1
