"""What a log alone says about its gaps. It has no truth: the class of a gap stays unknown, and each cause is inferred.

    reconnect      the gap ends with a Hello, or with a message of another connection or boot
    late delivery  what was sent in the gap arrived at its end: held, queued, or retransmitted by TCP. By the senders'
                   times if the log has them, else because several messages arrive together
    not due        the gap is shorter than ONE_MISSING of the node's own intervals, so no message is missing from it
    missing        what was due in the gap never arrived, and the next message came in time: lost, or never sent

TCP retransmits at doubling distances, so how late something comes after an outage is near s · 2^k for some step s. One
gap near such a step proves nothing, since the steps are close; many gaps that agree on s do. `ladder_of` measures that
by the mean length r of the angles 2π log2(lateness) (Mardia and Jupp, "Directional Statistics", 2000, chapter 2).
Without any steps the times are dense just over the threshold, and sparse far from it, so their angles are unequal too.
Hence r is that of the times from twice the least one on. It is compared with that of random times from two smooth
tails, fitted by maximum likelihood, a Pareto and an exponential one, and the less sure counts. And the times below
twice the least one must have their mean angle within an eighth of a turn of the others'.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log2
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.evidence import Evidence
from heartbench.analysis.explain.causes import Cause, Scene
from heartbench.analysis.explain.flashes import (
    Flash,
    Flashes,
    covered_by,
    false_by_node,
    messages_by_node,
    messages_of,
    names_at,
)
from heartbench.analysis.explain.marks import Mark, marks_of
from heartbench.analysis.explain.story import Story
from heartbench.analysis.explain.truth import NodeTruth
from heartbench.analysis.gaps import Gaps
from heartbench.mesh.kinds import Kind as MessageKind
from heartbench.simulator.trace import Messages

Floats = NDArray[np.float64]

TOGETHER = 0.25
"""Messages arrive together if they are at most this part of an interval apart."""
ONE_MISSING = 1.5
"""Intervals from which on a gap lacks a message."""
SAME_S = 1e-6
SEED, DRAWS, FEWEST_ASKED, MOST_ASKED = 1, 999, 8, 2000
SURE = 0.01
"""A probability by chance below this shows a ladder."""
MOST_APART = 1 / 8
LEAST_STEP_S = 0.2
"""TCP's shortest retransmission timeout in Linux (TCP_RTO_MIN), s: steps are named from there on."""


@dataclass(frozen=True, slots=True)
class LadderFound:
    """How well late deliveries agree on steps s · 2^k.

    Attributes:
        count: late deliveries that were asked: those from twice the least one on.
        concentration: mean length r of their angles, 0 to 1.
        by_chance: probability of an r at least as large if there are no steps; not below 1 / (DRAWS + 1).
        agrees: whether the other ones have about the same mean angle.
        step_s: s on which they agree best, in the octave from LEAST_STEP_S on.
    """

    count: int
    concentration: float
    by_chance: float
    agrees: bool
    step_s: float

    @property
    def is_sure(self) -> bool:
        """Whether there is a ladder."""
        return self.agrees and self.by_chance < SURE


def explain_log(path: Path, evidence: Evidence, gaps: Gaps) -> tuple[Flashes, LadderFound | None]:
    """Return the gaps of a log over its threshold, with inferred causes, and what its late deliveries agree on.

    `path` is where its messages are, `gaps` those of the evidence or of some nodes of it.
    """
    marks = marks_of(gaps, evidence.hub, evidence.duration_s)
    by_node = false_by_node(marks)
    names = names_at(path)
    groups = {int(node): name for name, own in evidence.groups.items() for node in own}
    origin_s = origin_of(evidence)
    found: list[Flash] = []
    late_s: list[float] = []
    for node, messages in messages_by_node(path, list(by_node)):
        arrived, interval_s = by_arrival(messages), own_interval_s(messages, evidence.usual_gap_s)
        for mark in by_node[node]:
            around = Around.of(arrived, mark, origin_s, interval_s)
            cause = None if around is None else around.cause()
            if around is not None and cause is Cause.LATE:
                late_s.append(around.late_s())
            mends = covered_by(mark, evidence.hub)
            name = names.get(node, str(node))
            found.append(Flash(mark, groups[node], name, None, cause, inferred=True, mended_by=mends))
    found.sort(key=lambda flash: (flash.mark.node, flash.mark.at_s))
    return Flashes(tuple(found), tuple(mark for mark in marks if not mark.false)), ladder_of(late_s)


def tell_log(path: Path, evidence: Evidence, flash: Flash) -> Story:
    """Return the story of a false stale of a log: its messages, and what the hub would have made of them."""
    messages, origin_s = messages_of(path, flash.mark.node), origin_of(evidence)
    shifted = replace(messages, sent_s=messages.sent_s - origin_s, arrived_s=messages.arrived_s - origin_s)
    return Story(flash, Scene(flash.mark, NodeTruth(), shifted, has_queue=False, moment=None), ())


def by_arrival(messages: Messages) -> Messages:
    """Return those messages of a node that arrived, in order of arrival."""
    arrived = messages.select(np.flatnonzero(~np.isnan(messages.arrived_s)))
    return arrived.select(np.argsort(arrived.arrived_s, kind="stable"))


def own_interval_s(messages: Messages, fleets_s: float) -> float:
    """Return the median time between two messages of a node as they were sent, s; of the fleet if that is not known."""
    apart_s = np.diff(np.sort(messages.sent_s))
    return float(np.median(apart_s[apart_s > 0])) if np.any(apart_s > 0) else fleets_s


def origin_of(evidence: Evidence) -> float:
    """Return from when the times of a log's gaps count, in its own time: its first arrival, s."""
    return evidence.imported.begin_s if evidence.imported else 0.0


@dataclass(frozen=True, slots=True)
class Around:
    """The messages that arrived around a gap: the last before it and those from its end on, by arrival."""

    before: Messages
    after: Messages
    interval_s: float
    transit_s: float
    """Usual time of a message of this node to the hub."""

    @classmethod
    def of(cls, arrived: Messages, mark: Mark, origin_s: float, interval_s: float) -> "Around | None":
        """Return them of a node's messages by arrival, for a mark since `origin_s`; None if the log ends in the gap."""
        if not mark.heard:
            return None
        place = int(np.searchsorted(arrived.arrived_s - origin_s, mark.from_s + SAME_S))
        if not 0 < place < len(arrived):
            return None
        transit_s = float(np.median(arrived.arrived_s - arrived.sent_s))
        return cls(arrived.select(slice(place - 1, place)), arrived.select(slice(place, None)), interval_s, transit_s)

    def cause(self) -> Cause:
        """Return what ended the gap."""
        before, after = self.before, self.after
        replaced = before.connection[-1] != after.connection[0] or before.boot[-1] != after.boot[0]
        if replaced or after.kind[0] == MessageKind.HELLO:
            return Cause.RECONNECT
        together = after.arrived_s[1:2] - after.arrived_s[0] <= TOGETHER * self.interval_s
        late_from_s = self.transit_s + self.interval_s
        if self.late_s() > late_from_s if self._has_sent_times() else together.any():
            return Cause.LATE
        gap_s = float(after.arrived_s[0] - before.arrived_s[-1])
        return Cause.MISSING if gap_s > ONE_MISSING * self.interval_s else Cause.NOT_DUE

    def late_s(self) -> float:
        """Return how late the first messages came, s; without senders' times one was due an interval after the last.

        Of those that came together, the one sent first counts: TCP keeps their order, datagrams need not.
        """
        if self._has_sent_times():
            arrived_s = self.after.arrived_s
            together = np.searchsorted(arrived_s, arrived_s[0] + TOGETHER * self.interval_s, "right")
            return float(np.max(arrived_s[:together] - self.after.sent_s[:together]))
        return float(self.after.arrived_s[0] - self.before.arrived_s[-1]) - self.interval_s

    def _has_sent_times(self) -> bool:
        return bool(self.after.arrived_s[0] != self.after.sent_s[0])


def ladder_of(late_s: Sequence[float]) -> LadderFound | None:
    """Return how well times agree on steps s · 2^k; None if fewer than FEWEST_ASKED lie on either side of the split."""
    all_s = np.array([each for each in late_s if each > LEAST_STEP_S])
    split_s = 2 * np.min(all_s, initial=np.inf)
    short_s, long_s = all_s[all_s < split_s][:MOST_ASKED], all_s[all_s >= split_s][:MOST_ASKED]
    if min(len(short_s), len(long_s)) < FEWEST_ASKED:
        return None
    mean, other = complex(_mean_angle(long_s)), complex(_mean_angle(short_s))
    r, apart = abs(mean), abs(float(np.angle(mean * other.conjugate()))) / (2 * np.pi)
    step_s = 2.0 ** ((np.angle(mean) / (2 * np.pi) - log2(LEAST_STEP_S)) % 1.0) * LEAST_STEP_S
    return LadderFound(len(long_s), r, _by_chance(long_s, r), apart < MOST_APART, float(step_s))


def _mean_angle(late_s: Floats) -> NDArray[np.complex128]:
    """Return the mean of exp(2πi log2 t) over the last axis."""
    return np.asarray(np.mean(np.exp(2j * np.pi * np.log2(late_s)), axis=-1))


def _by_chance(late_s: Floats, concentration: float) -> float:
    """Return the probability of at least this concentration under the smooth tail that makes it more likely."""
    least_s = float(late_s.min())
    if late_s.max() == least_s:
        return 1.0
    draws = np.random.default_rng(SEED).exponential(size=(DRAWS, len(late_s)))
    tails = least_s * np.exp(draws * np.mean(np.log(late_s / least_s))), least_s + draws * np.mean(late_s - least_s)
    more = max(int((np.abs(_mean_angle(tail)) >= concentration).sum()) for tail in tails)
    return (1 + more) / (DRAWS + 1)
