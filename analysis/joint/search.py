"""The search for the best setting of hub and nodes together.

Settings of the hub are judged on the gaps of one simulation, all of them. Those of the nodes are simulated, on common
random numbers. `knobs.BLOCKS` is the plan: all values of keepalive and user timeout together; then reconnect, then the
interval, each from the best setting so far, and from the start again until nothing changes, MOST_ROUNDS times at most.
So with keepalive and user timeout alone the search is exhaustive; with more it is coordinate descent, and may miss a
better setting.

Adaptive detectors are judged last, on the best setting of the nodes, because each of them takes a pass over all gaps;
and flap rules after them (`flap_choice`), because they change neither false stales nor detection times nor bytes.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from heartbench.analysis.errors import AnalysisError
from heartbench.analysis.evidence import Evidence
from heartbench.analysis.explain.knobs import MOST_HEARTBEATS
from heartbench.analysis.joint import knobs
from heartbench.analysis.joint.choice import TRAFFIC_FACTOR, Limits, Option, Space
from heartbench.analysis.joint.contributions import Share, option_of, shares_of
from heartbench.analysis.joint.flap_choice import FlapChoice, choose_flaps
from heartbench.analysis.joint.hub_candidates import candidates, detectors
from heartbench.analysis.joint.judged import Job, Judged, judge_evidence, judge_job
from heartbench.analysis.joint.knobs import BLOCKS, Knob, NodeSetting
from heartbench.analysis.joint.question import Question
from heartbench.analysis.simulated import simulate_gaps
from heartbench.analysis.study import check_duration, shared_outages
from heartbench.analysis.sweep.cell import check_made_by
from heartbench.analysis.traffic import is_counted
from heartbench.hub import HubSettings
from heartbench.simulator.scenario import Scenario

MOST_ROUNDS = 3
DIED = "a worker died during a simulation, for want of memory perhaps, or the cluster went away; nothing was written"

Advance = Callable[[int, int], None]
"""Called with the number of settings judged since the last call, and of those that were added to the plan."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found.

    Attributes:
        space: all settings that were judged.
        current: the setting as it is.
        recommended: the setting to use, or the closest.
        threshold_alone: the best with the nodes as they are.
        next_best: the best with another setting of the nodes, or of the hub if no other was searched.
        thrifty: the setting within the limits with the fewest bytes; None if none is within them.
        shares: what each knob contributes alone.
        flaps: the choice of the flap rule; None if it was not free.
        held_out: what half of the nodes and of the time would have chosen; None if there are no two halves.
        possible: number of settings of the nodes that there are; those of `space` were searched.
        longest_interval_s: the longest heartbeat interval of a group as it is.
        stuck: the free knobs of which no other value fits, with the reason.
        coincidence: the finding that nodes seem to share outages, if there is one.
    """

    question: Question
    space: Space
    current: Option
    recommended: Option
    threshold_alone: Option | None
    next_best: Option | None
    thrifty: Option | None
    shares: tuple[Share, ...]
    flaps: FlapChoice | None
    held_out: Option | None
    possible: int
    longest_interval_s: float
    stuck: Mapping[Knob, str]
    coincidence: str | None = None

    @property
    def met(self) -> bool:
        """Whether the recommended setting is within the limits."""
        return self.recommended.met


class Judge:
    """Judges settings of the nodes, each once."""

    def __init__(self, scenario: Scenario, question: Question, executor: Executor, advance: Advance) -> None:
        self.scenario, self.question = scenario, question
        self._executor, self._advance = executor, advance
        self.found: dict[NodeSetting, Judged] = {}

    def judge(self, settings: Iterable[NodeSetting], hubs: tuple[HubSettings, ...]) -> dict[NodeSetting, Judged]:
        """Return what settings do under these hubs, in the order of the settings."""
        wanted = dict.fromkeys(settings)
        self._advance(0, len(wanted))
        running: dict[Future[Judged], NodeSetting] = {}
        done: dict[NodeSetting, Judged] = {}
        with _deaths_in_one_line():
            try:
                running |= {self._executor.submit(judge_job, self._job(each, hubs)): each for each in wanted}
                for future in as_completed(running):
                    done[running[future]] = future.result()
                    check_made_by(future.result().made_by)
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
        return Job(knobs.applied(self.scenario, setting), hubs, self.question.per)


@contextmanager
def _deaths_in_one_line() -> Iterator[None]:
    """Raise AnalysisError if a worker dies, or the cluster goes away."""
    try:
        yield
    except (BrokenExecutor, CancelledError) as error:
        raise AnalysisError(DIED) from error
    except Exception as error:
        if type(error).__name__ != "KilledWorker":  # of Dask, which need not be installed
            raise
        raise AnalysisError(DIED) from error


def search(
    evidence: Evidence, question: Question, executor: Executor | None, advance: Advance = lambda _, __: None
) -> Found:
    """Search the settings that are free, and return what to set.

    Args:
        evidence: the evidence of a run.
        question: what to search for.
        executor: simulates and judges settings; None if the question does not need it (`Question.simulates`).
        advance: see `Advance`.

    Raises:
        AnalysisError: the evidence is not a run, or too short, or too large to simulate; or the traffic is limited and
            cannot be counted.
    """
    if evidence.scenario is None:
        raise not_a_run(evidence.source)
    check_duration(evidence)
    _check_traffic(evidence.scenario, question)
    if executor is None:
        return _of_hubs(evidence, evidence.scenario, question)
    scenario = evidence.scenario
    _check_size(scenario)
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
    found = _conclude(judge, current, hubs, max_bytes)
    if Knob.FLAPS not in question.free:
        return found
    gaps, _ = simulate_gaps(knobs.applied(scenario, found.recommended.node))
    return _with_flaps(
        found,
        choose_flaps(found.recommended.hub, gaps, scenario.duration_s),
        lambda node, its_hubs: judge.judge([node], its_hubs)[node],
    )


def not_a_run(source: Path) -> AnalysisError:
    """Return the error of a log or an imported trace."""
    return AnalysisError(
        f"--free: {source} is a log, which says nothing of the nodes' settings and cannot be simulated; expected a "
        "run, or leave it out to tune the threshold alone"
    )


def _check_traffic(scenario: Scenario, question: Question) -> None:
    if question.max_bytes_per_node_day is None or (question.simulates and is_counted(scenario)):
        return
    reason = "nodes share a queue" if question.simulates else "no setting that is free changes it"
    raise AnalysisError(f"--max-traffic: the traffic is not counted here, because {reason}; leave it out")


def _check_size(scenario: Scenario) -> None:
    heartbeats = sum(group.nodes * scenario.duration_s / group.heartbeat_interval_s for group in scenario.group)
    if heartbeats > MOST_HEARTBEATS:
        raise AnalysisError(
            f"--free: {heartbeats:,.0f} heartbeats are too many to simulate again and again; expected a run with at "
            f"most {MOST_HEARTBEATS:,}"
        )


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
                best = space.nodes[space.rows.node.iloc[row]]
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
    shares = tuple(shares_of(judge.judge, space, current, space.option(row), hubs, question))
    return _found(judge.scenario, question, space, row, shares)


def _of_hubs(evidence: Evidence, scenario: Scenario, question: Question) -> Found:
    """Search settings of the hub alone, on the gaps of the run as it was."""
    longest = question.goal.max_detection_s
    hubs = candidates(evidence.hub, question.free, [evidence.usual_gap_s], longest, evidence.duration_s)
    node = knobs.current_of(scenario)
    space = Space.of({node: judge_evidence(evidence, hubs, question.per)}, Limits(question.goal))
    row = space.chosen()
    if row is None:
        raise AnalysisError(f"{evidence.source}: there is no setting to choose from")
    found = replace(_found(scenario, question, space, row, ()), coincidence=shared_outages(evidence))
    if Knob.FLAPS not in question.free:
        return found
    choice = choose_flaps(found.recommended.hub, evidence.gaps, evidence.duration_s)
    return _with_flaps(found, choice, lambda _, its_hubs: judge_evidence(evidence, its_hubs, question.per))


def _found(scenario: Scenario, question: Question, space: Space, row: int, shares: tuple[Share, ...]) -> Found:
    thrifty, current = space.thrifty(), space.nodes[0]
    others = space.rows.valid & (space.rows.index != row)
    if len(space.nodes) > 1:
        others &= space.rows.node != space.rows.node.iloc[row]
    second, alone = space.chosen(among=others), space.chosen(among=space.rows.node == 0)
    half = space.option(space.chosen("half_missed") or 0)
    return Found(
        question=question,
        space=space,
        current=space.option(0),
        recommended=space.option(row),
        threshold_alone=None if alone is None else space.option(alone),
        next_best=None if second is None else space.option(second),
        thrifty=None if thrifty is None else space.option(thrifty),
        shares=shares,
        flaps=None,
        held_out=half if np.isfinite([*half.halves.values()]).all() else None,
        possible=len(knobs.all_settings(question.free, current, question.permitted_ping_s)),
        longest_interval_s=max(group.heartbeat_interval_s for group in scenario.group),
        stuck=knobs.stuck(question.free, current, question.permitted_ping_s),
    )


def _with_flaps(
    found: Found, choice: FlapChoice, judge: Callable[[NodeSetting, tuple[HubSettings, ...]], Judged]
) -> Found:
    """Return what was found with a flap rule, and with the figures that the recommended setting has under it.

    It is judged among the same hubs as before, on whose longest threshold the network's interval depends a little.
    """
    recommended, space = found.recommended, found.space
    if choice.hub == recommended.hub:
        return replace(found, flaps=choice)
    hubs = (*space.judged[space.nodes.index(recommended.node)].hubs, choice.hub)
    judged = replace(judge(recommended.node, hubs), traffic=recommended.traffic)
    option = option_of(Space.of({recommended.node: judged}, space.limits), recommended.node, choice.hub)
    return replace(found, flaps=choice, recommended=option)
