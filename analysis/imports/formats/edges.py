"""Changes of status instead of heartbeats: what they show of silences, and what they do not.

A hub that marks a node after a silence of T, and later says that it is back, shows a silence that began T before the
mark and ended with the return. That is all: while it calls the node online no silence was longer than T, and how long
they were is not in the log. So the trace has one message per T while the node was online, the last one T before the
mark.

Judged by it at T, each mark is a silence that is too long, and nothing else is: times are rounded later, so what is
laid lies closer than T by more than that (MARGIN_S, and the resolution of the log's times), and a return lies as much
behind its mark. Thresholds above T come out as they would have, and lower ones as if the node were silent for T all the
time: never better than the truth. A mark less than T after the node was heard contradicts T; its silence is as short as
the log shows.

T is what the user says (`--marked-after`). Nodes that never changed are not in such a log.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from math import ceil, inf
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.imports.options import ImportOptions
from heartbench.analysis.imports.rows import Floats, Read, Rows, Stated
from heartbench.analysis.imports.sources import Source
from heartbench.mesh.kinds import Kind

MOST_MESSAGES = 20_000_000
"""Messages of all nodes together, which do lie in memory here."""
MARGIN_S = 4e-6
"""Times of an import are rounded to 1 µs; a float holds Unix time to within 0.24 µs."""
MOST_MOVED_S = 1e-3
"""A return at the time of its mark is moved on by MARGIN_S, and so is a mark exactly T after it; by less than this."""
SAME_S = 1.0
"""An event that a hub sends again, by its number, has a time that differs by less: it reads its clock again."""


class Turn(Enum):
    """What a hub says of a node: a message came, it was silent for too long, or it left."""

    ONLINE = 0
    SILENT = 1
    LEFT = 2


class Edge(NamedTuple):
    """A change of a node, and the line of its file.

    Attributes:
        began: whether the node registered or connected with it.
        number: the hub's epoch and the number of the event in it, which no other event has; None: not in the log.
    """

    node: str
    at_s: float
    turn: Turn
    began: bool
    source: Source
    line: int
    number: tuple[int, int] | None = None


def timeout_of(source: Source, options: ImportOptions) -> float:
    """Return the timeout of the hub's detector, s.

    Raises:
        AnalysisError: the user did not name it.
    """
    if options.marked_after_s is None:
        raise AnalysisError(
            f"{source.name}:1: this log has changes of status, not heartbeats; name the silence after which that hub "
            "marks a node with --marked-after, such as 40s"
        )
    return options.marked_after_s


def messages_of(edges: Sequence[Edge], timeout_s: float, resolution_s: float | None) -> list[Read]:
    """Return the messages that changes of status show, and what they state; see the module."""
    if not edges:
        return []
    step_s = max(timeout_s - (resolution_s or 0.0) - MARGIN_S, timeout_s / 2)
    _check_length(edges, step_s, timeout_s)
    start_s, end_s = min(edge.at_s for edge in edges), max(edge.at_s for edge in edges)
    listed: dict[str, list[Edge]] = {}
    for edge in edges:
        listed.setdefault(edge.node, []).append(edge)
    by_node = [_in_order(own) for own in listed.values()]
    note = (
        f"The log has changes of status, not heartbeats: silences of less than {timeout_s:g} s are not in it, "
        f"thresholds below {timeout_s:g} s cannot be judged by it, and nodes without a line in it are missing."
    )
    ended_s = end_s + MOST_MOVED_S  # behind a mark that is the last
    stated = [Stated(statuses_s=timeout_s, interval_s=timeout_s, step_s=resolution_s, ended_s=ended_s, note=note)]
    if twice := len(edges) - sum(map(len, by_node)):
        stated.append(Stated(note=f"Events that were there twice, and count once: {twice:,}."))
    return [*stated, *(_lives(own, timeout_s, step_s, start_s, end_s) for own in by_node)]


def _in_order(edges: Sequence[Edge]) -> list[Edge]:
    """Return the changes of a node, each once, in the order of their numbers, or else of their times."""
    found: list[Edge] = []
    for edge in sorted(edges, key=lambda edge: (*(edge.number or (inf, inf)), edge.at_s)):
        same_s = SAME_S if edge.number else 0.0
        is_again = bool(found) and (edge.number, edge.turn) == (found[-1].number, found[-1].turn)
        if not is_again or edge.at_s - found[-1].at_s > same_s:
            found.append(edge)
    return found


def _check_length(edges: Sequence[Edge], step_s: float, timeout_s: float) -> None:
    """Raise AnalysisError if the log is too long for one message per step, as one wrong time makes it."""
    at_s = np.array([edge.at_s for edge in edges])
    nodes = len({edge.node for edge in edges})
    if np.ptp(at_s) / step_s * nodes > MOST_MESSAGES:
        odd = edges[int(np.argmax(np.abs(at_s - np.median(at_s))))]
        days = np.ptp(at_s) / 86_400
        raise odd.source.error(
            odd.line, f"with this time the log is {days:.0f} days long: too long for {timeout_s:g} s"
        )


@dataclass(slots=True)
class Laid:
    """The messages of one node, in order."""

    step_s: float
    last_s: float = -inf
    times: list[Floats] = field(default_factory=list)
    kinds: list[NDArray[np.int8]] = field(default_factory=list)

    def add(self, at_s: float, kind: Kind = Kind.HEARTBEAT) -> None:
        """Add one message, unless it is the last one again."""
        if at_s - self.last_s > MARGIN_S / 2 or self.kinds[-1][-1] != kind:
            self._extend(np.array([at_s]), kind)

    def fill(self, until_s: float) -> None:
        """Add heartbeats a step apart from the last message until shortly before a time."""
        steps = np.arange(1.0, ceil((until_s - self.last_s - MARGIN_S / 2) / self.step_s), dtype=np.float64)
        if len(steps):
            self._extend(self.last_s + self.step_s * steps, Kind.HEARTBEAT)

    def _extend(self, at_s: Floats, kind: Kind) -> None:
        self.times.append(at_s)
        self.kinds.append(np.full(len(at_s), kind, np.int8))
        self.last_s = float(at_s[-1])


def _lives(edges: Sequence[Edge], timeout_s: float, step_s: float, start_s: float, end_s: float) -> Rows:
    """Return the messages of one node; one that is first called silent was online since the start."""
    laid = Laid(step_s)
    online, away = edges[0].turn is not Turn.ONLINE, False
    if online:
        laid.add(min(start_s, edges[0].at_s - timeout_s))
    earliest_s = -inf  # of the next change
    for edge in edges:
        at_s = max(edge.at_s, earliest_s)
        if edge.turn is Turn.SILENT:
            early_s = laid.last_s + timeout_s - at_s
            if online and early_s < -MARGIN_S / 2:
                laid.fill(at_s - timeout_s)
                laid.add(at_s - timeout_s)
            elif online and early_s < MOST_MOVED_S:
                at_s += max(early_s, 0.0)
            earliest_s = at_s + MARGIN_S
        else:
            if online:
                laid.fill(at_s)
            left = Kind.GOODBYE if edge.turn is Turn.LEFT else Kind.HEARTBEAT
            laid.add(at_s, Kind.HELLO if edge.turn is Turn.ONLINE and (edge.began or away) else left)
            earliest_s = at_s
        online, away = edge.turn is Turn.ONLINE, edge.turn is Turn.LEFT
    if online and end_s - laid.last_s > MARGIN_S:
        laid.fill(end_s)
        laid.add(end_s)
    times_s = np.concatenate(laid.times)
    return Rows.of([edges[0].node] * len(times_s), times_s, kind=np.concatenate(laid.kinds))
