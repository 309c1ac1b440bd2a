"""The sender's timers: the RTO's estimate and its doubling, the tail loss probe, and the timer wheel's granularity."""

from math import ceil, inf, isinf

from heartbench.simulator.kernel import kernel, part
from heartbench.simulator.tcp.flow import OPEN, PROBE, REORDER, RTO, SEGMENTS, Flow

TICKS_PER_S = 250  # CONFIG_HZ
TICK_S = 1.0 / TICKS_PER_S
RTO_MIN_S = 0.2
RTO_MAX_S = 120.0
TIMEOUT_MIN_S = 0.002  # added to the wait of a probe or reordering timer
FIRING = -inf  # the time of a timer that has just fired
MAX_PHASE_S = 4096 * TICK_S  # the coarsest granularity of the wheel


@part
def _tick(now: float, phase: float) -> int:
    """Return the number of the tick that `now` lies in; a timer fires exactly on a tick."""
    return int((now + phase) * TICKS_PER_S + 1e-6)


@part
def _ticks(wait: float) -> int:
    return int(ceil(wait * TICKS_PER_S - 1e-6))  # noqa: RUF046 (Numba's ceil gives a float)


@part
def _wheel(tick: int, expires: int) -> int:
    """Return the tick at which the wheel fires a timer that is armed at `tick` and expires at `expires`."""
    shift = 0
    while shift < 12 and expires - tick >= 63 << shift:
        shift += 3
    return ((expires >> shift) + 1) << shift


@kernel
def fires(now: float, wait: float, phase: float) -> float:
    """Return when a timer armed at `now` for `wait` s fires, in s; the wheel's ticks are `phase` s ahead of time 0."""
    tick = _tick(now, phase)
    return _wheel(tick, tick + _ticks(wait)) * TICK_S - phase


@part
def sample(flow: Flow, m: float) -> None:
    """Update the estimate with a round-trip time of `m` s, and compute the RTO from it (undoing any back-off)."""
    flow.min_rtt_s = min(flow.min_rtt_s, m)
    if flow.srtt_s == 0.0:
        flow.srtt_s = m
        flow.mdev_s = 2.0 * m
        flow.rttvar_s = flow.mdev_max_s = max(flow.mdev_s, RTO_MIN_S)
        flow.rtt_seq = flow.snd_nxt
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
        if flow.snd_una > flow.rtt_seq:
            if flow.mdev_max_s < flow.rttvar_s:
                flow.rttvar_s -= (flow.rttvar_s - flow.mdev_max_s) / 4.0
            flow.rtt_seq = flow.snd_nxt
            flow.mdev_max_s = RTO_MIN_S
    flow.rto_s = min(ceil((flow.srtt_s + flow.rttvar_s) * TICKS_PER_S - 1e-6) * TICK_S, RTO_MAX_S)


@part
def back_off(flow: Flow) -> float:
    """Double the RTO after an expiry, up to RTO_MAX_S, and return it (RFC 6298, 5.5)."""
    flow.rto_s = min(2.0 * flow.rto_s, RTO_MAX_S)
    return flow.rto_s


@part
def set_timer(flow: Flow, timer: int, now: float, wait: float) -> None:
    """Arm `timer` for `wait` s and disarm the others.

    A timer that is armed for the tick it was armed for before keeps its place in the wheel. If a timer is armed while
    it fires, the wheel has already turned to the next tick.
    """
    tick = _tick(now, flow.timer_phase_s)
    expires = tick + _ticks(wait)
    if expires != flow.timer_expires or isinf(flow.timer_s):
        flow.timer_expires = expires
        turned = 1 if flow.timer_s == FIRING else 0
        flow.timer_s = _wheel(tick + turned, expires) * TICK_S - flow.timer_phase_s
    flow.timer = timer


@part
def _wait_after_head(flow: Flow, now: float) -> float:
    """Return the time left to the RTO of the oldest segment, s."""
    return flow.segments[flow.snd_una % SEGMENTS].sent_s + flow.rto_s - now


@kernel
def rearm(flow: Flow, now: float) -> None:
    """Arm the RTO; if a probe or reordering timer was armed, count from when the oldest segment was sent."""
    wait = flow.rto_s
    if flow.timer in (PROBE, REORDER):
        wait = max(_wait_after_head(flow, now), TICK_S)
    set_timer(flow, RTO, now, wait)


@part
def schedule_probe(flow: Flow, now: float, advancing: bool) -> bool:
    """Arm the tail loss probe instead of the RTO; return False if none may be sent."""
    if flow.ca_state != OPEN or flow.snd_una == flow.snd_nxt:
        return False
    wait = 2.0 * flow.srtt_s + (RTO_MIN_S if flow.snd_nxt - flow.snd_una - flow.joined == 1 else TIMEOUT_MIN_S)
    rto = flow.rto_s if advancing else _wait_after_head(flow, now)
    if rto > 0.0:
        wait = min(wait, rto)
    set_timer(flow, PROBE, now, wait)
    return True
