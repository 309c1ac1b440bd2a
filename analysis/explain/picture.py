"""Pictures: one false stale on lanes of time, and all of them by cause."""

from collections.abc import Sequence
from itertools import pairwise
from math import isnan

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from heartbench.analysis.explain.causes import Kind
from heartbench.analysis.explain.rerun import Moment
from heartbench.analysis.explain.story import Story, has_sent
from heartbench.analysis.explain.summary import Sum
from heartbench.analysis.explain.truth import CutKind
from heartbench.analysis.report.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PAPER,
    PURPLE,
    axes,
    state,
    styled,
)

TCP = "TCP (× lost)"
LANES = ("link", "tunnel", "connection", TCP, "sent", "arrived", "deadline", "status")
CUTS = {CutKind.OUTAGE: ORANGE, CutKind.HOLD: PURPLE, CutKind.PARTITION: INK}
CONNECTIONS = {"connected": BLUE, "connecting": ORANGE, "none": GREY}
THICK = 0.52


@styled
def plot_story(story: Story) -> Axes:
    """Plot one false stale on the lanes of `lanes_of`; time 0 is the last sign of life before the gap."""
    names = lanes_of(story)
    ax = Figure(figsize=(10.5, 1.2 + 0.5 * len(names))).subplots()
    lane = _Lanes(ax, names, story.flash.mark.from_s, (story.from_s, story.to_s))
    _link(lane, story)
    _connection(lane, story.moments)
    _messages(lane, story)
    _judgement(lane, story)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlim(lane.from_s - lane.zero_s, lane.to_s - lane.zero_s)
    ax.set_xlabel("time since the last sign of life (s)")
    ax.grid(axis="y", visible=False)
    state(ax, _finding(story))
    return ax


def lanes_of(story: Story) -> tuple[str, ...]:
    """Return the lanes that have something to show: a log does not know its link, nor a record what TCP did."""
    left_out = set()
    if story.flash.kind is None:
        left_out |= {"link", "sent"} if _is_received_only(story) else {"link"}
    if not story.moments:
        left_out |= {"connection", TCP}
    if not any(moment.staged for moment in story.moments):
        left_out.add("tunnel")
    return tuple(lane for lane in LANES if lane not in left_out)


def _is_received_only(story: Story) -> bool:
    """Return whether the messages have no times of their own at the sender."""
    messages = story.scene.messages
    return bool(np.array_equal(messages.sent_s, messages.arrived_s))


class _Lanes:
    """Draws bars and points on named lanes, in time since the last sign of life; what has no lane is left out."""

    def __init__(self, ax: Axes, names: Sequence[str], zero_s: float, shown_s: tuple[float, float]) -> None:
        self.ax, self.names, self.zero_s = ax, names, zero_s
        self.from_s, self.to_s = shown_s

    def bar(self, lane: str, from_s: float, to_s: float, color: str, label: str = "", alpha: float = 1.0) -> None:
        """Draw a bar, cut to the time shown, with a label in it if it fits."""
        from_s, to_s = max(from_s, self.from_s), min(to_s, self.to_s)
        if to_s <= from_s or lane not in self.names:
            return
        y, wide = self.names.index(lane), to_s - from_s
        self.ax.barh(y, wide, THICK, from_s - self.zero_s, color=color, alpha=alpha, linewidth=0)
        if label and wide > 0.012 * len(label) * (self.to_s - self.from_s):
            middle = (from_s + to_s) / 2 - self.zero_s
            ink = PAPER if alpha > 0.5 else INK
            self.ax.text(middle, y, label, ha="center", va="center", color=ink, fontsize=8.5)

    def points(self, lane: str, at_s: Sequence[float], marker: str, color: str) -> None:
        """Draw points."""
        if lane in self.names:
            times = [each - self.zero_s for each in at_s if self.from_s <= each <= self.to_s]
            self.ax.plot(times, [self.names.index(lane)] * len(times), marker, color=color, markersize=6, zorder=4)

    def line(self, lanes: tuple[str, str], times_s: tuple[float, float]) -> None:
        """Draw a line from one lane to another."""
        if set(lanes) <= set(self.names):
            ends = self.names.index(lanes[0]) + 0.12, self.names.index(lanes[1]) - 0.12
            self.ax.plot([each - self.zero_s for each in times_s], ends, color=GREY, linewidth=0.9)


def _link(lane: _Lanes, story: Story) -> None:
    lane.bar("link", lane.from_s, lane.to_s, GREEN, alpha=0.25)
    for cut in story.scene.truth.cuts:
        color = CUTS[cut.kind] if cut.up else GREY
        lane.bar("link", cut.from_s, cut.to_s, color, f"{cut.kind}, {cut.way}, {cut.to_s - cut.from_s:.1f} s")


def _connection(lane: _Lanes, moments: Sequence[Moment]) -> None:
    """Draw what the tunnel and the connection are in, and what TCP sends: a cross is lost, a point passes."""
    for name, from_s, to_s in _spans([(moment.at_s, _connection_of(moment)) for moment in moments], lane.to_s):
        lane.bar("connection", from_s, to_s, CONNECTIONS[name], name, alpha=0.25 if name == "connected" else 1.0)
    for name, from_s, to_s in _spans(
        [(moment.at_s, "packets wait" * bool(moment.staged)) for moment in moments], lane.to_s
    ):
        if name:
            lane.bar("tunnel", from_s, to_s, PURPLE, name)
    sends = [now for before, now in pairwise(moments) if has_sent(before, now)]
    lane.points(TCP, [each.at_s for each in sends if each.on_the_way and not each.staged], "o", BLUE)
    lane.points(TCP, [each.at_s for each in sends if each.staged], "o", PURPLE)
    lane.points(TCP, [each.at_s for each in sends if not each.on_the_way], "x", ORANGE)


def _connection_of(moment: Moment) -> str:
    return "connected" if moment.connected else "connecting" if moment.connecting else "none"


def _spans(states: Sequence[tuple[float, str]], end_s: float) -> list[tuple[str, float, float]]:
    """Return (state, from, to) of each run of equal states, times in s."""
    turns = [each for i, each in enumerate(states) if i == 0 or each[1] != states[i - 1][1]]
    return [(name, at, to) for (at, name), (to, _) in pairwise([*turns, (end_s, "")])]


def _messages(lane: _Lanes, story: Story) -> None:
    messages = story.scene.messages
    near = np.flatnonzero((messages.sent_s >= lane.from_s) & (messages.sent_s <= lane.to_s))
    for row in near:
        sent_s, arrived_s = float(messages.sent_s[row]), float(messages.arrived_s[row])
        lane.points("sent", [sent_s], "|", INK)
        if isnan(arrived_s):
            lane.points("sent", [sent_s], "x", ORANGE)
            continue
        lane.points("arrived", [arrived_s], "|", INK)
        lane.line(("sent", "arrived"), (sent_s, arrived_s))


def _judgement(lane: _Lanes, story: Story) -> None:
    mark = story.flash.mark
    allowed = f"{mark.at_s - mark.from_s:.1f} s allowed"
    lane.bar("deadline", mark.from_s, mark.at_s, BLUE, allowed, alpha=0.25)
    lane.bar("status", lane.from_s, mark.at_s, GREEN, "online", alpha=0.25)
    lane.bar("status", mark.at_s, mark.until_s, ORANGE, "stale")
    if mark.heard:
        lane.bar("status", mark.until_s, lane.to_s, GREEN, "online", alpha=0.25)
    lane.ax.axvline(mark.at_s - lane.zero_s, color=ORANGE, linewidth=1.2, linestyle=(0, (4, 2)), zorder=3)


def _finding(story: Story) -> str:
    flash = story.flash
    mark, back = flash.mark, flash.link_back_s
    inferred = ", inferred" if flash.inferred else ""
    began = f"{flash.name}, {flash.kind or 'class unknown'}: {flash.cause or 'cause unknown'}{inferred}. "
    if not mark.heard:
        return f"{began}Stale after {mark.at_s - mark.from_s:.1f} s, and not heard again"
    if back is None:
        return f"{began}Stale after {mark.at_s - mark.from_s:.1f} s, heard after {mark.gap_s:.1f} s"
    side = "before" if back <= mark.at_s else "after"
    heard = f", the node was heard {flash.hidden_s:.1f} s after its link was back" if flash.hidden_s is not None else ""
    return f"{began}Link back {abs(mark.at_s - back):.1f} s {side} the mark{heard}"


@styled
def plot_sum(total: Sum) -> Axes:
    """Plot the false stales by class and cause."""
    ax = axes()
    rows = total.by_cause[::-1]
    colors = [ORANGE if row.kind == Kind.UNREACHABLE else BLUE if row.kind == Kind.HIDDEN else GREY for row in rows]
    ax.barh(range(len(rows)), [row.count for row in rows], color=colors)
    ax.set_yticks(range(len(rows)), [f"{row.kind}: {row.cause}" for row in rows])
    for place, row in enumerate(rows):
        ax.annotate(
            f"{row.count:,} ({row.share:.1%})", (row.count, place), (4, 0), textcoords="offset points", va="center"
        )
    ax.margins(x=0.15)
    ax.set_xlabel("false stales")
    ax.grid(axis="y", visible=False)
    hidden = total.count(Kind.HIDDEN)
    share = f"{hidden:,} of {total.false_stale:,} false stales were hidden: the link passed packets again"
    state(ax, share if total.false_stale else "No false stale")
    return ax
