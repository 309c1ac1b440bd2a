"""What a sender does when its timer fires: retransmission timeout, tail loss probe, reordering, and giving up."""

from math import inf, isnan

from heartbench.simulator.kernel import kernel
from heartbench.simulator.tcp.flow import (
    FIRING,
    GIVE_UP_ORPHAN_S,
    GIVE_UP_S,
    LOST,
    NO_TIMER,
    RECOVERY,
    REORDER,
    RTO,
    TICK_S,
    TIMED_OUT,
    Flow,
)
from heartbench.simulator.tcp.loss import detect_losses, enter_loss, enter_recovery, update_cwnd
from heartbench.simulator.tcp.timers import back_off, rearm, set_timer


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
