"""From evidence to a recommendation: judge every threshold for each group, the fleet and each likely network."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from heartbench.analysis.absences import AbsenceRules
from heartbench.analysis.coincidence import coincidence_of, long_gaps
from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.evidence import Evidence, policies_at
from heartbench.analysis.networks import network_rates, observed_groups, of_fleet, replayed_groups, replayed_rates
from heartbench.analysis.qos import Qos, judge
from heartbench.analysis.readings import Reading
from heartbench.analysis.sites import cells_of
from heartbench.analysis.summed import judge_blocks, timeout_s
from heartbench.analysis.tail.rates import LogTail, rates_of_log
from heartbench.analysis.tune import DAY_H, FLEET, RUN_LENGTHS, Goal, Per, Recommendation, frontier, grid, recommend
from heartbench.hub import PolicySpec


def study(
    evidence: Evidence, goal: Goal, per: Per = Per.GROUP, advance: Callable[[int], None] | None = None
) -> Recommendation:
    """Judge the trace, simulate the networks that fit the observations, and recommend a threshold.

    If an imported log can be read in several ways, the recommendation is that of the worst, and holds all of them.

    Args:
        evidence: the evidence of a run or an imported trace.
        goal: what the hub must achieve.
        per: whether each group must meet the goal, or the fleet.
        advance: called with the number of nodes simulated since its last call.

    Raises:
        AnalysisError: the run is too short for its usual gap or for the current threshold.
    """
    check_duration(evidence)
    found = {each.name: study_reading(evidence, each, goal, per, advance) for each in evidence.readings}
    worst = max(found, key=lambda name: badness(found[name]))
    several = found if len(found) > 1 else {}
    return replace(found[worst], coincidence=shared_outages(evidence), readings=several)


def badness(found: Recommendation) -> tuple[bool, float, float]:
    """Return what makes one reading of a log worse than another: no threshold meets the goal, or only a higher one.

    Of those in which none does, the one that misses it by more is worse.
    """
    _, row = found.decides(found.recommended_s)
    ends = row.deciding_interval
    return not found.met, found.recommended_s if found.met else 0.0, ends[1] if ends else 0.0


def study_reading(
    evidence: Evidence, reading: Reading, goal: Goal, per: Per, advance: Callable[[int], None] | None
) -> Recommendation:
    """Judge every threshold in one reading of the trace."""
    thresholds = grid(evidence.usual_gap_s, evidence.current_s, goal.max_detection_s, evidence.duration_s)
    found = frontiers(evidence, reading, policies_at(thresholds, evidence.hub), advance)
    chosen = recommend(goal, per, evidence.current_s, found.fleet, found.groups, found.hours)
    return replace(
        chosen,
        recorded=evidence.scenario is None,
        interval_s=evidence.longest_interval_s,
        reading=reading.name,
        tails=found.tails,
    )


@dataclass(frozen=True, slots=True)
class Frontiers:
    """Policies judged on a trace: one row per policy, of all nodes together and of each group.

    Attributes:
        fleet: of all nodes, see `tune.frontier`.
        groups: of each group.
        hours: how long each group's network was observed, h, if it was.
        judged: what the rows of each group were counted from.
        tails: of each group of an imported log, the tail of its gaps.
    """

    fleet: pd.DataFrame
    groups: Mapping[str, pd.DataFrame]
    hours: Mapping[str, float]
    judged: Mapping[str, Qos]
    tails: Mapping[str, LogTail]


def frontiers(
    evidence: Evidence,
    reading: Reading,
    policies: Sequence[PolicySpec],
    advance: Callable[[int], None] | None = None,
) -> Frontiers:
    """Judge policies in one reading of the trace, and on each likely network."""
    everyone = {name: nodes for name, nodes in evidence.groups.items() if np.isin(nodes, evidence.node).any()}
    if len(everyone) > 1:
        everyone[FLEET] = evidence.node
    if evidence.imported:
        judged = judge_blocks(evidence, everyone, policies, reading)
    else:
        judged = {name: judge_nodes(evidence, nodes, policies) for name, nodes in everyone.items()}
    whole = judged.pop(FLEET, None)
    rates, tails = network_rates(evidence, policies, advance) | replayed_rates(evidence, judged), dict[str, LogTail]()
    if evidence.imported:
        step_s = (evidence.record.step_s if evidence.record else None) or 0.0
        silence_s = np.array([reading.silence_s(timeout_s(each), step_s) for each in policies])
        rates, tails = rates_of_log(judged, silence_s, step_s, evidence.seed)
    groups = {name: frontier(qos, rates.get(name)) for name, qos in judged.items()}
    if whole is None:
        (fleet,) = groups.values()
    else:
        fleet = frontier(whole, of_fleet(rates, judged, evidence.seed) if rates else None)
    hours = {name: observed.hours for name, (_, observed) in observed_groups(evidence).items()}
    hours |= replayed_groups(evidence)
    if evidence.scenario is None:
        hours = {name: qos.node_days * DAY_H for name, qos in judged.items()}
    return Frontiers(fleet, groups, hours, judged, tails)


def check_duration(evidence: Evidence) -> None:
    """Raise AnalysisError if a run is too short for its usual gap or for the current threshold."""
    threshold_s = max(evidence.usual_gap_s, evidence.current_s or 0.0)
    if evidence.duration_s < RUN_LENGTHS * threshold_s:
        raise AnalysisError(
            f"{evidence.source}: {evidence.duration_s:.3g} s are too short to evaluate a threshold of "
            f"{threshold_s:.3g} s; expected at least {RUN_LENGTHS * threshold_s:.3g} s"
        )


def shared_outages(evidence: Evidence) -> str | None:
    """Return the finding that gaps of different nodes coincide; None if they do not, or what nodes share is known."""
    if evidence.sites is not None:
        return None
    long = evidence.imported.seen.long if evidence.imported else long_gaps(evidence.gaps)
    found = None if long is None else coincidence_of(long)
    return None if found is None else found.sentence


def judge_nodes(evidence: Evidence, nodes: NDArray[np.int64], policies: Sequence[PolicySpec]) -> Qos:
    """Judge policies on some nodes of the trace."""
    gaps = evidence.gaps.of(nodes)
    sites = evidence.sites
    cells = cells_of(gaps.node, evidence.duration_s, None if sites is None else sites[gaps.node])
    return judge(gaps, policies, evidence.duration_s, cells, AbsenceRules.of(evidence.hub))
