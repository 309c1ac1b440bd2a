"""A node's link to the hub, packet by packet: delay, loss and outages as functions of time.

Whether a packet that leaves at time t arrives, and when, depends on (seed, node, direction, t) alone and not on the
packets before it. So every engine sees the same link, whatever it sends, and a connection that outlives its node can
be followed apart.

    delay     base + jitter(z(t)): a quantile function of a stationary normal process, interpolated between counted
              normals `jitter_correlation_s` apart, weights scaled to keep the variance 1. One process serves both
              directions: what makes a radio slow makes it slow both ways.
    order     a packet never arrives before one that left earlier in its direction.
    loss      Gilbert–Elliott in continuous time (Gilbert 1960, Elliott 1963): good and bad periods of exponential
              length, in each of which packets are lost independently with the period's probability.
    outage    no packet passes in either direction: periods with exponential gaps and tabled durations; partitions,
              which a scenario orders, come on top.

Bandwidth is not modelled: the flows of a node are thin against what its link carries.
"""

from math import floor, inf, nan, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator import chance
from heartbench.simulator.chance import Purpose
from heartbench.simulator.kernel import kernel

UP, DOWN = 0, 1  # node to hub, hub to node

# Tables are tabled at these normal scores and exponential scores (−ln of the survival), so that a draw is a look-up.
JITTER_Z = np.linspace(-4.0, 4.0, 33)
OUTAGE_E = np.linspace(0.0, 24.0, 97)

# What a profile says of a link: the same for all nodes of a group. Pairs are (UP, DOWN).
LINK = np.dtype(
    [
        ("base_s", "f8", (2,)),
        ("jitter_s", "f8", (2, len(JITTER_Z))),  # extra delay at JITTER_Z, s, not falling
        ("jitter_correlation_s", "f8"),
        ("loss_good", "f8", (2,)),  # probability of losing a packet
        ("loss_bad", "f8", (2,)),
        ("good_mean_s", "f8", (2,)),  # mean length of a good period; 0: there are no bad ones
        ("bad_mean_s", "f8", (2,)),
        ("outage_gap_mean_s", "f8"),  # mean time from the end of an outage to the next; 0: there are none
        ("outage_s", "f8", (len(OUTAGE_E),)),  # duration at OUTAGE_E, s, not falling
        ("mss_bytes", "i8"),  # TCP payload of a full packet
    ]
)

# Where one node's link is in its own history: a cursor on each renewal process, which only moves forward.
CURSOR = np.dtype(
    [
        ("knot", "i8"),
        ("z0", "f8"),
        ("z1", "f8"),
        ("outages", "i8"),
        ("outage_from", "f8"),
        ("outage_to", "f8"),
        ("bursts", "i8", (2,)),
        ("bad_from", "f8", (2,)),
        ("bad_to", "f8", (2,)),
        ("last_arrival", "f8", (2,)),
    ]
)


class Link(NamedTuple):
    """One node's link. Arrays of one record each, because records are what kernels change in place."""

    profile: NDArray[np.void]  # LINK
    cursor: NDArray[np.void]  # CURSOR
    draws: NDArray[np.uint64]  # the node's sequences, by Purpose
    partitions: NDArray[np.float64]  # (n, 2): from, to in s


def make_link(profile: NDArray[np.void], partitions: NDArray[np.float64], seed: int, node: int) -> Link:
    """Stand at time 0 of the link of `node`; `profile` is one LINK record in an array."""
    link = Link(profile, np.zeros(1, CURSOR).view(np.recarray), np.zeros(len(Purpose) + 1, np.uint64), partitions)
    rewind(link, seed, node)
    return link


@kernel
def rewind(link: Link, seed: int, node: int) -> None:
    """Make `link` the link of `node` at time 0."""
    for purpose in range(1, len(link.draws)):
        link.draws[purpose] = chance.key(seed, node, purpose)
    cursor = link.cursor[0]
    cursor.knot = -2  # not the neighbour of any knot that a packet can ask for
    cursor.outages = 0
    cursor.outage_from = cursor.outage_to = 0.0
    for direction in range(2):
        cursor.bursts[direction] = 0
        cursor.bad_from[direction] = cursor.bad_to[direction] = cursor.last_arrival[direction] = 0.0


@kernel
def _look_up(table: NDArray[np.float64], position: float) -> float:
    """Interpolate linearly between neighbours in a table; positions beyond its ends give its ends."""
    i = min(max(int(position), 0), len(table) - 2)
    part = min(max(position - i, 0.0), 1.0)
    return table[i] + part * (table[i + 1] - table[i])


@kernel
def _radio(link: Link, t: float) -> float:
    """Give z(t), which says how the link's delay stands in its distribution: standard normal."""
    cursor = link.cursor[0]
    position = t / link.profile[0].jitter_correlation_s
    knot = floor(position)
    if knot != cursor.knot:
        sequence = link.draws[Purpose.DELAY]
        cursor.z0 = cursor.z1 if knot == cursor.knot + 1 else chance.normal(sequence, knot)
        cursor.z1 = chance.normal(sequence, knot + 1)
        cursor.knot = knot
    w = position - knot
    return ((1.0 - w) * cursor.z0 + w * cursor.z1) / sqrt((1.0 - w) * (1.0 - w) + w * w)


@kernel
def delay(link: Link, direction: int, t: float) -> float:
    """Give the one-way delay of a packet that leaves at `t`, s."""
    profile = link.profile[0]
    position = (_radio(link, t) + 4.0) * 4.0
    return profile.base_s[direction] + _look_up(profile.jitter_s[direction], position)


@kernel
def is_out(link: Link, t: float) -> bool:
    """Whether the link passes no packet at `t`. Times must not fall from call to call."""
    cursor = link.cursor[0]
    profile = link.profile[0]
    if profile.outage_gap_mean_s > 0.0:
        while cursor.outage_to <= t:
            sequence = link.draws[Purpose.OUTAGE]
            gap = chance.exponential(sequence, 2 * cursor.outages) * profile.outage_gap_mean_s
            score = chance.exponential(sequence, 2 * cursor.outages + 1)
            cursor.outage_from = cursor.outage_to + gap
            cursor.outage_to = cursor.outage_from + _look_up(profile.outage_s, score * 4.0)
            cursor.outages += 1
        if cursor.outage_from <= t:
            return True
    for i in range(link.partitions.shape[0]):  # noqa: SIM110 (Numba compiles no generator inside a kernel)
        if link.partitions[i, 0] <= t < link.partitions[i, 1]:
            return True
    return False


@kernel
def _is_lost(link: Link, direction: int, t: float) -> bool:
    """Whether Gilbert–Elliott loss takes a packet that leaves at `t`; its draw is counted by the microsecond."""
    cursor, profile = link.cursor[0], link.profile[0]
    probability = profile.loss_good[direction]
    if profile.good_mean_s[direction] > 0.0:
        while cursor.bad_to[direction] <= t:
            sequence, n = link.draws[Purpose.UP_BURST + direction], cursor.bursts[direction]
            good = chance.exponential(sequence, n) * profile.good_mean_s[direction]
            cursor.bad_from[direction] = cursor.bad_to[direction] + good
            bad = chance.exponential(sequence, n + 1) * profile.bad_mean_s[direction]
            cursor.bad_to[direction] = cursor.bad_from[direction] + bad
            cursor.bursts[direction] = n + 2
        if cursor.bad_from[direction] <= t:
            probability = profile.loss_bad[direction]
    if probability <= 0.0:
        return False
    return chance.uniform(link.draws[Purpose.UP_LOSS + direction], int(t * 1e6)) < probability


@kernel
def transmit(link: Link, direction: int, t: float) -> float:
    """Give the time at which a packet that leaves at `t` arrives, s, or NaN where the link swallows it."""
    if is_out(link, t) or _is_lost(link, direction, t):
        return nan
    last = link.cursor[0].last_arrival
    last[direction] = max(last[direction], t + delay(link, direction, t))
    return last[direction]


@kernel
def next_outage(link: Link, t: float) -> tuple[float, float]:
    """Give (from, to) of the outage that is on at `t` or comes next, partitions apart; (inf, inf): none ever does."""
    if link.profile[0].outage_gap_mean_s <= 0.0:
        return inf, inf
    is_out(link, t)
    return link.cursor[0].outage_from, link.cursor[0].outage_to
