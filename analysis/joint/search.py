"""The search for the best setting of hub and nodes together.

Settings of the hub are judged on the gaps of one simulation, all of them. Those of the nodes are simulated, on common
random numbers. `knobs.BLOCKS` is the plan: all values of keepalive and user timeout together; then reconnect, then the
interval, each from the best setting so far, and from the start again until nothing changes. So with keepalive and user
timeout alone the search is exhaustive; with more it is coordinate descent, and may miss a better setting.

Adaptive detectors are judged last, on the best setting of the nodes, because each of them takes a pass over all gaps;
and flap rules after them (`flap_choice`), because they change neither false stales nor detection times nor bytes.
"""

import math
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass, replace

from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.evidence import Evidence
from heartbench.analysis.explain.knobs import MOST_HEARTBEATS
from heartbench.analysis.joint import knobs
from heartbench.analysis.joint.choice import TRAFFIC_FACTOR, Limits, Option, Space
from heartbench.analysis.joint.contributions import Share, shares_of
from heartbench.analysis.joint.flap_choice import FlapChoice, choose_flaps
from heartbench.analysis.joint.hub_candidates import candidates, detectors
from heartbench.analysis.joint.judged import Job, Judged, judge_evidence, judge_job
from heartbench.analysis.joint.knobs import BLOCKS, FIELDS, Knob, NodeSetting
from heartbench.analysis.joint.question import Question
from heartbench.analysis.study import check_duration
from heartbench.hub import HubSettings
from heartbench.simulator.scenario import Scenario

MOST_ROUNDS = 3

Advance = Callable[[int, int], None]
"""Called with the number of settings judged since the last call, and of those that were added to the plan."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found.

    Attributes:
        space: all settings that were judged.
        current: the setting as it is; None if an imported log does not say what its hub had.
        recommended: the setting to use, or the closest.
        threshold_alone: the best with the nodes as they are.
        next_best: the best with another setting of the nodes or another detector; None if there is none.
        thrifty: the setting within the limits with the fewest bytes; None if none is within them.
        shares: what each knob contributes alone.
        flaps: the choice of the flap rule; None if it was not free.
        held_out: what half of the nodes and of the time would have chosen.
        possible: number of settings of the nodes that there are; those of `space` were searched.
    """

    question: Question
    space: Space
    current: Option | None
    recommended: Option
    threshold_alone: Option | None
    next_best: Option | None
    thrifty: Option | None
    shares: tuple[Share, ...]
    flaps: FlapChoice | None
    held_out: Option
    possible: int

    @property
    def met(self) -> bool:
        """Whether the recommended setting is within the limits."""
        return self.recommended.met


class Judge:
    """Judges settings of the nodes, each once."""

    def __init__(self, scenario: Scenario, question: Question, executor: Executor, advance: Advance) -> None:
        self.question = question
        self._scenario, self._executor, self._advance = scenario, executor, advance
        self.found: dict[NodeSetting | None, Judged] = {}

    def judge(self, settings: Iterable[NodeSetting], hubs: tuple[HubSettings, ...]) -> dict[NodeSetting | None, Judged]:
        """Return what settings do under these hubs, in the order of the settings."""
        wanted = dict.fromkeys(settings)
        self._advance(0, len(wanted))
        running = {self._executor.submit(judge_job, self._job(each, hubs)): each for each in wanted}
        done: dict[NodeSetting, Judged] = {}
        try:
            for future in as_completed(running):
                done[running[future]] = future.result()
                self._advance(1, 0)
        finally:
            for future in running:
                future.cancel()
        return {each: done[each] for each in wanted}

    def add(self, settings: Iterable[NodeSetting], hubs: tuple[HubSettings, ...]) -> None:
        """Judge those settings that are not yet judged, and keep what they do."""
        self.found |= self.judge([each for each in settings if each not in self.found], hubs)

    def space(self, max_bytes: float) -> Space:
        """Return all that is kept."""
        return Space.of(self.found, Limits(self.question.goal, max_bytes))

    def _job(self, setting: NodeSetting, hubs: tuple[HubSettings, ...]) -> Job:
        return Job(knobs.applied(self._scenario, setting), hubs, self.question.per)


def needs_simulation(evidence: Evidence, question: Question) -> bool:
    """Return whether the scenario has to be simulated: for settings of the nodes, and for detectors.

    A run keeps of its gaps what fixed timeouts need. AnalysisError if it has to be and cannot.
    """
    of_nodes = not question.free.isdisjoint(FIELDS)
    if of_nodes or (Knob.DETECTOR in question.free and evidence.scenario is not None):
        scenario_to_simulate(evidence)
        return True
    return False


def search(
    evidence: Evidence, question: Question, executor: Executor | None, advance: Advance = lambda _, __: None
) -> Found:
    """Search the settings that are free, and return what to set.

    Args:
        evidence: the evidence of a run; of a log, if only settings of the hub are free.
        question: what to search for.
        executor: simulates and judges settings; None if `needs_simulation` says so.
        advance: see `Advance`.

    Raises:
        AnalysisError: a knob of the nodes is free and there is no scenario to simulate, or it is too large; or the run
            is too short.
    """
    check_duration(evidence)
    if executor is None:
        return _of_hubs(evidence, question)
    scenario = scenario_to_simulate(evidence)
    current = knobs.current_of(scenario)
    intervals_s = [group.heartbeat_interval_s for group in scenario.group]
    if Knob.INTERVAL in question.free:
        intervals_s += [each for each in knobs.values_of(Knob.INTERVAL, current) if each is not None]
    hubs = tuple(
        candidates(evidence.hub, question.free, intervals_s, question.goal.max_detection_s, scenario.duration_s)
    )
    judge = Judge(scenario, question, executor, advance)
    max_bytes, best = _descend(judge, current, hubs)
    if Knob.DETECTOR in question.free:
        interval_s = best.interval_s or min(intervals_s)
        longest_s = max(question.goal.max_detection_s, *(each.stale_after_s for each in hubs))
        more = (*hubs, *detectors(evidence.hub, interval_s, longest_s))
        judge.found |= judge.judge([best], more)
    return _with_flaps(_conclude(judge, current, hubs, max_bytes), evidence)


def scenario_to_simulate(evidence: Evidence) -> Scenario:
    """Return the scenario of a run; raise AnalysisError if settings of its nodes cannot be simulated."""
    if evidence.scenario is None:
        raise AnalysisError(
            f"--free: {evidence.source} is a log, which says nothing of the nodes' settings and cannot be simulated; "
            f"expected only {', '.join(knob for knob in Knob if knob not in FIELDS)}, or a run"
        )
    scenario = evidence.scenario
    heartbeats = sum(group.nodes * scenario.duration_s / group.heartbeat_interval_s for group in scenario.group)
    if heartbeats > MOST_HEARTBEATS:
        raise AnalysisError(
            f"--free: {heartbeats:,.0f} heartbeats are too many to simulate again and again; expected a run with at "
            f"most {MOST_HEARTBEATS:,}"
        )
    return scenario


def _descend(judge: Judge, current: NodeSetting, hubs: tuple[HubSettings, ...]) -> tuple[float, NodeSetting]:
    """Search block after block of the free knobs; return the limit of the traffic, and the best setting."""
    question, best, max_bytes = judge.question, current, math.inf
    blocks = list(filter(None, (tuple(knob for knob in block if knob in question.free) for block in BLOCKS)))
    for _ in range(MOST_ROUNDS):
        before = best
        for block in blocks or [()]:
            judge.add([current, *knobs.around(best, block, current, question.permitted_ping_s)], hubs)
            max_bytes = question.max_bytes_per_node_day or _twice(judge.found[current])
            space = judge.space(max_bytes)
            row = space.chosen()
            if row is not None:
                best = space.nodes[space.rows.node.iloc[row]] or current
        if best == before or len(blocks) == 1:
            break
    return max_bytes, best


def _twice(current: Judged) -> float:
    known = current.traffic.bytes_per_node_day
    return math.inf if math.isnan(known) else TRAFFIC_FACTOR * known


def _conclude(judge: Judge, current: NodeSetting, hubs: tuple[HubSettings, ...], max_bytes: float) -> Found:
    question, space = judge.question, judge.space(max_bytes)
    row = space.chosen()
    if row is None:
        raise AnalysisError(
            f"--max-traffic: no setting sends at most {max_bytes:,.0f} bytes per node-day; the least is "
            f"{space.rows.bytes.min():,.0f}"
        )
    recommended = space.option(row)
    shares = tuple(shares_of(judge.judge, space, current, recommended, hubs, question))
    found = _found(question, space, row, shares)
    return replace(found, possible=knobs.number_of_settings(question.free, current, question.permitted_ping_s))


def _of_hubs(evidence: Evidence, question: Question) -> Found:
    """Search settings of the hub alone, on the trace as it is."""
    longest = question.goal.max_detection_s
    hubs = candidates(evidence.hub, question.free, [evidence.usual_gap_s], longest, evidence.duration_s)
    if Knob.DETECTOR in question.free:
        raise AnalysisError(
            f"--free: detector: {evidence.source} is a log, which is judged block by block by fixed timeouts only; "
            f"leave it out"
        )
    node = None if evidence.scenario is None else knobs.current_of(evidence.scenario)
    space = Space.of({node: judge_evidence(evidence, hubs, question.per)}, Limits(question.goal))
    row = space.chosen()
    if row is None:
        raise AnalysisError(f"{evidence.source}: there is no setting to choose from")
    known = evidence.scenario is not None or evidence.current_s is not None
    return _with_flaps(_found(question, space, row, (), known), evidence)


def _found(question: Question, space: Space, row: int, shares: tuple[Share, ...], known: bool = True) -> Found:
    recommended, thrifty = space.option(row), space.thrifty()
    others = space.rows.valid & (space.rows.index != row)
    if len(space.nodes) > 1:
        others &= space.rows.node != space.rows.node.iloc[row]
    second, half, alone = (
        space.chosen(among=others),
        space.chosen("half_missed"),
        space.chosen(among=space.rows.node == 0),
    )
    return Found(
        question=question,
        space=space,
        current=space.option(0) if known else None,
        recommended=recommended,
        threshold_alone=None if alone is None else space.option(alone),
        next_best=None if second is None else space.option(second),
        thrifty=None if thrifty is None else space.option(thrifty),
        shares=shares,
        flaps=None,
        held_out=recommended if half is None else space.option(half),
        possible=1,
    )


def _with_flaps(found: Found, evidence: Evidence) -> Found:
    if Knob.FLAPS not in found.question.free:
        return found
    choice = choose_flaps(evidence, found.recommended)
    return replace(found, flaps=choice, recommended=replace(found.recommended, hub=choice.hub))
