"""A node's link to the hub, packet by packet: delay, loss and outages as functions of time.

Whether a packet that leaves at time t is lost, and what its delay is, depends only on (seed, node, direction, t), not
on other packets. So every engine sees the same link, and a connection that outlives its node can be followed on a copy.
One thing does depend on earlier packets: a packet does not overtake them.

    delay     base + jitter(z(t)): a quantile function of a stationary normal process, interpolated between counted
              normals `jitter_correlation_s` apart, weights scaled to keep the variance 1. One process serves both
              directions, because a slow radio is slow both ways. It may be the sum of a fast and a slow one.
    order     a packet never arrives before one that left earlier in its direction; at the earliest it arrives with it,
              unless the path reorders packets (`path`, which also has idle radios, NATs and duplicates).
    loss      Gilbert–Elliott in continuous time (Gilbert 1960, Elliott 1963): good and bad periods of exponential
              length, in each of which packets are lost independently with the period's probability.
    outage    periods with exponential gaps and tabled durations, in which no packet passes up, down or either way. A
              dropping outage loses the packets. A holding one keeps them and releases them together, in order, at its
              end. A node has outages of its own, and may share others with all nodes of its site. If both are on, a
              packet is lost if either drops it. A scenario can order cuts in addition (`cuts`).

    queue     a slow way up may have one in front of it (`uplink`); delay, loss and outages are those of the time at
              which a packet leaves it. Without one, bandwidth is not modelled: flows are small against the capacity.

This is the parametric model, whose figures a profile states. A link may be a recording instead (`recorded_link`).

**The interface of a link model.** The rest of the simulator knows a link by its record, which `Profile.to_link` or
`Replay.to_link` fills in, and by

    rewind(link, seed, node)          reset it to time 0 of a node
    partition(link, spans)            cut it by order of the scenario
    transmit(link, direction, t, size)    when a packet of `size` bytes that leaves at t arrives; NaN: it is lost
    next_outage(link, whose, t)       the outage at t or the next one, which a run records as truth
    is_doubled(link, direction, t)    whether the packet that was sent at t arrives twice
    mss_bytes(link)                   the payload of a full packet

A transport calls `transmit` in the order of time in each direction, and copies the record to follow a connection that
its node has left. Draws of nodes and transports are not the link's. Another model takes three files: its own module
with its record and these functions; this one or `recorded_link`, where they choose by `model`, beside which that record
is nested; and one that describes it in a scenario, whose `to_link` sets that field.
"""

from collections.abc import Sequence
from math import inf, isnan, nan

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator import counter_rng, cuts, radio, recorded_link
from heartbench.simulator.counter_rng import Purpose
from heartbench.simulator.kernel import kernel, part
from heartbench.simulator.link_records import (
    BOTH,
    DOWN,
    LINK,
    LINK_STATE,
    MAX_PARTITIONS,
    OWN,
    SITE,
    UP,
    Link,
)
from heartbench.simulator.path import is_drawn, leave_node, reset_activity
from heartbench.simulator.record import Array, new
from heartbench.simulator.tunnel_state import reset_tunnel

__all__ = [
    "BOTH",
    "DOWN",
    "LINK",
    "LINK_STATE",
    "MAX_PARTITIONS",
    "OWN",
    "SITE",
    "UP",
    "Link",
    "is_doubled",
    "make_link",
    "mss_bytes",
    "next_outage",
    "partition",
    "rewind",
    "transmit",
]


def make_link(profile: NDArray[np.void], partitions: Sequence[tuple[float, ...]], seed: int, node: int) -> Link:
    """Return the link of `node` at time 0.

    `profile` is an array of one LINK; `partitions` are rows of `cuts`, whose last columns may be left out.
    """
    link = new(Link)
    link.profile = profile[0]
    partition(link, cuts.rows_of(partitions))
    rewind(link, seed, node)
    return link


@part
def partition(link: Link, spans: NDArray[np.float64]) -> None:
    """Set the cuts by order of the scenario: rows of `cuts`, or their first columns."""
    link.partition_count = len(spans)
    for i in range(len(spans)):
        for column in range(cuts.COLUMNS):
            link.partitions[i][column] = spans[i, column] if column < spans.shape[1] else 0.0


@kernel
def rewind(link: Link, seed: int, node: int) -> None:
    """Reset `link` to the link of `node` at time 0."""
    radio.forget(link.fast)
    radio.forget(link.slow)
    reset_activity(link.activity)
    reset_tunnel(link.tunnel)
    for purpose in range(1, len(link.draws)):
        link.draws[purpose] = counter_rng.key(seed, node, purpose)
    if link.profile.site_nodes > 0:
        site = node - (node - link.profile.first_node) % link.profile.site_nodes  # named after its first node
        link.draws[Purpose.SITE_OUTAGE] = counter_rng.key(seed, site, Purpose.SITE_OUTAGE)
        link.draws[Purpose.SITE_OUTAGE_DIRECTION] = counter_rng.key(seed, site, Purpose.SITE_OUTAGE_DIRECTION)
        link.draws[Purpose.SITE_OUTAGE_HOLD] = counter_rng.key(seed, site, Purpose.SITE_OUTAGE_HOLD)
    for whose in range(2):
        link.outage[whose] = -1
        link.outage_from[whose] = link.outage_to[whose] = 0.0 if _gap_mean_s(link, whose) > 0.0 else inf
    for direction in range(2):
        link.bursts[direction] = link.sent_packets[direction] = link.sent_bytes[direction] = 0
        link.bad_from[direction] = link.bad_to[direction] = link.last_arrival[direction] = 0.0
    recorded_link.rewind(link.recorded, link.profile.recorded, link.draws[Purpose.SHIFT])


@part
def mss_bytes(link: Link) -> int:
    """Return the TCP payload of a full packet, bytes."""
    return link.profile.mss_bytes


@part
def _look_up(table: Array[float], cells: int, position: float) -> float:
    """Interpolate linearly in the first `cells` of a table; a position beyond an end gives the value at that end."""
    i = max(min(int(position), cells - 1), 0)
    part = min(max(position - i, 0.0), 1.0)
    return table[i] + part * (table[i + 1] - table[i])


@part
def _radio(link: Link, t: float) -> float:
    """Return z(t), the standard normal score of the link's delay at `t`."""
    profile = link.profile
    z = radio.score(link.fast, link.draws[Purpose.DELAY], t / profile.jitter_correlation_s)
    if profile.jitter_slow == 0.0:
        return z
    slow = radio.score(link.slow, link.draws[Purpose.SLOW_DELAY], t / profile.jitter_slow_correlation_s)
    return profile.jitter_fast * z + profile.jitter_slow * slow


@part
def delay(link: Link, direction: int, t: float) -> float:
    """Return the one-way delay of a packet that leaves at `t`, in s."""
    profile = link.profile
    cells = profile.jitter_cells[direction]
    position = (_radio(link, t) + 4.0) * (cells / 8.0)
    return profile.base_s[direction] + _look_up(profile.jitter_s[direction], cells, position)


@part
def _gap_mean_s(link: Link, whose: int) -> float:
    return link.profile.outage_gap_mean_s if whose == OWN else link.profile.site_gap_mean_s


@kernel
def _outage_at(link: Link, whose: int, t: float) -> tuple[int, float, float]:
    """Return (number, from, to) of the current or next outage of `whose` at `t`; the cursor stays."""
    number, begins, ends = link.outage[whose], link.outage_from[whose], link.outage_to[whose]
    sequence = link.draws[Purpose.OUTAGE if whose == OWN else Purpose.SITE_OUTAGE]
    while ends <= t:
        number += 1
        begins = ends + counter_rng.exponential(sequence, 2 * number) * _gap_mean_s(link, whose)
        score = counter_rng.exponential(sequence, 2 * number + 1)
        ends = begins + _look_up(link.profile.outage_s, len(link.profile.outage_s) - 1, score * 4.0)
    return number, begins, ends


@part
def _direction_of(link: Link, whose: int, number: int) -> int:
    """Return what an outage cuts: UP, DOWN or BOTH."""
    alone = link.profile.alone
    draw = counter_rng.uniform(link.draws[Purpose.OUTAGE_DIRECTION + whose], number)
    return UP if draw < alone[UP] else DOWN if draw < alone[UP] + alone[DOWN] else BOTH


@part
def _holds(link: Link, whose: int, number: int) -> bool:
    """Return whether an outage holds packets instead of dropping them."""
    return counter_rng.uniform(link.draws[Purpose.OUTAGE_HOLD + whose], number) < link.profile.hold


@part
def _cuts(link: Link, whose: int, number: int, direction: int) -> bool:
    cut = _direction_of(link, whose, number)
    return cut in (BOTH, direction)


@kernel
def _is_on(link: Link, whose: int, direction: int, t: float) -> bool:
    """Return whether an outage of `whose` cuts `direction` at `t`; the cursor moves to `t`."""
    number, begins, ends = _outage_at(link, whose, t)
    link.outage[whose], link.outage_from[whose], link.outage_to[whose] = number, begins, ends
    return begins <= t and _cuts(link, whose, number, direction)


@part
def is_out(link: Link, direction: int, t: float) -> bool:
    """Return whether an outage or a partition cuts `direction` at `t`. Times must not fall from call to call."""
    for whose in range(2):
        if link.outage_from[whose] <= t and _is_on(link, whose, direction, t):
            return True
    return cuts.is_cut(link.partitions, link.partition_count, direction, t)


@kernel
def _released(link: Link, direction: int, t: float) -> float:
    """Return when a packet that leaves at `t`, maybe in an outage, is passed on, in s, or NaN if it is dropped."""
    at, before = t, -inf
    while at > before:
        before = at
        at = cuts.released(link.partitions, link.partition_count, direction, before)
        if isnan(at):
            return nan
        for whose in range(2):
            number, begins, ends = _outage_at(link, whose, before)
            if begins <= before and _cuts(link, whose, number, direction):
                if not _holds(link, whose, number):
                    return nan
                at = max(at, ends)
    return at


@part
def _is_lost(link: Link, direction: int, t: float) -> bool:
    """Return whether Gilbert–Elliott loss takes a packet that leaves at `t`; its draw is indexed by microsecond."""
    profile = link.profile
    probability = profile.loss_good[direction]
    if profile.good_mean_s[direction] > 0.0:
        while link.bad_to[direction] <= t:
            sequence, n = link.draws[Purpose.UP_BURST + direction], link.bursts[direction]
            good = counter_rng.exponential(sequence, n) * profile.good_mean_s[direction]
            link.bad_from[direction] = link.bad_to[direction] + good
            bad = counter_rng.exponential(sequence, n + 1) * profile.bad_mean_s[direction]
            link.bad_to[direction] = link.bad_from[direction] + bad
            link.bursts[direction] = n + 2
        if link.bad_from[direction] <= t:
            probability = profile.loss_bad[direction]
    if probability <= 0.0:
        return False
    return counter_rng.uniform(link.draws[Purpose.UP_LOSS + direction], int(t * 1e6)) < probability


@part
def transmit(link: Link, direction: int, t: float, size: int = 0) -> float:
    """Return the time at which a packet of `size` bytes that is sent at `t` arrives, in s, or NaN if it is lost."""
    link.sent_packets[direction] += 1
    link.sent_bytes[direction] += size
    if link.profile.recorded.model:
        return _replayed(link, direction, t, size)
    path, leaves = link.profile.path, t
    if link.profile.uplink.bytes_per_s > 0.0 or path.promotion_s > 0.0:
        leaves = leave_node(link.profile.uplink, path, link.activity, direction == UP, t, size)
    arrives = _cross(link, direction, t, leaves)
    if isnan(arrives):
        return nan
    last = link.last_arrival
    arrives = max(last[direction], arrives)
    if path.reordered > 0.0 and is_drawn(link.draws[Purpose.UP_ORDER + direction], t, path.reordered):
        return arrives + path.reorder_s  # and others overtake it
    last[direction] = arrives
    return arrives


@part
def _cross(link: Link, direction: int, now: float, t: float) -> float:
    """Return when a packet that leaves at `t`, NaN if never, is across the radio, in s, or NaN if it is lost.

    A packet that an outage holds is past the radio when the outage ends: it is delayed from then on and not lost. The
    cursors stay at the present, `now`.
    """
    passes = t
    if t > now:
        if link.partition_count > 0 or min(link.outage_from[OWN], link.outage_from[SITE]) <= t:
            passes = _released(link, direction, t)
    elif is_out(link, direction, t):
        passes = _released(link, direction, t)
    if isnan(passes) or (passes == t and _is_lost(link, direction, t)):
        return nan
    return passes + delay(link, direction, passes)


@kernel
def is_doubled(link: Link, direction: int, t: float) -> bool:
    """Return whether the packet that was sent at `t` arrives twice."""
    return is_drawn(link.draws[Purpose.UP_TWICE + direction], t, link.profile.path.duplicated)


@kernel
def _replayed(link: Link, direction: int, t: float, size: int) -> float:
    """Return when a packet that leaves at `t` arrives by the recording, as `transmit` does."""
    passes, before = t, -inf
    while passes > before:
        before = passes
        passes = cuts.released(link.partitions, link.partition_count, direction, before)
    if isnan(passes):
        return nan
    return recorded_link.arrival(link.recorded, link.profile.recorded, direction, passes, size)


@kernel
def next_outage(link: Link, whose: int, t: float) -> tuple[float, float, int, bool]:
    """Return the current or next outage of `whose` (OWN or SITE) at `t`, not counting partitions.

    It is (from, to, what it cuts: UP, DOWN or BOTH, whether it holds packets), times in s; `from` is inf if there is
    none.
    """
    if link.profile.recorded.model:
        return recorded_link.outage(link.recorded, link.profile.recorded, whose, t)
    number, begins, ends = _outage_at(link, whose, t)
    link.outage[whose], link.outage_from[whose], link.outage_to[whose] = number, begins, ends
    return begins, ends, _direction_of(link, whose, number), _holds(link, whose, number)
