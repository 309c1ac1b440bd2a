"""What a trace means and what to set: gaps, quality of service for each threshold, a recommendation, plots.

    evidence = evidence_of(run.path)            # of a run or a trace; or simulated(scenario), without files
    policies = policies_at([30.0, 60.0, 90.0], evidence.hub)
    qos = judge(evidence.gaps, policies, evidence.duration_s).frame()       # one row per threshold
    found = study(evidence, Goal(max_false_stale_per_node_day=4.0, max_detection_s=120.0))
    print(sentence(found))
    plot_frontier(found).figure.savefig("frontier.svg")

Plots are imported on first use, because they load Matplotlib.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.evidence import Evidence, evidence_of, policies_at, simulated
from heartbench.analysis.gaps import Gaps
from heartbench.analysis.qos import Qos, judge
from heartbench.analysis.study import study
from heartbench.analysis.tune import Goal, Recommendation
from heartbench.analysis.verdict import sentence

if TYPE_CHECKING:
    from heartbench.analysis.report.plots import plot_flaps, plot_frontier, plot_gaps

__all__ = [
    "AnalysisError",
    "Evidence",
    "Gaps",
    "Goal",
    "Qos",
    "Recommendation",
    "evidence_of",
    "judge",
    "plot_flaps",
    "plot_frontier",
    "plot_gaps",
    "policies_at",
    "sentence",
    "simulated",
    "study",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.report.plots"), name)
