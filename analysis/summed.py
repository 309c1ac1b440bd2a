"""The quality of service on a trace that is judged block by block: counts and times add up, quantiles come from bins.

Only a fixed timeout can be added up: the silences that other detectors allow are as many as the gaps. A node must be
whole in its block.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.absences import AbsenceRules
from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.evidence import Evidence
from heartbench.analysis.gap_lengths import GapLengths
from heartbench.analysis.gaps import Gaps
from heartbench.analysis.qos import Qos, judge
from heartbench.analysis.readings import Reading
from heartbench.analysis.sites import Cells, cells_of
from heartbench.hub import FixedTimeout, PolicySpec

SUMS = ("up_s", "distinct", "mistake_s", "flaps", "flashes", "entries", "flapping_nodes")


class Sum:
    """The quality of service of fixed timeouts on the blocks of some nodes, in the cells of all of them."""

    def __init__(self, policies: Sequence[PolicySpec], duration_s: float, cells: Cells, rules: AbsenceRules) -> None:
        self._policies, self._duration_s, self._cells, self._rules = policies, duration_s, cells, rules
        self._total: Qos | None = None
        self._lengths = GapLengths()

    def add(self, gaps: Gaps) -> None:
        """Judge a block of the nodes, and add it."""
        found = judge(gaps, self._policies, self._duration_s, self._cells, self._rules)
        self._lengths.add(found.up_gaps_s)
        before = self._total
        if before is not None:
            found = replace(found, **{name: getattr(before, name) + getattr(found, name) for name in SUMS})
        self._total = replace(found, up_gaps_s=np.zeros(0))

    def qos(self) -> Qos:
        """Return that of all blocks; raise AnalysisError without a block."""
        if self._total is None:
            raise AnalysisError("none of these nodes sent anything, so there is nothing to judge")
        lengths_s, counts = self._lengths.lengths()
        return replace(self._total, up_gaps_s=lengths_s, gap_counts=counts)


def judge_blocks(
    evidence: Evidence, groups: Mapping[str, NDArray[np.int64]], policies: Sequence[PolicySpec], reading: Reading
) -> dict[str, Qos]:
    """Judge fixed timeouts on groups of nodes of an imported trace, in one reading and in one pass.

    If each time is known only to within a step, the shortest and the longest gaps are judged by timeouts that are
    longer and shorter by the step, which is the same: time up and detection times stay those of the recorded gaps.

    Raises:
        AnalysisError: the evidence is that of a run, or a policy is not a fixed timeout.
    """
    trace, record = evidence.imported, evidence.record
    if trace is None:
        raise AnalysisError(f"{evidence.source}: expected an imported trace")
    thresholds = tuple(timeout_s(each) for each in policies)
    step_s = (record and record.step_s) or 0.0
    allowed_s = [reading.silence_s(each, step_s) for each in thresholds]
    read = [replace(each, parameters=FixedTimeout(s)) for each, s in zip(policies, allowed_s, strict=True)]
    heard = {name: np.intersect1d(nodes, trace.node) for name, nodes in groups.items()}
    duration_s, rules = evidence.duration_s, AbsenceRules.of(evidence.hub)
    sums = {name: Sum(read, duration_s, cells_of(nodes, duration_s), rules) for name, nodes in heard.items()}
    for gaps in trace.blocks(reading):
        for name, nodes in heard.items():
            own = gaps.of(nodes)
            if len(own):
                sums[name].add(own)
    return {
        name: replace(each.qos(), stale_after_s=np.array(thresholds), transit_s=trace.transit_s(heard[name]))
        for name, each in sums.items()
    }


def timeout_s(policy: PolicySpec) -> float:
    """Return the timeout of a policy, s; raise AnalysisError if it is not fixed."""
    if isinstance(policy.parameters, FixedTimeout):
        return policy.parameters.stale_after_s
    raise AnalysisError(f"detector {policy.name!r}: an imported trace is judged block by block by fixed timeouts only")
