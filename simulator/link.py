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
    outage    periods with exponential gaps and tabled durations, in which no packet passes up, down or either way. A
              dropping one loses the packets. A holding one keeps them and lets them out together, in order, at its end.
              A node has outages of its own, and may have some that it shares with all nodes of its site. Where both are
              on, a packet is lost if either drops it. Partitions, which a scenario orders, drop and come on top.

Bandwidth is not modelled: the flows of a node are thin against what its link carries.
"""

from collections.abc import Sequence
from math import floor, inf, isnan, nan, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator import counter_rng
from heartbench.simulator.counter_rng import Purpose
from heartbench.simulator.kernel import kernel, part

UP, DOWN, BOTH = 0, 1, 2  # node to hub, hub to node, and an outage of both
OWN, SITE = 0, 1  # outages of the node alone, and of its whole site

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
        ("alone", "f8", (2,)),  # share of the outages that cut this direction alone; the rest cut both
        ("hold", "f8"),  # share of the outages that hold packets instead of dropping them
        ("site_gap_mean_s", "f8"),  # as outage_gap_mean_s, for the outages that a whole site shares
        ("site_nodes", "i8"),  # nodes of a site, by consecutive numbers; 0: there are no sites
        ("first_node", "i8"),  # number of the first node of the first site
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
        ("outage", "i8", (2,)),  # OWN and SITE: number of the outage that is on or comes next, -1: none was drawn yet
        ("outage_from", "f8", (2,)),
        ("outage_to", "f8", (2,)),
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
        link.draws[purpose] = counter_rng.key(seed, node, purpose)
    if link.profile.site_nodes > 0:
        site = node - (node - link.profile.first_node) % link.profile.site_nodes  # named after its first node
        link.draws[Purpose.SITE_OUTAGE] = counter_rng.key(seed, site, Purpose.SITE_OUTAGE)
        link.draws[Purpose.SITE_OUTAGE_DIRECTION] = counter_rng.key(seed, site, Purpose.SITE_OUTAGE_DIRECTION)
        link.draws[Purpose.SITE_OUTAGE_HOLD] = counter_rng.key(seed, site, Purpose.SITE_OUTAGE_HOLD)
    link.knot = -2  # not the neighbour of any knot that a packet can ask for
    for whose in range(2):
        link.outage[whose] = -1
        link.outage_from[whose] = link.outage_to[whose] = 0.0 if _gap_mean_s(link, whose) > 0.0 else inf
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
        link.z0 = link.z1 if knot == link.knot + 1 else counter_rng.normal(sequence, knot)
        link.z1 = counter_rng.normal(sequence, knot + 1)
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
def _gap_mean_s(link: Record, whose: int) -> float:
    return link.profile.outage_gap_mean_s if whose == OWN else link.profile.site_gap_mean_s


@kernel
def _outage_at(link: Record, whose: int, t: float) -> tuple[int, float, float]:
    """Return (number, from, to) of the outage of `whose` that is on at `t` or comes next; the cursor stays."""
    number, begins, ends = link.outage[whose], link.outage_from[whose], link.outage_to[whose]
    sequence = link.draws[Purpose.OUTAGE if whose == OWN else Purpose.SITE_OUTAGE]
    while ends <= t:
        number += 1
        begins = ends + counter_rng.exponential(sequence, 2 * number) * _gap_mean_s(link, whose)
        score = counter_rng.exponential(sequence, 2 * number + 1)
        ends = begins + _look_up(link.profile.outage_s, score * 4.0)
    return number, begins, ends


@part
def _direction_of(link: Record, whose: int, number: int) -> int:
    """Return what an outage cuts: UP, DOWN or BOTH."""
    alone = link.profile.alone
    draw = counter_rng.uniform(link.draws[Purpose.OUTAGE_DIRECTION + whose], number)
    return UP if draw < alone[UP] else DOWN if draw < alone[UP] + alone[DOWN] else BOTH


@part
def _holds(link: Record, whose: int, number: int) -> bool:
    """Whether an outage holds packets and does not drop them."""
    return counter_rng.uniform(link.draws[Purpose.OUTAGE_HOLD + whose], number) < link.profile.hold


@part
def _cuts(link: Record, whose: int, number: int, direction: int) -> bool:
    cut = _direction_of(link, whose, number)
    return cut in (BOTH, direction)


@kernel
def _is_on(link: Record, whose: int, direction: int, t: float) -> bool:
    """Whether an outage of `whose` is on at `t`, to which its cursor moves, and cuts `direction`."""
    number, begins, ends = _outage_at(link, whose, t)
    link.outage[whose], link.outage_from[whose], link.outage_to[whose] = number, begins, ends
    return begins <= t and _cuts(link, whose, number, direction)


@part
def _is_partitioned(link: Record, t: float) -> bool:
    for i in range(link.partition_count):  # noqa: SIM110 (Numba compiles no generator inside a kernel)
        if link.partitions[i, 0] <= t < link.partitions[i, 1]:
            return True
    return False


@part
def is_out(link: Record, direction: int, t: float) -> bool:
    """Whether an outage or a partition cuts `direction` at `t`. Times must not fall from call to call."""
    for whose in range(2):
        if link.outage_from[whose] <= t and _is_on(link, whose, direction, t):
            return True
    return _is_partitioned(link, t)


@kernel
def _released(link: Record, direction: int, t: float) -> float:
    """Return when the link passes on a packet that it was given in an outage, at `t`, in s; NaN: it drops it."""
    at, before = t, -inf
    while at > before:
        before = at
        if _is_partitioned(link, before):
            return nan
        for whose in range(2):
            number, begins, ends = _outage_at(link, whose, before)
            if begins <= before and _cuts(link, whose, number, direction):
                if not _holds(link, whose, number):
                    return nan
                at = max(at, ends)
    return at


@part
def _is_lost(link: Record, direction: int, t: float) -> bool:
    """Whether Gilbert–Elliott loss takes a packet that leaves at `t`; its draw is counted by the microsecond."""
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
def transmit(link: Record, direction: int, t: float) -> float:
    """Return the time at which a packet that leaves at `t` arrives, in s, or NaN if it is lost.

    A packet that an outage holds is past the radio when the outage ends: it takes its delay then, and no loss.
    """
    passes = t
    if is_out(link, direction, t):
        passes = _released(link, direction, t)
        if isnan(passes):
            return nan
    elif _is_lost(link, direction, t):
        return nan
    last = link.last_arrival
    last[direction] = max(last[direction], passes + delay(link, direction, passes))
    return last[direction]


@kernel
def next_outage(link: Record, whose: int, t: float) -> tuple[float, float, int, bool]:
    """Return the outage of `whose` (OWN or SITE) that is on at `t` or comes next, partitions apart.

    It is (from, to, what it cuts: UP, DOWN or BOTH, whether it holds packets), times in s; from inf: there is none.
    """
    number, begins, ends = _outage_at(link, whose, t)
    link.outage[whose], link.outage_from[whose], link.outage_to[whose] = number, begins, ends
    return begins, ends, _direction_of(link, whose, number), _holds(link, whose, number)
