"""What `heartbench explain` answers: all false stales of a run or log, those of one node, or one of them as a story."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.evidence import Evidence, evidence_of
from heartbench.analysis.explain.flashes import Flash, Flashes, Record, explain
from heartbench.analysis.explain.knobs import Tried, try_knobs, with_mends
from heartbench.analysis.explain.logs import LadderFound, explain_log, tell_log
from heartbench.analysis.explain.story import Story, tell
from heartbench.analysis.explain.summary import Sum, flash_to_json, sum_to_json, sum_up
from heartbench.analysis.gaps import Gaps
from heartbench.analysis.readings import SilentAtEnd
from heartbench.simulator.trace import read_nodes

SCHEMA = "heartbench.explain/1"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked.

    Attributes:
        path: of a run, an imported log or a trace.
        node: number or name of a node, if one case is meant.
        at_s: time near which that case was, s since the start.
        now_s, source, silent_at_end, skip_pauses: as `evidence_of` takes them.
    """

    path: Path
    node: str | None = None
    at_s: float | None = None
    now_s: float | None = None
    source: Path | None = None
    silent_at_end: SilentAtEnd | None = None
    skip_pauses: bool = False

    def evidence(self) -> Evidence:
        """Return the evidence of the run or log."""
        silent, skipped = self.silent_at_end, self.skip_pauses
        return evidence_of(self.path, self.now_s, silent_at_end=silent, source=self.source, skip_pauses=skipped)


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found; `story` is that of one case if one was asked for, `ladder` what a log's late deliveries show."""

    evidence: Evidence
    found: Flashes
    tried: Tried
    story: Story | None = None
    ladder: LadderFound | None = None

    @property
    def total(self) -> Sum:
        """All false stales of the answer in sum."""
        return sum_up(self.found)

    def to_json(self) -> dict[str, Any]:
        """Return the answer as --json prints it."""
        result: dict[str, Any] = {
            "schema": SCHEMA,
            "source": self.evidence.source,
            "stale_after_s": self.evidence.hub.stale_after_s,
            "flashes": [flash_to_json(flash) for flash in self.found.each],
            "sum": sum_to_json(self.found, self.tried),
        }
        if self.evidence.scenario is None:
            found, trace = self.ladder, self.evidence.imported
            result["ladder"] = found and {name: getattr(found, name) for name in LadderFound.__slots__}
            result["silent_at_end"] = self.evidence.readings[0].silent
            result["sender_pauses_skipped"] = trace is not None and trace.skip_pauses
        if self.story is not None:
            lines = [{"at_s": line.at_s, "lane": line.lane, "text": line.text} for line in self.story.lines()]
            result["story"] = {"node": self.story.flash.mark.node, "at_s": self.story.flash.mark.at_s, "lines": lines}
        return result


def answer_to(question: Question, advance: Callable[[float], None] = lambda _: None) -> Answer:
    """Return the answer; `advance` is called with the share of the work done since its last call.

    Raises:
        AnalysisError: the node is unknown, or was never marked stale while it was up.
        SimulatorError: it is neither a run nor a log, or damaged.
    """
    evidence, ladder = question.evidence(), None
    gaps = evidence.gaps
    if question.node is not None:
        gaps = gaps.of(np.array([_number(question, gaps)]))
    if evidence.scenario is None:
        found, ladder = explain_log(question.path, evidence, gaps)
    else:
        found = explain(evidence, gaps)
    advance(0.5)
    one = None
    if question.node is not None or question.at_s is not None:
        one = _chosen(found, question)
        gaps = gaps.of(np.array([one.mark.node]))
        found = _only(found, one, whole_node=question.at_s is None)
    tried = try_knobs(evidence, gaps, found, None if one is None else one.mark.node)
    found = with_mends(found, tried)
    advance(0.5)
    if one is None:
        return Answer(evidence, found, tried, None, ladder)
    one = next(flash for flash in found.each if flash.mark == one.mark)
    is_log = evidence.scenario is None
    story = tell_log(question.path, evidence, one) if is_log else tell(Record.of(evidence), one)
    return Answer(evidence, found, tried, story, ladder)


def _number(question: Question, gaps: Gaps) -> int:
    """Return the number of the node that is asked about by its name or number."""
    node, listed = question.node or "", read_nodes(question.path)
    if listed is not None and (listed.name == node).any():
        return int(listed.node[listed.name == node].iloc[0])
    if node.isdecimal() and int(node) in gaps.node:
        return int(node)
    known = "0" if listed is None else str(listed.name.iloc[0])
    raise AnalysisError(
        f"--node: {node}: no such node in {question.source or question.path}; expected a number or a name, such as "
        f"{known}"
    )


def _chosen(found: Flashes, question: Question) -> Flash:
    """Return the false stale that is meant: the one nearest to the time, or else the one with the longest gap."""
    if not found.each:
        who = "no node" if question.node is None else f"--node: {question.node}: the node"
        never = "was ever" if question.node is None else "was never"
        raise AnalysisError(f"{who} {never} marked stale while it was up")
    if question.at_s is None:
        return max(found.each, key=lambda flash: flash.mark.silence_s)
    at_s = question.at_s
    return min(found.each, key=lambda flash: (_distance_s(flash, at_s), abs(flash.mark.at_s - at_s)))


def _distance_s(flash: Flash, at_s: float) -> float:
    """Return how far a time is from the gap of a false stale, s; 0 within it."""
    return max(flash.mark.from_s - at_s, at_s - flash.mark.until_s, 0.0)


def _only(found: Flashes, one: Flash, whole_node: bool) -> Flashes:
    """Return one false stale, or all of its node."""
    each = tuple(flash for flash in found.each if whole_node and flash.mark.node == one.mark.node) or (one,)
    others = tuple(mark for mark in found.others if whole_node and mark.node == one.mark.node)
    return Flashes(each, others, tuple(node for node in found.not_repeated if node == one.mark.node))
