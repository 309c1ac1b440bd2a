"""What was run, judged: every threshold of the grid under every tail."""

from collections.abc import Callable

from heartbench.benchmarks.thresholds.evidence import Evidence, settings_of, simulate_gaps
from heartbench.benchmarks.thresholds.qos import judge
from heartbench.benchmarks.thresholds.tune import Goal, Recommendation, frontier, grid, recommend


def study(evidence: Evidence, goal: Goal, advance: Callable[[int], None] | None = None) -> Recommendation:
    """Judge the trace, and the same scenario simulated under each other tail (same seed and length), and recommend.

    Args:
        evidence: of a run, or of a bare trace, for which there is no other tail.
        goal: what is asked of the hub.
        advance: told how many nodes were simulated since its last call.
    """
    others = {str(tail): simulate_gaps(evidence.scenario_under(tail), advance) for tail in evidence.other_tails}
    gaps = {evidence.own_tail: evidence.gaps, **others}
    longest_s = max(float(each.up_s.max()) for each in gaps.values())
    current_s = evidence.hub.stale_after_s
    settings = settings_of(grid(evidence.usual_gap_s, longest_s, current_s, goal.max_detection_s), evidence.hub)
    judged = {tail: judge(each, settings, evidence.duration_s) for tail, each in gaps.items()}
    return recommend({tail: frontier(qos) for tail, qos in judged.items()}, goal, current_s)
