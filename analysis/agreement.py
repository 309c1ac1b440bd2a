"""Do the hub's status changes follow from the messages it received? Checks them with the rules over arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat, zip_longest
from typing import NamedTuple

import pandas as pd

from heartbench.analysis.replay import REASONS, UNKNOWN, replay
from heartbench.hub import Reason
from heartbench.simulator.fleet import node_name
from heartbench.simulator.observer_frames import Observed
from heartbench.simulator.scenario import Scenario

WITHIN_S = 0.001


@dataclass(frozen=True, slots=True)
class Agreement:
    """The outcome of the comparison. A change that is reported late counts as not following and as missing.

    Attributes:
        changes: changes of status and flapping that the hub reported; `stale` of them mark a node stale.
        not_following: those of them that do not follow from the record.
        missing: changes that follow from the record and that the hub did not report.
        first: the first difference, in words; empty if there is none.
    """

    changes: int
    stale: int
    not_following: int
    missing: int
    first: str


class NodeChange(NamedTuple):
    """A change of one node, reported by the hub or implied by its record."""

    at_s: float
    status: str
    reason: str

    def is_same(self, other: "NodeChange") -> bool:
        """Return whether status and reason are equal, and the times within a millisecond."""
        return self[1:] == other[1:] and abs(self.at_s - other.at_s) <= WITHIN_S


def agreement(observed: Observed, until_s: float, interval_s: Mapping[str, float] = UNKNOWN) -> Agreement:
    """Compare, node by node, the changes reported before `until_s` (s on the hub's clock) with the implied ones.

    If the record ends before that, because the hub was killed, the comparison ends there too. `interval_s` is as in
    `replay`.
    """
    until_s = min(until_s, observed.until_s)
    changes = observed.changes
    reported = _by_node(changes[changes.reason.isin([str(reason) for reason in REASONS])], until_s)
    implied = _by_node(replay(observed, until_s, interval_s), until_s)
    pairs = {node_id: (reported.get(node_id, []), implied.get(node_id, [])) for node_id in sorted(reported | implied)}
    agreed = sum(_in_common(ours, theirs) for ours, theirs in pairs.values())
    count = sum(map(len, reported.values()))
    return Agreement(
        changes=count,
        stale=sum(change.reason == Reason.SILENCE for ours in reported.values() for change in ours),
        not_following=count - agreed,
        missing=sum(map(len, implied.values())) - agreed,
        first=next(
            (words for node_id, (ours, theirs) in pairs.items() if (words := _first(node_id, ours, theirs))), ""
        ),
    )


def announced_intervals(scenario: Scenario) -> dict[str, float]:
    """Return the heartbeat interval that each node of a scenario announces to a real hub, by its name, s."""
    groups = chain.from_iterable(repeat(group, group.nodes) for group in scenario.group)
    return {node_name(group.name, number): group.heartbeat_interval_s for number, group in enumerate(groups)}


def _by_node(changes: pd.DataFrame, until_s: float) -> dict[str, list[NodeChange]]:
    """Return the changes of each node, in their order."""
    by_node: dict[str, list[NodeChange]] = {}
    before = changes[changes.at_s < until_s]
    for node_id, *fields in zip(before.node_id, before.at_s, before.status, before.reason, strict=True):
        by_node.setdefault(str(node_id), []).append(NodeChange(fields[0], str(fields[1]), str(fields[2])))
    return by_node


def _in_common(reported: Sequence[NodeChange], implied: Sequence[NodeChange]) -> int:
    """Count the changes of a node that are both reported and implied, in the same order."""
    found = begin = 0
    for change in reported:
        while begin < len(implied) and implied[begin].at_s < change.at_s - WITHIN_S:
            begin += 1  # too old for this one, and so for all after it
        for number in range(begin, len(implied)):
            if implied[number].at_s > change.at_s + WITHIN_S:
                break
            if change.is_same(implied[number]):
                found, begin = found + 1, number + 1
                break
    return found


def _first(node_id: str, reported: Sequence[NodeChange], implied: Sequence[NodeChange]) -> str:
    """Return the first difference in words; empty if there is none."""
    for ours, theirs in zip_longest(reported, implied):
        if ours is None or theirs is None or not ours.is_same(theirs):
            return f"{node_id}: the hub reported {_in_words(ours)}, its record implies {_in_words(theirs)}"
    return ""


def _in_words(change: NodeChange | None) -> str:
    return "nothing" if change is None else f"{change.status} ({change.reason}) at {change.at_s} s"
