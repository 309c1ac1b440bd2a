"""The two classes of false stales, and their causes.

Let D be the deadline at which the node was marked stale.

    unreachable   the way up of its link passed nothing at D: an outage, a hold or a partition was in force
    hidden        it passed packets at D; what kept the node from being heard is the cause

A hidden one has the first cause of this list that holds at D:

    hub away           the hub was paused or down in the gap, and what followed took longer than its grace
    tunnel             packets of the node waited for a key of its WireGuard tunnel
    reconnect          the node had no connection: an attempt was going on, or its backoff
    dead connection    the node sent on a connection whose other end, or path, had forgotten it
    no heartbeat due   all that it had sent had arrived; the threshold is shorter than its heartbeat interval
    queue              its message was on the way in the queue of a slow way up
    hold               its message was on the way, released by a hold that had just ended
    rto backoff        TCP waited to retransmit, and a cut of the link fell into the gap, or into the backing off that
                       began before it: the first message after the cut was heard, and its acknowledgement was lost
    losses             TCP waited to retransmit without a cut: single packets were lost

A log has no truth. What can be inferred from the messages around a gap is in `logs`, with two causes of its own, *late
delivery* and *missing*.
"""

import enum
from dataclasses import dataclass
from math import inf

import numpy as np

from heartbench.analysis.explain.marks import Mark
from heartbench.analysis.explain.rerun import Moment
from heartbench.analysis.explain.truth import Cut, CutKind, NodeTruth
from heartbench.simulator.trace import Messages, TruthEvent


class Kind(enum.StrEnum):
    """Whether the link passed nothing when the node was marked, or it was fine and something hid that."""

    UNREACHABLE = "unreachable"
    HIDDEN = "hidden"


class Cause(enum.StrEnum):
    """Why the hub heard nothing by the deadline."""

    OUTAGE = "outage"
    HOLD = "hold"
    PARTITION = "partition"
    HUB_AWAY = "hub away"
    TUNNEL = "tunnel"
    RECONNECT = "reconnect"
    DEAD = "dead connection"
    NOT_DUE = "no heartbeat due"
    QUEUE = "queue"
    BACKOFF = "rto backoff"
    LOSSES = "losses"
    LATE = "late delivery"
    MISSING = "missing"


OF_CUTS = {CutKind.OUTAGE: Cause.OUTAGE, CutKind.HOLD: Cause.HOLD, CutKind.PARTITION: Cause.PARTITION}


@dataclass(frozen=True, slots=True)
class Scene:
    """What is known of one mark: the truth and the messages of its node, and whether a queue is in front of its way up.

    `moment` is its state at the deadline; None if the node was not run again, and the rest has to be inferred.
    """

    mark: Mark
    truth: NodeTruth
    messages: Messages
    has_queue: bool
    moment: Moment | None

    @property
    def began_s(self) -> float:
        """When the gap began, or TCP's backing off that still went on at the deadline, if that is earlier; s."""
        return min(self.mark.from_s, self.moment.backing_off_s if self.moment else inf)

    @property
    def cut(self) -> Cut | None:
        """The cut that was in force at the deadline, or else the last one since `began_s`."""
        return self.truth.cut_at(self.mark.at_s) or self.truth.last_cut(self.began_s, self.mark.at_s)

    @property
    def waits(self) -> bool:
        """Whether a message that was sent by the deadline had not arrived then, and belongs to the last connection."""
        sent = np.flatnonzero(self.messages.sent_s < self.mark.at_s)
        if not len(sent):
            return False
        stream = (self.messages.boot == self.messages.boot[sent[-1]]) & (
            self.messages.connection == self.messages.connection[sent[-1]]
        )
        there = self.messages.arrived_s <= self.mark.at_s
        return bool(np.any(stream[sent] & ~there[sent]))


def classify(scene: Scene) -> tuple[Kind, Cause]:
    """Return the class and the cause of a false stale, see above."""
    cut = scene.truth.cut_at(scene.mark.at_s)
    if cut is not None:
        return Kind.UNREACHABLE, OF_CUTS[cut.kind]
    if scene.truth.hub_away(scene.mark.from_s, scene.mark.at_s):
        return Kind.HIDDEN, Cause.HUB_AWAY
    return Kind.HIDDEN, _of_moment(scene, scene.moment) if scene.moment else _of_record(scene)


def _of_moment(scene: Scene, moment: Moment) -> Cause:
    if moment.staged:
        return Cause.TUNNEL
    if not moment.connected:
        return Cause.RECONNECT
    if moment.forgotten or moment.hub_closed:
        return Cause.DEAD
    if not scene.waits:
        return Cause.NOT_DUE
    if moment.arrives_s < inf and scene.has_queue:
        return Cause.QUEUE
    cut = scene.cut
    if cut is None:
        return Cause.LOSSES
    return Cause.HOLD if cut.kind is CutKind.HOLD and moment.arrives_s < inf else Cause.BACKOFF


def _of_record(scene: Scene) -> Cause:
    """Return the cause as far as messages, closes and handshakes show it."""
    mark, truth = scene.mark, scene.truth
    if _handshake_is_open(truth, mark):
        return Cause.TUNNEL
    if _is_replaced(scene.messages, mark):
        closes = truth.between(mark.from_s, mark.at_s, TruthEvent.CLOSE, TruthEvent.RESET)
        return Cause.RECONNECT if closes else Cause.DEAD
    if not scene.waits:
        return Cause.NOT_DUE
    if scene.cut is not None:
        return Cause.BACKOFF
    return Cause.QUEUE if scene.has_queue else Cause.LOSSES


def _handshake_is_open(truth: NodeTruth, mark: Mark) -> bool:
    """Return whether the last event of the tunnel in the gap before the deadline is not a success."""
    names = TruthEvent.HANDSHAKE_BEGUN, TruthEvent.KEY_EXPIRED, TruthEvent.HANDSHAKE_GIVEN_UP
    events = truth.between(mark.from_s, mark.at_s, *names, TruthEvent.HANDSHAKE_SUCCEEDED)
    return bool(events) and events[-1].what is not TruthEvent.HANDSHAKE_SUCCEEDED


def _is_replaced(messages: Messages, mark: Mark) -> bool:
    """Return whether the gap ends with a message of another connection than the one before; unknown is no."""
    last = np.flatnonzero(messages.arrived_s == mark.from_s)
    following = np.flatnonzero(messages.arrived_s == mark.until_s)
    if not len(last) or not len(following):
        return False
    before, after = last[-1], following[0]
    return bool(
        messages.connection[before] != messages.connection[after] or messages.boot[before] != messages.boot[after]
    )
