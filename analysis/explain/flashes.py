"""Every false stale of a run with its class, its cause and what would mend it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path

import numpy as np

from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.evidence import Evidence
from heartbench.analysis.explain.causes import Cause, Kind, Scene, classify
from heartbench.analysis.explain.marks import Mark, marks_of
from heartbench.analysis.explain.rerun import Reruns
from heartbench.analysis.explain.truth import Truths
from heartbench.analysis.gaps import Gaps
from heartbench.hub import FixedTimeout, HubSettings
from heartbench.simulator.run_directory import RunDirectory
from heartbench.simulator.scenario import Scenario
from heartbench.simulator.trace import Messages, TruthEvent, read_blocks, read_nodes, read_truth


@dataclass(frozen=True, slots=True)
class Mend:
    """A setting under which this false stale would not have been; `how` is where that is known from.

    `how` is "gap" (it is longer than this gap) or "simulation" (the fleet was simulated again with it).
    """

    knob: str
    value_s: float
    how: str


@dataclass(frozen=True, slots=True)
class Flash:
    """One false stale, explained.

    Attributes:
        mark: the mark and its gap.
        group: of the node.
        name: of the node; its number, if names are not recorded.
        kind: its class; None if a log does not show it.
        cause: its cause; None if a log shows none.
        inferred: whether the cause follows from the gap's shape, and not from the node's state or the truth.
        link_back_s: end of the cut that was in force at the deadline, or else of the last one in the gap; s, None
            without one.
        timeouts: retransmission timeouts of the node's TCP by the deadline; None if it was not looked at.
        mended_by: settings under which it would not have been, best first.
    """

    mark: Mark
    group: str
    name: str
    kind: Kind | None
    cause: Cause | None
    inferred: bool
    link_back_s: float | None = None
    timeouts: int | None = None
    mended_by: tuple[Mend, ...] = ()

    @property
    def hidden_s(self) -> float | None:
        """How long the link was back before the node was heard, s; None without a cut, or while it lasted."""
        if self.link_back_s is None or self.link_back_s > self.mark.until_s:
            return None
        return self.mark.until_s - self.link_back_s


@dataclass(frozen=True, slots=True)
class Flashes:
    """All false stales of a run or log, and what else its dashboard showed.

    Attributes:
        each: the false stales, by node and time.
        others: marks of nodes that were down, and leavings with Goodbye.
        not_repeated: nodes that were not run again, or not with the same messages, so that causes are inferred.
    """

    each: tuple[Flash, ...]
    others: tuple[Mark, ...] = ()
    not_repeated: tuple[int, ...] = ()


@dataclass(frozen=True)
class Record:
    """What a finished run has recorded, read once."""

    evidence: Evidence
    scenario: Scenario
    truths: Truths
    names: Mapping[int, str]
    reruns: Reruns | None
    pauses: tuple[tuple[float, float], ...]
    queues: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of(cls, evidence: Evidence) -> "Record":
        """Read what is needed about a run, but for its messages.

        Raises:
            AnalysisError: the evidence is a log.
            SimulatorError: a file of the run is damaged.
        """
        scenario = evidence.scenario
        if scenario is None:
            raise AnalysisError(f"{evidence.source}: a log has no truth to read")
        run = RunDirectory.open(evidence.source)
        truth, names = read_truth(run.truth), names_at(run.path)
        pauses = truth[truth.event == TruthEvent.HUB_PAUSE.name.lower()]
        can_repeat = evidence.provenance is not None and evidence.provenance.engine == "virtual"
        return cls(
            evidence,
            scenario,
            Truths.of(truth, scenario),
            names,
            Reruns(scenario) if can_repeat else None,
            tuple(zip(pauses.start_s.tolist(), pauses.end_s.fillna(np.inf).tolist(), strict=True)),
            frozenset(group.name for group in scenario.group if _has_queue(group)),
        )

    def group_of(self, node: int) -> str:
        """Return the group of a node."""
        return next(name for name, nodes in self.evidence.groups.items() if nodes[0] <= node <= nodes[-1])

    def explain(self, node: int, messages: Messages, marks: Sequence[Mark]) -> tuple[list[Flash], bool]:
        """Return the false stales of one node explained, and whether the node was run again with the same messages."""
        scenes = self.scenes(node, messages, marks)
        return [self._flash(scene) for scene in scenes], all(scene.moment is not None for scene in scenes)

    def scenes(self, node: int, messages: Messages, marks: Sequence[Mark]) -> list[Scene]:
        """Return what is known of each mark of one node."""
        truth, has_queue = self.truths.of_node(node), self.group_of(node) in self.queues
        scenes = [Scene(mark, truth, messages, has_queue, None) for mark in marks]
        rerun = self.reruns.of(node, len(messages)) if self.reruns else None
        if rerun is None:
            return scenes
        try:
            moments = [rerun.go(mark.at_s) for mark in marks]
        except AnalysisError:
            return scenes
        if not rerun.repeats(messages, self.pauses):
            return scenes
        return [replace(scene, moment=moment) for scene, moment in zip(scenes, moments, strict=True)]

    def _flash(self, scene: Scene) -> Flash:
        kind, cause = classify(scene)
        mark, cut, moment = scene.mark, scene.cut, scene.moment
        back_s = cut.to_s if cut is not None and isfinite(cut.to_s) else None
        return Flash(
            mark,
            self.group_of(mark.node),
            self.names.get(mark.node, str(mark.node)),
            kind,
            cause,
            inferred=moment is None and kind is Kind.HIDDEN,
            link_back_s=back_s,
            timeouts=None if moment is None else moment.timeouts,
            mended_by=covered_by(mark, self.evidence.hub),
        )


def explain(evidence: Evidence, gaps: Gaps | None = None) -> Flashes:
    """Return every false stale of a finished run with its class and cause; `gaps` are those of some of its nodes."""
    marks = marks_of(gaps or evidence.gaps, evidence.hub, evidence.duration_s)
    by_node = false_by_node(marks)
    record, not_repeated = Record.of(evidence), []
    found: list[Flash] = []
    for node, messages in messages_by_node(evidence.source, list(by_node)):
        flashes, repeated = record.explain(node, messages, by_node[node])
        found += flashes
        if not repeated:
            not_repeated.append(node)
    found.sort(key=lambda flash: (flash.mark.node, flash.mark.at_s))
    return Flashes(tuple(found), tuple(mark for mark in marks if not mark.false), tuple(not_repeated))


def false_by_node(marks: Sequence[Mark]) -> dict[int, list[Mark]]:
    """Return the false stales of each node that has some."""
    by_node: dict[int, list[Mark]] = {}
    for mark in marks:
        if mark.false:
            by_node.setdefault(mark.node, []).append(mark)
    return by_node


def names_at(path: Path) -> dict[int, str]:
    """Return the name of each node of a run or trace; empty if names are not recorded."""
    listed = read_nodes(path)
    return {} if listed is None else dict(zip(listed.node.tolist(), listed.name, strict=True))


def covered_by(mark: Mark, hub: HubSettings) -> tuple[Mend, ...]:
    """Return the least threshold that covers a gap that ended.

    There is none of a detector that adapts, nor if the hub was away in the gap, which moves deadlines.
    """
    moved = mark.hub_away_s > 0 or abs(mark.at_s - mark.from_s - hub.stale_after_s) > 1e-6
    if hub.policy.name != FixedTimeout.name or not mark.heard or moved:
        return ()
    return (Mend("stale_after", mark.gap_s, "gap"),)


def messages_by_node(path: Path, nodes: Sequence[int]) -> Iterator[tuple[int, Messages]]:
    """Yield some nodes of a run or trace with their messages; one part of it is in memory at a time."""
    wanted = np.array(sorted(nodes), np.int64)
    for block in read_blocks(path):
        begins = np.searchsorted(block.node, wanted, "left")
        ends = np.searchsorted(block.node, wanted, "right")
        for node, begin, end in zip(wanted.tolist(), begins, ends, strict=True):
            if end > begin:
                yield node, block.select(slice(begin, end))


def messages_of(path: Path, node: int) -> Messages:
    """Return the messages of one node of a run or trace that has some."""
    return next(messages for _, messages in messages_by_node(path, [node]))


def _has_queue(group: object) -> bool:
    """Return whether a queue is in front of the way up of a group's nodes."""
    site, link = getattr(group, "site", None), getattr(group, "link", None)
    return bool(getattr(site, "uplink", None) or getattr(link, "uplink", None))
