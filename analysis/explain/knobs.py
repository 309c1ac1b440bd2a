"""What other settings would have mended: the same fleet on the same network, simulated again with one of them changed.

Draws are counted, so outages, losses and jitter stay what they were, and each false stale can be looked up again: it is
mended if no false stale of its node overlaps its gap any more. Others may be new; so each knob comes with the total.

    stale_after           1.5 and 2 times the present one; judged on the recorded gaps, nothing is simulated
    heartbeat_interval    half: TCP gets a packet to send, and a deadline to meet, twice as often
    user_timeout          a third of stale_after: TCP gives a connection up early enough to make another in time
    reconnect.max         the same: a node tries again early enough
    persistent_keepalive  25 s, for a tunnel without one; WireGuard's documentation suggests it (wg(8))
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from heartbench.analysis.evidence import Evidence, settings_at
from heartbench.analysis.explain.flashes import Flash, Flashes, Mend
from heartbench.analysis.explain.marks import Mark, marks_of
from heartbench.analysis.explain.rerun import has, only
from heartbench.analysis.gaps import Gaps
from heartbench.analysis.simulated import simulate_gaps
from heartbench.hub import FixedTimeout
from heartbench.simulator.engines.turns import crew_size
from heartbench.simulator.fleet import Squad, squads
from heartbench.simulator.node import Behaviour
from heartbench.simulator.scenario import Scenario
from heartbench.simulator.tunnel_state import NO_TUNNEL

MOST_HEARTBEATS = 20_000_000
"""A larger fleet is not simulated again: it would take longer than a few seconds a knob."""
LONGER = (1.5, 2.0)
SOON = 1 / 3
"""Share of `stale_after` after which a timer has to act, so that there is time for a new connection."""
PERSISTENT_KEEPALIVE_S = 25.0


@dataclass(frozen=True, slots=True)
class Knob:
    """A setting that was tried.

    Attributes:
        name: its key in the scenario, or `stale_after`.
        value_s: its value, s; the shortest, if groups differ.
        false_stale: false stales with it, of the whole fleet.
        mended: which of the present ones are gone, by their place in the list.
        how: as in `Mend`.
    """

    name: str
    value_s: float
    false_stale: int
    mended: tuple[int, ...]
    how: str


@dataclass(frozen=True, slots=True)
class Tried:
    """The knobs that were tried, best first, and why the others were not; empty: all were."""

    knobs: tuple[Knob, ...]
    not_tried: str = ""

    def helps_most(self, now: int) -> Knob | None:
        """Return the setting of the nodes that leaves the fewest false stales; None if none leaves fewer than now."""
        best = next((knob for knob in self.knobs if knob.how == "simulation"), None)
        return best if best is not None and best.false_stale < now else None


def try_knobs(evidence: Evidence, gaps: Gaps, found: Flashes, node: int | None = None) -> Tried:
    """Return what each knob makes of the false stales of the fleet, or of one node; `gaps` are those of either."""
    knobs = list(_thresholds(evidence, gaps, found.each))
    reason = why_not(evidence, node)
    if evidence.scenario is not None and not reason:
        for name, value_s, fleet in _changes(evidence.scenario, evidence.hub.stale_after_s, node):
            changed, _ = simulate_gaps(evidence.scenario, fleet, policies=(evidence.hub.policy,))
            marks = marks_of(changed, evidence.hub, evidence.duration_s)
            knobs.append(_knob(name, value_s, marks, found.each, "simulation"))
    return Tried(tuple(sorted(knobs, key=lambda knob: knob.false_stale)), reason)


def why_not(evidence: Evidence, node: int | None = None) -> str:
    """Return why a fleet, or one node of it, cannot be simulated again; empty if it can."""
    scenario, origin = evidence.scenario, evidence.provenance
    if scenario is None or origin is None:
        return "a log says nothing about the nodes' settings"
    if evidence.duration_s < scenario.duration_s:
        return "the run was interrupted"
    if origin.engine != "virtual":
        return f"the run is of the engine {origin.engine}, which cannot be repeated"
    if node is not None:
        squad = next(each for each in squads(scenario) if has(each, node))
        return "the node shares a queue with others" if crew_size(squad) else ""
    heartbeats = sum(group.nodes * evidence.duration_s / group.heartbeat_interval_s for group in scenario.group)
    if heartbeats > MOST_HEARTBEATS:
        return f"{heartbeats:,.0f} heartbeats are too many to simulate again; at most {MOST_HEARTBEATS:,}"
    return ""


def with_mends(found: Flashes, tried: Tried) -> Flashes:
    """Return the false stales with the knobs that mend them, those that help the fleet most first."""
    mends: list[list[Mend]] = [[] for _ in found.each]
    for knob in tried.knobs:
        for place in knob.mended if knob.how == "simulation" else ():
            mends[place].append(Mend(knob.name, knob.value_s, knob.how))
    each = zip(found.each, mends, strict=True)
    return replace(found, each=tuple(replace(flash, mended_by=(*flash.mended_by, *own)) for flash, own in each))


def _thresholds(evidence: Evidence, gaps: Gaps, flashes: Sequence[Flash]) -> Iterator[Knob]:
    hub = evidence.hub
    if hub.policy.name != FixedTimeout.name:
        return
    for factor in LONGER:
        longer = settings_at(factor * hub.stale_after_s, hub)
        marks = marks_of(gaps, longer, evidence.duration_s)
        yield _knob("stale_after", longer.stale_after_s, marks, flashes, "gap")


def _knob(name: str, value_s: float, marks: Sequence[Mark], flashes: Sequence[Flash], how: str) -> Knob:
    """Return a knob under which a fleet has these marks."""
    left: dict[int, list[Mark]] = {}
    for mark in marks:
        if mark.false:
            left.setdefault(mark.node, []).append(mark)
    mended = [place for place, flash in enumerate(flashes) if not _is_left(flash.mark, left.get(flash.mark.node, []))]
    return Knob(name, value_s, sum(map(len, left.values())), tuple(mended), how)


def _is_left(mark: Mark, others: Sequence[Mark]) -> bool:
    return any(other.from_s < mark.until_s and other.until_s > mark.from_s for other in others)


Change = Callable[[Squad, float], tuple[Squad, float] | None]


def _changes(scenario: Scenario, stale_after_s: float, node: int | None) -> Iterator[tuple[str, float, list[Squad]]]:
    """Yield name, shortest value and fleet of each knob that changes something."""
    fleet = [each for each in squads(scenario) if node is None or has(each, node)]
    fleet = fleet if node is None else [only(fleet[0], node)]
    for name, change in CHANGES.items():
        changed = [(squad, change(squad, stale_after_s)) for squad in fleet]
        values = [each[1] for _, each in changed if each is not None]
        if values:
            yield name, min(values), [squad if each is None else each[0] for squad, each in changed]


def _behaving(squad: Squad, set_values: Callable[[Behaviour], None]) -> Squad:
    behaviour = squad.behaviour.copy().view(np.recarray)
    set_values(behaviour[0])
    return replace(squad, behaviour=behaviour)


def _half_interval(squad: Squad, _: float) -> tuple[Squad, float] | None:
    half_s = float(squad.behaviour["heartbeat_interval_s"][0]) / 2

    def set_values(behaviour: Behaviour) -> None:
        behaviour.heartbeat_interval_s = half_s

    return _behaving(squad, set_values), half_s


def _user_timeout(squad: Squad, stale_after_s: float) -> tuple[Squad, float] | None:
    now_s, value_s = float(squad.behaviour["rules"]["user_timeout_s"][0]), SOON * stale_after_s
    if 0.0 < now_s <= value_s:
        return None

    def set_values(behaviour: Behaviour) -> None:
        behaviour.rules.user_timeout_s = value_s

    return _behaving(squad, set_values), value_s


def _reconnect(squad: Squad, stale_after_s: float) -> tuple[Squad, float] | None:
    value_s = SOON * stale_after_s
    if squad.behaviour["backoff_max_s"][0] <= value_s:
        return None

    def set_values(behaviour: Behaviour) -> None:
        behaviour.backoff_max_s = value_s
        behaviour.backoff_initial_s = min(behaviour.backoff_initial_s, value_s)

    return _behaving(squad, set_values), value_s


def _persistent_keepalive(squad: Squad, _: float) -> tuple[Squad, float] | None:
    tunnel = squad.link["tunnel"][0]
    if tunnel["kind"] == NO_TUNNEL or tunnel["persistent_keepalive_s"] > 0.0:
        return None
    link = squad.link.copy()
    link["tunnel"]["persistent_keepalive_s"] = PERSISTENT_KEEPALIVE_S
    return replace(squad, link=link), PERSISTENT_KEEPALIVE_S


CHANGES: dict[str, Change] = {
    "heartbeat_interval": _half_interval,
    "user_timeout": _user_timeout,
    "reconnect.max": _reconnect,
    "persistent_keepalive": _persistent_keepalive,
}
