"""Changes of status instead of heartbeats: what they show of silences, and what they do not.

A hub that marks a node after a silence of T, and later says that it is back, shows a silence that began T before the
mark and ended with the return. That is all: while it calls the node online no silence was longer than T, and how long
they were is not in the log. So the trace has one message per T while the node was online, the last one T before the
mark. Judged by it, thresholds of T and more come out as they would have, and lower ones as if the node were silent for
T all the time: never better than the truth.

T is what the user says (`--marked-after`). Nodes that never changed are not in such a log.
"""

from collections.abc import Sequence
from enum import Enum
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


class Turn(Enum):
    """What a hub says of a node: a message came, it was silent for too long, or it left."""

    ONLINE = 0
    SILENT = 1
    LEFT = 2


class Edge(NamedTuple):
    """A change of a node, and the line of its file; `began` is whether the node registered or connected with it."""

    node: str
    at_s: float
    turn: Turn
    began: bool
    source: Source
    line: int


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
    _check_length(edges, timeout_s)
    start_s, end_s = min(edge.at_s for edge in edges), max(edge.at_s for edge in edges)
    by_node: dict[str, list[Edge]] = {}
    for edge in edges:
        by_node.setdefault(edge.node, []).append(edge)
    note = (
        f"The log has changes of status, not heartbeats: silences of less than {timeout_s:g} s are not in it, "
        f"thresholds below {timeout_s:g} s cannot be judged by it, and nodes without a line in it are missing."
    )
    stated = Stated(statuses_s=timeout_s, interval_s=timeout_s, step_s=resolution_s, note=note)
    return [stated, *(_lives(node, own, timeout_s, start_s, end_s) for node, own in by_node.items())]


def _check_length(edges: Sequence[Edge], timeout_s: float) -> None:
    """Raise AnalysisError if the log is too long for one message per timeout, as one wrong time makes it."""
    at_s = np.array([edge.at_s for edge in edges])
    nodes = len({edge.node for edge in edges})
    if np.ptp(at_s) / timeout_s * nodes > MOST_MESSAGES:
        odd = edges[int(np.argmax(np.abs(at_s - np.median(at_s))))]
        days = np.ptp(at_s) / 86_400
        raise odd.source.error(
            odd.line, f"with this time the log is {days:.0f} days long: too long for {timeout_s:g} s"
        )


def _lives(node: str, edges: list[Edge], timeout_s: float, start_s: float, end_s: float) -> Rows:
    """Return the messages of one node; one that is first called silent was online since the start."""
    edges.sort(key=lambda edge: edge.at_s)
    times: list[Floats] = []
    kinds: list[NDArray[np.int8]] = []

    def add(at_s: Floats, kind: Kind = Kind.HEARTBEAT) -> None:
        times.append(at_s)
        kinds.append(np.full(len(at_s), kind, np.int8))

    online_s: float | None = None  # since when no silence was longer than the timeout
    if edges[0].turn is not Turn.ONLINE:
        online_s = min(start_s, edges[0].at_s - timeout_s)
        add(np.array([online_s]))
    away = False
    for edge in edges:
        if online_s is not None:
            last_s = edge.at_s - timeout_s if edge.turn is Turn.SILENT else edge.at_s
            add(np.arange(online_s + timeout_s, last_s, timeout_s))
            if edge.turn is Turn.SILENT and last_s > online_s:
                add(np.array([last_s]))
        online_s = edge.at_s if edge.turn is Turn.ONLINE else None
        if edge.turn is not Turn.SILENT:
            left = Kind.GOODBYE if edge.turn is Turn.LEFT else Kind.HEARTBEAT
            add(np.array([edge.at_s]), Kind.HELLO if edge.turn is Turn.ONLINE and (edge.began or away) else left)
        away = edge.turn is Turn.LEFT
    if online_s is not None:
        add(np.arange(online_s + timeout_s, end_s + 1e-6, timeout_s))
    at_s = np.concatenate(times)
    return Rows.of([node] * len(at_s), at_s, kind=np.concatenate(kinds))
