"""When a sender's timers fire: the retransmission timeout, the tail loss probe, and the grain of the timer wheel."""

from math import ceil, isinf

from heartbench.simulator.kernel import kernel, part
from heartbench.simulator.link import Record
from heartbench.simulator.tcp.flow import (
    FIRING,
    OPEN,
    PROBE,
    REORDER,
    RTO,
    RTO_MAX_S,
    RTO_MIN_S,
    SEGMENTS,
    TICK_S,
    TICKS_PER_S,
    TIMEOUT_MIN_S,
)


@part
def _tick(now: float, phase: float) -> int:
    """Give the number of the tick that `now` lies in; a timer that fires does so exactly on one."""
    return int((now + phase) * TICKS_PER_S + 1e-6)


@part
def _ticks(wait: float) -> int:
    return int(ceil(wait * TICKS_PER_S - 1e-6))  # noqa: RUF046 (Numba's ceil gives a float)


@part
def _wheel(tick: int, expires: int) -> int:
    """Give the tick at which the wheel fires a timer that is put into it at `tick` and is to expire at `expires`."""
    shift = 0
    while shift < 12 and expires - tick >= 63 << shift:
        shift += 3
    return ((expires >> shift) + 1) << shift


@kernel
def fires(now: float, wait: float, phase: float) -> float:
    """Give when a timer set at `now` for `wait` s fires on the timer wheel; its ticks are `phase` s ahead of time 0."""
    tick = _tick(now, phase)
    return _wheel(tick, tick + _ticks(wait)) * TICK_S - phase


@part
def sample(flow: Record, m: float) -> None:
    """Take a round-trip time of `m` s into the estimate, and with it the RTO afresh."""
    flow.least_rtt_s = min(flow.least_rtt_s, m)
    if flow.srtt_s == 0.0:
        flow.srtt_s = m
        flow.mdev_s = 2.0 * m
        flow.rttvar_s = flow.mdev_max_s = max(flow.mdev_s, RTO_MIN_S)
        flow.round_end = flow.tail
    else:
        error = m - flow.srtt_s
        flow.srtt_s += error / 8.0
        change = abs(error) - flow.mdev_s / 4.0
        if error < 0.0 and change > 0.0:
            change /= 8.0
        flow.mdev_s += change
        if flow.mdev_s > flow.mdev_max_s:
            flow.mdev_max_s = flow.mdev_s
            flow.rttvar_s = max(flow.rttvar_s, flow.mdev_max_s)
        if flow.head > flow.round_end:
            if flow.mdev_max_s < flow.rttvar_s:
                flow.rttvar_s -= (flow.rttvar_s - flow.mdev_max_s) / 4.0
            flow.round_end = flow.tail
            flow.mdev_max_s = RTO_MIN_S
    flow.rto_s = min(ceil((flow.srtt_s + flow.rttvar_s) * TICKS_PER_S - 1e-6) * TICK_S, RTO_MAX_S)


@part
def set_timer(flow: Record, timer: int, now: float, wait: float) -> None:
    """Let `timer` fire in `wait` s, and no other.

    One that is to expire when it was to expire before stays where it is in the wheel. To a timer that fires, and is
    set again, the wheel has already turned to the next tick.
    """
    tick = _tick(now, flow.timer_phase_s)
    expires = tick + _ticks(wait)
    if expires != flow.timer_expires or isinf(flow.timer_s):
        flow.timer_expires = expires
        turned = 1 if flow.timer_s == FIRING else 0
        flow.timer_s = _wheel(tick + turned, expires) * TICK_S - flow.timer_phase_s
    flow.timer = timer


@part
def _wait_after_head(flow: Record, now: float) -> float:
    """Give how far in the future the RTO of the oldest segment is, s."""
    return flow.segments[flow.head % SEGMENTS].sent_s + flow.rto_s - now


@kernel
def rearm(flow: Record, now: float) -> None:
    """Start the RTO; where a probe or reordering timer ran, count from when the oldest segment was sent."""
    wait = flow.rto_s
    if flow.timer in (PROBE, REORDER):
        wait = max(_wait_after_head(flow, now), TICK_S)
    set_timer(flow, RTO, now, wait)


@part
def schedule_probe(flow: Record, now: float, advancing: bool) -> bool:
    """Arm the tail loss probe in place of the RTO, where one may be sent."""
    if flow.state != OPEN or flow.head == flow.tail:
        return False
    wait = 2.0 * flow.srtt_s + (RTO_MIN_S if flow.tail - flow.head - flow.joined == 1 else TIMEOUT_MIN_S)
    rto = flow.rto_s if advancing else _wait_after_head(flow, now)
    if rto > 0.0:
        wait = min(wait, rto)
    set_timer(flow, PROBE, now, wait)
    return True
