"""The receiver: what it hands to the application, and when it acknowledges.

The application reads at once, and Linux acknowledges what it has read and what came with PSH (tcp_cleanup_rbuf), which
every message does; but where the two ends are talking, and the answer may carry the acknowledgement, it waits for a
second packet or 40 ms. Having waited in vain, it waits no more until the next answer (tcp_delack_timer_handler).
"""

from math import inf, isnan

from heartbench.simulator.kernel import part
from heartbench.simulator.link import Record
from heartbench.simulator.tcp.flow import DELAYED_ACK_S, MESSAGES, SEGMENTS
from heartbench.simulator.tcp.timers import fires


@part
def receive(flow: Record, back: Record, segment: int, to: int, sent_s: float, now: float) -> None:
    """Take a packet with segments [segment, to) that left at `sent_s`; `back` is what this end sends."""
    if segment <= flow.acked:
        flow.echo_s = max(flow.echo_s, sent_s)
    flow.last_data_s = now
    had_gap = flow.strays > 0
    if _take(flow, segment, to, now) and flow.is_talking and not had_gap and flow.ack_due_s == inf:
        flow.ack_due_s = fires(now, DELAYED_ACK_S, back.timer_phase_s)
    else:
        flow.ack_due_s = -inf


@part
def _take(flow: Record, segment: int, to: int, now: float) -> bool:
    """Note what has arrived and deliver what is complete; say whether anything is."""
    if to <= flow.expected:
        flow.again = to
        flow.is_talking = False
        return False
    if segment > flow.expected:
        for i in range(segment, to):
            if isnan(flow.segments[i % SEGMENTS].received_s):
                flow.segments[i % SEGMENTS].received_s = now
                flow.strays += 1
            else:
                flow.again = to
        return False
    if segment < flow.expected:
        flow.again = flow.expected
    for i in range(flow.expected, to):
        if not isnan(flow.segments[i % SEGMENTS].received_s):
            flow.strays -= 1
        flow.segments[i % SEGMENTS].received_s = now
    flow.expected = to
    while flow.strays > 0 and not isnan(flow.segments[flow.expected % SEGMENTS].received_s):
        flow.expected += 1
        flow.strays -= 1
    _deliver(flow, flow.segments[(flow.expected - 1) % SEGMENTS].end, now)
    return True


@part
def _deliver(flow: Record, end: int, now: float) -> None:
    while flow.delivered < flow.messages and flow.log[flow.delivered % MESSAGES].end <= end:
        flow.log[flow.delivered % MESSAGES].delivered_s = now
        flow.delivered += 1
