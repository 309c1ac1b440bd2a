"""Which cases a run or a trace is like: its signature, compared with those of the cases' own runs."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from heartbench.analysis.absences import ALWAYS_THERE
from heartbench.analysis.cases.case import CASES, Case, load_case
from heartbench.analysis.cases.run import observe
from heartbench.analysis.cases.signature import ASPECTS, Signature, signature_of
from heartbench.analysis.evidence import evidence_of
from heartbench.analysis.gaps import NO_LOSSES, Gaps, find_gaps, join_gaps
from heartbench.simulator.trace import Messages, read_blocks

ALIKE, UNLIKE = 0.75, 1.0
"""Figures are named as alike if they differ by less, and as unlike if they differ by more, as ASPECTS counts it."""
REASONS = 3
FARTHEST = 4.0
"""A larger difference in one figure counts as this, so that one figure alone does not decide."""


@dataclass(frozen=True, slots=True)
class Match:
    """How like a case is: `likeness` from 0 to 1, and why, in words."""

    case: Case
    likeness: float
    alike: tuple[str, ...]
    unlike: tuple[str, ...]


def match(seen: Signature, advance: Callable[[int], None] = lambda _: None) -> list[Match]:
    """Return all shipped cases, the one with the signature most like `seen` first.

    `advance` is called with 1 for each case that was simulated.
    """
    cases = [load_case(name) for name in CASES.names()]
    theirs = {}
    for case in cases:
        theirs[case.name] = signature_of_case(case)
        advance(1)
    found = [compare(case, seen, theirs[case.name], list(theirs.values())) for case in cases]
    return sorted(found, key=lambda each: -each.likeness)


def signature_at(path: Path, now_s: float | None = None) -> Signature:
    """Return the signature of a run or a trace, without gaps in which its user says the hub was down.

    Args:
        path: a run directory, or a trace as `tune` reads it.
        now_s: threshold of the hub of a trace, s; a run records its own.

    Raises:
        SimulatorError, AnalysisError: it is neither, or has no gap.
    """
    evidence = evidence_of(path, now_s)
    gaps = join_gaps(kept_signs(block, np.inf) for block in read_blocks(path))
    known_down = evidence.imported.known.absences if evidence.imported else ALWAYS_THERE
    of_nodes = gaps.heard & (known_down.before(gaps.start_s + gaps.length_s) == known_down.before(gaps.start_s))
    return signature_of(replace(gaps, heard=of_nodes), evidence.current_s)


def signature_of_case(case: Case) -> Signature:
    """Return the signature of a case with its broken settings."""
    run = observe(case.scenario_with(mended=False))
    return signature_of(kept_signs(run.messages, run.scenario.duration_s), run.stale_after_s)


def kept_signs(messages: Messages, end_s: float) -> Gaps:
    """Return the gaps of messages with their signs of life, as if no node had failed."""
    nodes = int(messages.node.max(initial=-1)) + 1
    return find_gaps(messages, NO_LOSSES, end_s, interval_s=np.zeros(nodes))


def compare(case: Case, seen: Signature, theirs: Signature, book: Sequence[Signature]) -> Match:
    """Return how like a signature is to that of a case. What tells the case from others in the book is named first."""
    apart = differences(seen, theirs)
    others = [differences(theirs, other) for other in book]
    special = {name: sum(each.get(name, 0.0) for each in others) for name in apart}
    by_special = sorted(apart, key=lambda name: -special[name])
    alike = [f"{said(name, seen)} (case: {shown(name, theirs)})" for name in by_special if apart[name] < ALIKE]
    unlike = [
        f"{said(name, seen)} (case: {shown(name, theirs)})"
        for name in sorted(apart, key=lambda name: -apart[name])
        if apart[name] > UNLIKE
    ]
    distance = math.sqrt(sum(each**2 for each in apart.values()) / max(len(apart), 1))
    return Match(case, math.exp(-distance), tuple(alike[:REASONS]), tuple(unlike[:REASONS]))


def differences(one: Signature, other: Signature) -> Mapping[str, float]:
    """Return how far two signatures are apart in each figure that both have."""
    found = {}
    for name, aspect in ASPECTS.items():
        a, b = getattr(one, name), getattr(other, name)
        if not (math.isnan(a) or math.isnan(b)):
            found[name] = min(abs(aspect.scale(a) - aspect.scale(b)) / aspect.one, FARTHEST)
    return found


def said(name: str, signature: Signature) -> str:
    """Return a figure of a signature in words."""
    return ASPECTS[name].text.format(getattr(signature, name))


def shown(name: str, signature: Signature) -> str:
    """Return a figure of a signature alone, as it is written in `said`."""
    text = ASPECTS[name].text
    return text[text.index("{") : text.index("}") + 1].format(getattr(signature, name))
