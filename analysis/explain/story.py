"""The story of one false stale: what happened to link, tunnel, connection and messages, and what the hub made of it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf, isfinite, isnan

import numpy as np

from heartbench.analysis.explain.causes import Scene
from heartbench.analysis.explain.flashes import Flash, Record, messages_of
from heartbench.analysis.explain.rerun import Moment
from heartbench.mesh.kinds import Kind as MessageKind
from heartbench.simulator.trace import TruthEvent

BEFORE_S, AFTER_S = 15.0, 5.0
"""Time shown before the gap, or the backing off that led to it, and after the next sign of life, s."""
HAPPENED = {
    TruthEvent.CLOSE: "the node sees its connection end",
    TruthEvent.RESET: "something on the path resets the connection",
    TruthEvent.HALF_OPEN: "the path forgets the connection",
    TruthEvent.REBIND: "the node's address changes",
    TruthEvent.NAT_EXPIRED: "a NAT forgets the idle connection",
    TruthEvent.KEY_EXPIRED: "the tunnel's key has expired: packets wait for another",
    TruthEvent.HANDSHAKE_BEGUN: "the tunnel begins a handshake",
    TruthEvent.HANDSHAKE_SUCCEEDED: "the tunnel has a new key",
    TruthEvent.HANDSHAKE_GIVEN_UP: "the tunnel gives the handshake up: waiting packets are dropped",
    TruthEvent.HUB_PAUSE: "the hub's process is paused",
    TruthEvent.HUB_KILL: "the hub is killed",
    TruthEvent.HUB_STOP: "the hub is stopped",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One event of a story: when, s since the start of the run, on which lane, and what."""

    at_s: float
    lane: str
    text: str


@dataclass(frozen=True, slots=True)
class Story:
    """One false stale and everything known about the time around it.

    `moments` are the states of the node after each event; empty if it was not run again.
    """

    flash: Flash
    scene: Scene
    moments: tuple[Moment, ...]

    @property
    def from_s(self) -> float:
        """Where the story begins, s."""
        return max(min(self.flash.mark.from_s, self.scene.began_s) - BEFORE_S, 0.0)

    @property
    def to_s(self) -> float:
        """Where it ends, s."""
        return self.flash.mark.until_s + AFTER_S

    def lines(self) -> list[Line]:
        """Return its events by time."""
        shown = [line for line in (*self._truth(), *self._messages(), *self._tcp(), *self._hub()) if self._is_in(line)]
        return sorted(shown, key=lambda line: line.at_s)

    def _is_in(self, line: Line) -> bool:
        return self.from_s <= line.at_s <= self.to_s

    def _truth(self) -> Iterator[Line]:
        for cut in self.scene.truth.cuts:
            yield Line(cut.from_s, "link", f"{cut.kind} of {cut.way} begins")
            yield Line(cut.to_s, "link", f"it ends, after {cut.to_s - cut.from_s:.1f} s: the link passes packets again")
        for each in (*self.scene.truth.happened, *self.scene.truth.hub):
            lane = "hub" if "HUB" in each.what.name else "tunnel" if _of_tunnel(each.what) else "connection"
            is_told = each.what is TruthEvent.CLOSE and self.moments  # by what TCP did
            if each.what in HAPPENED and not is_told:
                yield Line(each.at_s, lane, HAPPENED[each.what])
            if lane == "hub" and isfinite(each.end_s):
                yield Line(each.end_s, lane, "it is back")

    def _messages(self) -> Iterator[Line]:
        messages, mark = self.scene.messages, self.flash.mark
        for row in np.flatnonzero((messages.sent_s >= self.from_s) & (messages.sent_s <= self.to_s)):
            sent_s, arrived_s = float(messages.sent_s[row]), float(messages.arrived_s[row])
            name = f"{MessageKind(messages.kind[row]).name.lower()} {messages.seq[row]}"
            if isnan(arrived_s):
                yield Line(sent_s, "messages", f"{name} is sent, and never arrives")
            elif arrived_s == sent_s:
                yield Line(arrived_s, "messages", f"{name} arrives")
            elif arrived_s >= mark.until_s > sent_s:
                yield Line(sent_s, "messages", f"{name} is sent; it arrives {arrived_s - sent_s:.1f} s later")
            else:
                yield Line(
                    sent_s, "messages", f"{name} is sent, and arrives after {1000 * (arrived_s - sent_s):.0f} ms"
                )

    def _hub(self) -> Iterator[Line]:
        mark = self.flash.mark
        yield Line(mark.from_s, "hub", "last sign of life before the gap")
        shown = {2: "a dashboard shows it, and the return", 1: "a dashboard shows one of mark and return"}
        seen = shown.get(mark.shown, "flap suppression hides it from dashboards")
        yield Line(mark.at_s, "hub", f"deadline: {mark.at_s - mark.from_s:.1f} s without a sign of life, stale; {seen}")
        if mark.heard:
            yield Line(mark.until_s, "hub", f"sign of life after {mark.gap_s:.1f} s: online again")
        else:
            yield Line(mark.until_s, "hub", "the run ends; nothing was heard")

    def _tcp(self) -> Iterator[Line]:
        for before, now in pairwise(self.moments):
            yield from _changes(before, now)


def tell(record: Record, flash: Flash) -> Story:
    """Return the story of a false stale of a run."""
    mark = flash.mark
    (scene,) = record.scenes(mark.node, messages_of(record.evidence.source, mark.node), [mark])
    story = Story(flash, scene, ())
    rerun = record.reruns.of(mark.node, len(scene.messages)) if record.reruns and scene.moment else None
    if rerun is None:
        return story
    return replace(story, moments=(rerun.go(story.from_s), *rerun.steps(story.to_s)))


def _of_tunnel(what: TruthEvent) -> bool:
    return what.name.startswith(("HANDSHAKE", "KEY"))


def has_sent(before: Moment, now: Moment) -> bool:
    """Return whether the node has sent data or a SYN between two events."""
    return now.sent_s > before.sent_s or _has_dialled(before, now)


def _has_dialled(before: Moment, now: Moment) -> bool:
    return now.connecting and now.syns > (before.syns if before.connecting else 0)


def _changes(before: Moment, now: Moment) -> Iterator[Line]:
    """Yield what changed between two events."""
    at_s = now.at_s
    if before.connected and not now.connected:
        yield Line(at_s, "connection", _ending(before))
    fate = "it waits for the tunnel" if now.staged else "it is under way" if now.on_the_way else "it is lost"
    if _has_dialled(before, now):
        again = f", attempt {now.attempts}" if now.attempts > 1 else ""
        yield Line(at_s, "connection", f"SYN {now.syns}{again}: {fate}")
    elif now.connected and now.timeouts > before.timeouts:
        wait = f"; next in {now.timer_s - at_s:.1f} s" if now.timer_s < inf else ""
        yield Line(at_s, "connection", f"retransmission {now.timeouts} by timeout: {fate}{wait}")
    elif now.connected and now.sent_s > before.sent_s and now.probed and not before.probed:
        yield Line(at_s, "connection", f"tail loss probe: {fate}")
    elif now.connected and now.sent_s > before.sent_s and not now.on_the_way:
        yield Line(at_s, "connection", f"a packet is sent: {fate}")
    if now.connected and before.timeouts and not now.timeouts:
        yield Line(at_s, "connection", "acknowledged: TCP's timer starts over")
    if now.connected and not before.connected:
        yield Line(at_s, "connection", "connected")
    if now.hub_closed and not before.hub_closed:
        yield Line(at_s, "connection", "the hub's end of the connection is closed")
    if now.pinging and not before.pinging:
        yield Line(at_s, "connection", "keepalive ping")


def _ending(before: Moment) -> str:
    why = "no answer to the keepalive ping" if before.pinging else "user timeout" if before.timeouts else "reset or FIN"
    return f"the node's connection ends: {why}"
