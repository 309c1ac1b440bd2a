"""The gaps of a trace: from each sign of life of a node to its next.

Every message is a sign of life when it arrives, in the order of arrival (an old connection's message may arrive after
a new one's). A gap ends with the next sign of life, or is open if the run ended first. A gap that begins with a Goodbye
is not a silence: the node is away on purpose, and the hub does not expect it.

A node is up until its power loss (crash or exit), and again from its restart. Only the part of a gap before a power
loss counts as silence of a node that was up. Gaps include the time in which the hub was away (`absences`), during which
no node is observed.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heartbench.analysis.absences import ALWAYS_THERE, Absences
from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.policies import Arrivals, needs_arrivals
from heartbench.hub import PolicySpec
from heartbench.mesh.kinds import Kind
from heartbench.simulator.scenario import Scenario
from heartbench.simulator.trace import Messages

Floats = NDArray[np.float64]

TIMED = 15
PAUSE = 3.0
"""Usual intervals without a message of its own after which a node paused."""


class PowerLosses(NamedTuple):
    """Times in which nodes were down, sorted by (node, from_s); `to_s` is infinite without a restart."""

    node: NDArray[np.int64]
    from_s: Floats
    to_s: Floats


@dataclass(frozen=True, slots=True)
class Signs:
    """What detectors need to know about the signs of life with which the gaps begin; see `Arrivals`."""

    seq: NDArray[np.integer]
    kind: NDArray[np.int8]
    interval_s: Floats


@dataclass(frozen=True, slots=True)
class Gaps:
    """All gaps of some nodes, by node and time.

    Attributes:
        node: number of each node with at least one message, ascending; n entries.
        first: index of each node's first gap, and the total number of gaps; n + 1 entries.
        start_s: sign of life with which the gap begins, s since the start of the run.
        length_s: time to the next sign of life, or to the end of the run, s.
        up_s: time from its start for which the node was up and expected to send, s; 0 if it was away.
        heard: whether a sign of life ended it.
        away: whether a Goodbye began it.
        transit_s: usual time of each node's messages to the hub, s; n entries.
        absences: when the hub was away.
        signs: what detectors other than a fixed timeout need; None: not kept.
    """

    node: NDArray[np.int64]
    first: NDArray[np.int64]
    start_s: Floats
    length_s: Floats
    up_s: Floats
    heard: NDArray[np.bool_]
    away: NDArray[np.bool_]
    transit_s: Floats
    absences: Absences = ALWAYS_THERE
    signs: Signs | None = None

    def __len__(self) -> int:
        return len(self.start_s)

    def of(self, nodes: NDArray[np.integer]) -> "Gaps":
        """Return the gaps of these nodes, in any order; a node without a sign of life has none."""
        chosen = np.isin(self.node, nodes)
        if chosen.all():
            return self
        counts = np.diff(self.first)
        each = np.repeat(chosen, counts)
        of_gaps = {name: getattr(self, name)[each] for name in ("start_s", "length_s", "up_s", "heard", "away")}
        first = np.append(0, np.cumsum(counts[chosen]))
        signs = self.signs and Signs(self.signs.seq[each], self.signs.kind[each], self.signs.interval_s[chosen])
        kept = replace(self, node=self.node[chosen], transit_s=self.transit_s[chosen], first=first, signs=signs)
        return replace(kept, **of_gaps)

    def arrivals(self) -> Arrivals:
        """Return the signs of life with which the gaps begin; raise AnalysisError if they were not kept."""
        if self.signs is None:
            raise AnalysisError("gaps without signs of life serve only fixed timeouts; pass interval_s to find_gaps")
        return Arrivals(self.first, self.start_s, self.signs.seq, self.signs.kind, self.signs.interval_s)

    def watched_s(self) -> Floats:
        """Return the part of `up_s` in which the hub was up, s."""
        absences = self.absences
        return self.up_s - (absences.before(self.start_s + self.up_s) - absences.before(self.start_s))


def power_losses(truth: pd.DataFrame) -> PowerLosses:
    """Return when nodes were down, from a run's truth (columns node, event, start_s, end_s)."""
    losses = truth[truth.event.isin(["crash", "exit"])].sort_values("start_s")
    restarts = truth.loc[truth.event == "restart", ["node", "start_s"]].sort_values("start_s")
    restarts = restarts.rename(columns={"start_s": "restart_s"})
    joined = pd.merge_asof(losses, restarts, left_on="start_s", right_on="restart_s", by="node", direction="forward")
    joined = joined.sort_values(["node", "start_s"], kind="stable")
    until = joined.restart_s.fillna(joined.end_s).fillna(np.inf)
    return PowerLosses(joined.node.to_numpy(np.int64), joined.start_s.to_numpy(float), until.to_numpy(float))


NO_LOSSES = PowerLosses(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))


def find_gaps(
    messages: Messages,
    losses: PowerLosses,
    end_s: float,
    absences: Absences = ALWAYS_THERE,
    interval_s: Floats | None = None,
    *,
    restarts_shown: bool = False,
    pauses_shown: bool = False,
) -> Gaps:
    """Return the gaps of a block of nodes; messages that arrived after `end_s` are ignored.

    With `restarts_shown`, a newer boot shows that the node restarted, which `losses` do not list. Nobody knows for how
    much of the gap before it the node was up, so none of that gap counts as such.

    With `interval_s`, the heartbeat interval that each node of the run announces, by its number (s; 0: not announced),
    the gaps also keep what detectors other than a fixed timeout need. A heartbeat that arrives after a message of a
    newer connection is kept as a CHUNK: it shows that the node lives, and its number belongs to another stream.
    """
    seen = np.flatnonzero(messages.arrived_s <= end_s)  # NaN, never arrived, is not
    node, at, kind = messages.node[seen].astype(np.int64), messages.arrived_s[seen], messages.kind[seen]
    transit_s = usual_transit_s(node, at - messages.sent_s[seen])
    if np.any((np.diff(node) == 0) & (np.diff(at) < 0)):
        order = np.lexsort((at, node))
        seen, node, at, kind = seen[order], node[order], at[order], kind[order]
    if np.any(kind == Kind.GOODBYE):
        accepted = until_next_hello(node, kind)
        seen, node, at, kind = seen[accepted], node[accepted], at[accepted], kind[accepted]
    last = np.append(node[1:] != node[:-1], True)[: len(node)]
    until = np.where(last, end_s, np.append(at[1:], end_s)[: len(node)])
    away = kind == Kind.GOODBYE
    up = np.where(away, 0.0, until - at)
    ends = np.flatnonzero(last)
    first = np.concatenate([[0], ends + 1])
    signs = None
    if interval_s is not None:
        replaced = of_replaced_streams(node, messages.boot[seen], messages.connection[seen])
        kind_counted = np.where(replaced & (kind == Kind.HEARTBEAT), Kind.CHUNK, kind).astype(np.int8)
        signs = Signs(messages.seq[seen], kind_counted, interval_s[node[ends]])
    gaps = Gaps(node[ends], first, at, until - at, up, ~last, away, transit_s, absences, signs)
    cut_at_losses(gaps.node, first, at, until, up, losses)
    if restarts_shown:
        up[before_a_restart(node, messages.boot[seen])] = 0.0
    if pauses_shown:
        up[of_paused_senders(node, at, messages.sent_s[seen])] = 0.0
    return gaps


def intervals_for(policies: Iterable[PolicySpec], scenario: Scenario) -> Floats | None:
    """Return the heartbeat interval that each node of a scenario announces, s; None if no policy needs it."""
    if not needs_arrivals(policies):
        return None
    groups = scenario.group
    return np.repeat([group.heartbeat_interval_s for group in groups], [group.nodes for group in groups])


def usual_transit_s(node: NDArray[np.int64], took_s: Floats) -> Floats:
    """Return about the median of `took_s` of each node, s: from TIMED messages spread over its time; at least 0.

    A sender's clock may differ from the hub's.
    """
    first = np.flatnonzero(np.append(True, node[1:] != node[:-1])[: len(node)])
    counts = np.diff(np.append(first, len(node)))
    timed = first[:, None] + (counts[:, None] * (np.arange(TIMED) + 0.5) / TIMED).astype(int)
    return np.asarray(np.maximum(np.median(took_s[timed], axis=1), 0.0))


def until_next_hello(node: NDArray[np.int64], kind: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Return which messages a hub accepts: after a Goodbye only a Hello."""
    begins = np.append(True, node[1:] != node[:-1])
    turns = begins | (kind == Kind.HELLO) | (kind == Kind.GOODBYE)
    latest = np.maximum.accumulate(np.where(turns, np.arange(len(node)), 0))
    before = np.append(Kind.GOODBYE, kind[latest[:-1]])
    return np.asarray(begins | (kind == Kind.HELLO) | (before != Kind.GOODBYE))


def of_replaced_streams(
    node: NDArray[np.int64], boot: NDArray[np.int32], connection: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """Return which messages, by node and arrival, come after one of a newer connection of their node."""
    streams, stream = np.unique(np.stack([boot, connection], axis=1), axis=0, return_inverse=True)
    place = node * len(streams) + stream  # ascends from node to node
    return place < np.maximum.accumulate(place)


def before_a_restart(node: NDArray[np.int64], boot: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the places of the messages, by node and arrival, that the first of a newer boot of their node follows."""
    newest = np.maximum.accumulate((node << 32) + boot)  # ascends from node to node
    newer = (np.diff(newest) > 0) & (np.diff(node) == 0)
    return np.flatnonzero(newer)


def of_paused_senders(node: NDArray[np.int64], at: Floats, sent_s: Floats) -> NDArray[np.int64]:
    """Return the places of the messages, by node and arrival, after which the node itself paused before its next one.

    It sent nothing, by its own clock, for longer than PAUSE times the median of its intervals and than half of the gap.
    """
    same = np.diff(node) == 0
    pause_s = np.where(same, np.diff(sent_s), np.nan)
    rows = np.unique(node, return_inverse=True)[1]
    sorted_s = pause_s[np.lexsort((pause_s, rows[:-1]))]  # NaN, of the last message, comes last
    counts = np.bincount(rows[:-1][same], minlength=rows[-1] + 1)
    first = np.searchsorted(rows[:-1], np.arange(rows[-1] + 1))
    usual_s = sorted_s[np.minimum(first + np.maximum(counts - 1, 0) // 2, len(sorted_s) - 1)]
    return np.flatnonzero(same & (pause_s > PAUSE * usual_s[rows[:-1]]) & (pause_s > np.diff(at) / 2))


def cut_at_losses(
    node: NDArray[np.int64],
    first: NDArray[np.int64],
    start_s: Floats,
    until_s: Floats,
    up_s: Floats,
    losses: PowerLosses,
) -> None:
    """Shorten `up_s`, in place, of the gaps that contain a power loss to the time before it."""
    # 13 µs per loss. A kernel takes 0.15 µs, and 1.4 s to compile: as long as a hundred thousand losses.
    ours = np.isin(losses.node, node)
    by_number = np.argsort(node)  # blocks of a foreign trace come in any order
    row = by_number[np.searchsorted(node, losses.node[ours], sorter=by_number)]
    for begin, end, from_s, to_s in zip(
        first[row], first[row + 1], losses.from_s[ours], losses.to_s[ours], strict=True
    ):
        touched = slice(
            begin + np.searchsorted(until_s[begin:end], from_s, side="right"),
            begin + np.searchsorted(start_s[begin:end], to_s),
        )
        up_s[touched] = np.minimum(up_s[touched], np.maximum(from_s - start_s[touched], 0.0))


def join_gaps(blocks: Iterable[Gaps]) -> Gaps:
    """Return the gaps of several blocks of nodes of one run, in order."""
    parts = list(blocks)
    names = {field.name for field in fields(Gaps)} - {"first", "absences", "signs"}
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    signs = [part.signs for part in parts if part.signs]
    counts = np.concatenate([np.diff(part.first) for part in parts])
    first = np.concatenate([[0], np.cumsum(counts)])
    joined = (np.concatenate([getattr(part, field.name) for part in signs]) for field in fields(Signs) if signs)
    return Gaps(**columns, first=first, absences=parts[0].absences, signs=Signs(*joined) if signs else None)
