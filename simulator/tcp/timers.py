"""When a sender's timers fire: the retransmission timeout, the tail loss probe, and the grain of the timer wheel."""

from math import ceil

from heartbench.simulator.kernel import kernel, part
from heartbench.simulator.link import Record
from heartbench.simulator.tcp.flow import OPEN, PROBE, REORDER, RTO, RTO_MAX_S, RTO_MIN_S, SEGMENTS, TICK_S, TICKS_PER_S


@kernel
def fires(now: float, wait: float, phase: float) -> float:
    """Give when a timer set at `now` for `wait` s fires on the timer wheel; its ticks are `phase` s ahead of time 0."""
    ticks = int(ceil(wait * TICKS_PER_S - 1e-6))  # noqa: RUF046 (Numba's ceil gives a float)
    shift = 0
    while shift < 12 and ticks >= 63 << shift:
        shift += 3
    expires = int((now + phase) * TICKS_PER_S) + ticks
    return (((expires >> shift) + 1) << shift) * TICK_S - phase


@kernel
def sample(flow: Record, m: float) -> None:
    """Take a round-trip time of `m` s into the estimate, and with it the RTO afresh."""
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
    flow.rto_s = min(ceil((flow.srtt_s + flow.rttvar_s) / TICK_S - 1e-6) * TICK_S, RTO_MAX_S)


@part
def set_timer(flow: Record, timer: int, now: float, wait: float) -> None:
    """Let `timer` fire in `wait` s, and no other."""
    flow.timer = timer
    flow.timer_s = fires(now, wait, flow.timer_phase_s)


@part
def _wait_after_head(flow: Record, now: float) -> float:
    """Give how far in the future the RTO of the oldest segment is, s."""
    return flow.sent_s[flow.head % SEGMENTS] + flow.rto_s - now


@kernel
def rearm(flow: Record, now: float) -> None:
    """Start the RTO; where a probe or reordering timer ran, count from when the oldest segment was sent."""
    wait = flow.rto_s
    if flow.timer in (PROBE, REORDER):
        wait = max(_wait_after_head(flow, now), TICK_S)
    set_timer(flow, RTO, now, wait)


@kernel
def schedule_probe(flow: Record, now: float, advancing: bool) -> bool:
    """Arm the tail loss probe in place of the RTO, where one may be sent."""
    if flow.state != OPEN or flow.sacked > 0 or flow.head == flow.tail or flow.srtt_s == 0.0:
        return False
    wait = 2.0 * flow.srtt_s + (RTO_MIN_S if flow.tail - flow.head == 1 else 2.0 * TICK_S)
    rto = flow.rto_s if advancing else _wait_after_head(flow, now)
    if rto > 0.0:
        wait = min(wait, rto)
    set_timer(flow, PROBE, now, wait)
    return True
