"""Stale thresholds: what each would have done on a trace, and which to set."""

from heartbench.analysis.evidence import Evidence, evidence_of
from heartbench.analysis.gaps import Gaps, find_gaps
from heartbench.analysis.qos import Qos, judge
from heartbench.analysis.replay import replay
from heartbench.analysis.simulated import simulate_gaps
from heartbench.analysis.study import study
from heartbench.analysis.tune import Goal, Recommendation, recommend
from heartbench.analysis.verdict import sentence

__all__ = [
    "Evidence",
    "Gaps",
    "Goal",
    "Qos",
    "Recommendation",
    "evidence_of",
    "find_gaps",
    "judge",
    "recommend",
    "replay",
    "sentence",
    "simulate_gaps",
    "study",
]
