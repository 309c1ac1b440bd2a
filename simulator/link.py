"""A node's link to the hub, packet by packet: delay, loss and outages as functions of time.

Whether a packet that leaves at time t is lost, and what its delay is, depends on (seed, node, direction, t) alone and
not on what else is sent. So every engine sees the same link, and a connection that outlives its node can be followed
apart. One thing does depend on the packets before it: it does not overtake them.

    delay     base + jitter(z(t)): a quantile function of a stationary normal process, interpolated between counted
              normals `jitter_correlation_s` apart, weights scaled to keep the variance 1. One process serves both
              directions: what makes a radio slow makes it slow both ways.
    order     a packet never arrives before one that left earlier in its direction: where it would, it arrives with it.
    loss      Gilbert–Elliott in continuous time (Gilbert 1960, Elliott 1963): good and bad periods of exponential
              length, in each of which packets are lost independently with the period's probability.
    outage    no packet passes in either direction: periods with exponential gaps and tabled durations; partitions,
              which a scenario orders, come on top.

Bandwidth is not modelled: the flows of a node are thin against what its link carries.
"""

from collections.abc import Sequence
from math import floor, inf, nan, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator import chance
from heartbench.simulator.chance import Purpose
from heartbench.simulator.kernel import kernel, part

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

MAX_PARTITIONS = 16

# One node's link: its profile, its draws, and where it is in its own history. The cursors only move forward.
LINK_STATE = np.dtype(
    [
        ("profile", LINK),
        ("draws", "u8", (len(Purpose) + 1,)),  # the node's sequences, by Purpose
        ("partitions", "f8", (MAX_PARTITIONS, 2)),  # ordered by the scenario: from, to in s
        ("partition_count", "i8"),
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


Record = Any  # a record of a structured array, whose fields the checker cannot see


def make_link(profile: NDArray[np.void], partitions: Sequence[tuple[float, float]], seed: int, node: int) -> Record:
    """Stand at time 0 of the link of `node`.

    `profile` is an array of one LINK; `partitions` are (from, to) in s, MAX_PARTITIONS at most.
    """
    link = np.zeros(1, LINK_STATE).view(np.recarray)[0]
    link.profile = profile[0]
    link.partition_count = len(partitions)
    for i, span in enumerate(partitions):
        link.partitions[i] = span
    rewind(link, seed, node)
    return link


@kernel
def rewind(link: Record, seed: int, node: int) -> None:
    """Make `link` the link of `node` at time 0."""
    for purpose in range(1, len(link.draws)):
        link.draws[purpose] = chance.key(seed, node, purpose)
    link.knot = -2  # not the neighbour of any knot that a packet can ask for
    link.outages = 0
    link.outage_from = link.outage_to = 0.0
    for direction in range(2):
        link.bursts[direction] = 0
        link.bad_from[direction] = link.bad_to[direction] = link.last_arrival[direction] = 0.0


@part
def _look_up(table: NDArray[np.float64], position: float) -> float:
    """Interpolate linearly between neighbours in a table; positions beyond its ends give its ends."""
    i = min(max(int(position), 0), len(table) - 2)
    part = min(max(position - i, 0.0), 1.0)
    return table[i] + part * (table[i + 1] - table[i])


@part
def _radio(link: Record, t: float) -> float:
    """Give z(t), which says how the link's delay stands in its distribution: standard normal."""
    position = t / link.profile.jitter_correlation_s
    knot = floor(position)
    if knot != link.knot:
        sequence = link.draws[Purpose.DELAY]
        link.z0 = link.z1 if knot == link.knot + 1 else chance.normal(sequence, knot)
        link.z1 = chance.normal(sequence, knot + 1)
        link.knot = knot
    w = position - knot
    return ((1.0 - w) * link.z0 + w * link.z1) / sqrt((1.0 - w) * (1.0 - w) + w * w)


@part
def delay(link: Record, direction: int, t: float) -> float:
    """Give the one-way delay of a packet that leaves at `t`, s."""
    profile = link.profile
    position = (_radio(link, t) + 4.0) * 4.0
    return profile.base_s[direction] + _look_up(profile.jitter_s[direction], position)


@part
def is_out(link: Record, t: float) -> bool:
    """Whether the link passes no packet at `t`. Times must not fall from call to call."""
    profile = link.profile
    if profile.outage_gap_mean_s > 0.0:
        while link.outage_to <= t:
            sequence = link.draws[Purpose.OUTAGE]
            gap = chance.exponential(sequence, 2 * link.outages) * profile.outage_gap_mean_s
            score = chance.exponential(sequence, 2 * link.outages + 1)
            link.outage_from = link.outage_to + gap
            link.outage_to = link.outage_from + _look_up(profile.outage_s, score * 4.0)
            link.outages += 1
        if link.outage_from <= t:
            return True
    for i in range(link.partition_count):  # noqa: SIM110 (Numba compiles no generator inside a kernel)
        if link.partitions[i, 0] <= t < link.partitions[i, 1]:
            return True
    return False


@part
def _is_lost(link: Record, direction: int, t: float) -> bool:
    """Whether Gilbert–Elliott loss takes a packet that leaves at `t`; its draw is counted by the microsecond."""
    profile = link.profile
    probability = profile.loss_good[direction]
    if profile.good_mean_s[direction] > 0.0:
        while link.bad_to[direction] <= t:
            sequence, n = link.draws[Purpose.UP_BURST + direction], link.bursts[direction]
            good = chance.exponential(sequence, n) * profile.good_mean_s[direction]
            link.bad_from[direction] = link.bad_to[direction] + good
            bad = chance.exponential(sequence, n + 1) * profile.bad_mean_s[direction]
            link.bad_to[direction] = link.bad_from[direction] + bad
            link.bursts[direction] = n + 2
        if link.bad_from[direction] <= t:
            probability = profile.loss_bad[direction]
    if probability <= 0.0:
        return False
    return chance.uniform(link.draws[Purpose.UP_LOSS + direction], int(t * 1e6)) < probability


@part
def transmit(link: Record, direction: int, t: float) -> float:
    """Give the time at which a packet that leaves at `t` arrives, s, or NaN where the link swallows it."""
    if is_out(link, t) or _is_lost(link, direction, t):
        return nan
    last = link.last_arrival
    last[direction] = max(last[direction], t + delay(link, direction, t))
    return last[direction]


@kernel
def next_outage(link: Record, t: float) -> tuple[float, float]:
    """Give (from, to) of the outage that is on at `t` or comes next, partitions apart; (inf, inf): none ever does."""
    if link.profile.outage_gap_mean_s <= 0.0:
        return inf, inf
    is_out(link, t)
    return link.outage_from, link.outage_to
