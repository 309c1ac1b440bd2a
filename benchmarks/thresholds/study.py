"""What was run, judged: a run as its hub is set, and every threshold of the grid under every tail."""

from collections.abc import Callable

from heartbench.benchmarks.thresholds.evidence import Evidence, settings_of, simulate_gaps
from heartbench.benchmarks.thresholds.gaps import find_gaps, power_losses
from heartbench.benchmarks.thresholds.qos import DAY_S, judge
from heartbench.benchmarks.thresholds.tune import Goal, Recommendation, frontier, grid, recommend
from heartbench.hub.config import HubSettings
from heartbench.simulator.run_directory import RunDirectory
from heartbench.simulator.trace import read_blocks, read_truth


def run_figures(run: RunDirectory, hub: HubSettings, duration_s: float) -> dict[str, float]:
    """What a hub set so would have said of a run, in the figures of `run.json`; block by block, in little memory."""
    losses = power_losses(read_truth(run.truth))
    up_s = false_stales = flaps = flashes = 0.0
    for block in read_blocks(run.path):
        qos = judge(find_gaps(block, losses, duration_s), [hub], duration_s)
        up_s += qos.up_s.sum()
        false_stales += qos.mistakes.sum()
        flaps += qos.flaps[0]
        flashes += qos.flashes[0]
    return {
        "false_stale_per_node_day": false_stales / (up_s / DAY_S) if up_s else 0.0,
        "flaps_per_node_hour": flaps / (up_s / 3600) if up_s else 0.0,
        "flashes_per_hour": flashes / (duration_s / 3600) if duration_s else 0.0,
    }


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
    return recommend({tail: frontier(qos, evidence.seed) for tail, qos in judged.items()}, goal, current_s)
