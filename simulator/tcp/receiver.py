"""The receiver: what it hands to the application, and when it acknowledges."""

from math import inf, isnan

from heartbench.simulator.kernel import part
from heartbench.simulator.link import Record
from heartbench.simulator.tcp.flow import DELAYED_ACK_S, MESSAGES, QUICK_ACKS, SEGMENTS
from heartbench.simulator.tcp.timers import fires


@part
def receive(flow: Record, segment: int, sent_s: float, rto_s: float, now: float) -> None:
    """Take a segment that left at `sent_s`: deliver what is complete and in order. `rto_s`: of this end's sender."""
    if segment <= flow.acked:
        flow.echo_s = max(flow.echo_s, sent_s)
    if now - flow.last_data_s > rto_s:
        flow.quick_acks = QUICK_ACKS
    flow.last_data_s = now
    if segment != flow.expected:
        if segment > flow.expected and isnan(flow.received_s[segment % SEGMENTS]):
            flow.received_s[segment % SEGMENTS] = now
            flow.strays += 1
        flow.ack_due_s = -inf
        return
    flow.received_s[segment % SEGMENTS] = now
    flow.expected += 1
    while flow.strays > 0 and not isnan(flow.received_s[flow.expected % SEGMENTS]):
        flow.expected += 1
        flow.strays -= 1
    _deliver(flow, flow.segment_end[(flow.expected - 1) % SEGMENTS], now)
    if flow.quick_acks > 0 or flow.strays > 0 or flow.expected - flow.acked >= 2:
        flow.quick_acks = max(flow.quick_acks - 1, 0)
        flow.ack_due_s = -inf
    else:
        flow.ack_due_s = fires(now, DELAYED_ACK_S, flow.timer_phase_s)


@part
def _deliver(flow: Record, end: int, now: float) -> None:
    while flow.delivered < flow.messages and flow.message_end[flow.delivered % MESSAGES] <= end:
        flow.delivered_s[flow.delivered % MESSAGES] = now
        flow.delivered += 1
