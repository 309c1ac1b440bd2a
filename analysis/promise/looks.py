"""One look at a log: its judgement, if the log leaves open where the hub was while all nodes were silent at once.

Both readings are judged (`readings`): the nodes were silent, or the hub was down. An interval reaches from the lower
end of the one to the upper end of the other, and a change counts only if both show it. So an alarm is one by either.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from heartbench.analysis.evidence import Evidence
from heartbench.analysis.promise.counts import counts_of
from heartbench.analysis.promise.judgement import Judgement, Promise, judged, verdict_of
from heartbench.analysis.promise.shifts import Reference
from heartbench.analysis.readings import Reading, SilentAtEnd
from heartbench.analysis.tune import Per


def look_at(
    evidence: Evidence, path: Path, recent_s: float, goal: float, per: Per = Per.GROUP, stated: Reference | None = None
) -> Judgement:
    """Judge a log by all that it leaves open; arguments as of `counts_of` and `judged`.

    Nodes that are silent at the end are dead, unless `evidence` takes them as alive.
    """
    found = [judged(counts_of(evidence, path, recent_s, each), goal, per, stated) for each in readings_of(evidence)]
    return agreed(found, goal)


def readings_of(evidence: Evidence) -> list[Reading]:
    """Return the readings to judge; the step of the log's times is counted both ways in each."""
    silent = evidence.readings[0].silent or SilentAtEnd.DEAD
    return [Reading(silent, all_silent=each) for each in dict.fromkeys(each.all_silent for each in evidence.readings)]


def agreed(found: Sequence[Judgement], goal: float) -> Judgement:
    """Return what all readings of a log find; counts are those of the first."""
    first, *others = found
    if not others:
        return first
    promises = tuple(
        widened([own for each in found for own in each.promises if own.group == promise.group], goal)
        for promise in first.promises
    )
    shown = [{(each.kind, each.ratio, each.of_the_fleet) for each in other.shifts} for other in others]
    shifts = tuple(s for s in first.shifts if all((s.kind, s.ratio, s.of_the_fleet) in other for other in shown))
    disputed = any(len(each.shifts) > len(shifts) for each in found)
    return replace(first, promises=promises, shifts=shifts, disputed=disputed)


def widened(readings: Sequence[Promise], goal: float) -> Promise:
    """Return the promise of a group with an interval that contains those of all readings."""
    low, high = min(each.interval[0] for each in readings), max(each.interval[1] for each in readings)
    return replace(readings[0], interval=(low, high), verdict=verdict_of(low, high, goal))
