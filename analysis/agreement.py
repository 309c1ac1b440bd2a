"""Did the hub say what follows from what it heard? Its recorded changes against the rules written over arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple

import pandas as pd

from heartbench.analysis.replay import REASONS, replay
from heartbench.hub.liveness.rules import Reason
from heartbench.simulator.observer_frames import Observed

WITHIN_S = 0.001


@dataclass(frozen=True, slots=True)
class Agreement:
    """The outcome of the comparison. A change that is said too late does not follow, and the one in time is missing.

    Attributes:
        changes: of status and flapping that the hub recorded.
        stale: of these, for silence.
        not_following: of these, what does not follow from the record.
        missing: what follows from the record, and the hub did not say.
        first: where both sides first differ, in words; empty where they agree.
    """

    changes: int
    stale: int
    not_following: int
    missing: int
    first: str


class Told(NamedTuple):
    """A change of one node, as either side tells it."""

    at_s: float
    status: str
    reason: str

    def is_same(self, other: "Told") -> bool:
        """Whether status and reason are the same, and the times but for a millisecond."""
        return self[1:] == other[1:] and abs(self.at_s - other.at_s) <= WITHIN_S


def agreement(observed: Observed, until_s: float) -> Agreement:
    """Compare, node by node, what the hub said before `until_s` (s on its clock) with what follows from its record.

    Where the record ends before that, as that of a killed hub does, it is compared until there.
    """
    until_s = min(until_s, observed.until_s)
    changes = observed.changes
    said = _by_node(changes[changes.reason.isin([str(reason) for reason in REASONS])], until_s)
    implied = _by_node(replay(observed, until_s), until_s)
    pairs = {node_id: (said.get(node_id, []), implied.get(node_id, [])) for node_id in sorted(said | implied)}
    agreed = sum(_in_common(ours, theirs) for ours, theirs in pairs.values())
    count = sum(map(len, said.values()))
    return Agreement(
        changes=count,
        stale=sum(told.reason == Reason.SILENCE for ours in said.values() for told in ours),
        not_following=count - agreed,
        missing=sum(map(len, implied.values())) - agreed,
        first=next(
            (words for node_id, (ours, theirs) in pairs.items() if (words := _first(node_id, ours, theirs))), ""
        ),
    )


def _by_node(changes: pd.DataFrame, until_s: float) -> dict[str, list[Told]]:
    """The changes of each node, in their order."""
    by_node: dict[str, list[Told]] = {}
    before = changes[changes.at_s < until_s]
    for node_id, *told in zip(before.node_id, before.at_s, before.status, before.reason, strict=True):
        by_node.setdefault(str(node_id), []).append(Told(told[0], str(told[1]), str(told[2])))
    return by_node


def _in_common(said: Sequence[Told], implied: Sequence[Told]) -> int:
    """How many of a node's changes both sides tell, in the same order."""
    found = begin = 0
    for told in said:
        while begin < len(implied) and implied[begin].at_s < told.at_s - WITHIN_S:
            begin += 1  # too old for this one, and so for all after it
        for number in range(begin, len(implied)):
            if implied[number].at_s > told.at_s + WITHIN_S:
                break
            if told.is_same(implied[number]):
                found, begin = found + 1, number + 1
                break
    return found


def _first(node_id: str, said: Sequence[Told], implied: Sequence[Told]) -> str:
    """Where the two first differ, in words."""
    for ours, theirs in zip_longest(said, implied):
        if ours is None or theirs is None or not ours.is_same(theirs):
            return f"{node_id}: the hub said {_in_words(ours)}, its record implies {_in_words(theirs)}"
    return ""


def _in_words(told: Told | None) -> str:
    return "nothing" if told is None else f"{told.status} ({told.reason}) at {told.at_s} s"
