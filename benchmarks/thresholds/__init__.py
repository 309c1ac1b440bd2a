"""Stale thresholds: what each would have done on a trace, and which to set."""

from heartbench.benchmarks.thresholds.evidence import Evidence, evidence_of
from heartbench.benchmarks.thresholds.gaps import Gaps, find_gaps
from heartbench.benchmarks.thresholds.qos import Qos, judge
from heartbench.benchmarks.thresholds.replay import replay
from heartbench.benchmarks.thresholds.simulated import simulate_gaps
from heartbench.benchmarks.thresholds.study import study
from heartbench.benchmarks.thresholds.tune import Goal, Recommendation, recommend
from heartbench.benchmarks.thresholds.verdict import sentence

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
