"""The stale marks of a trace one by one, as a hub makes them, and the changes of status that each shows.

`judge` counts. Here it is asked again for each candidate, over the node's gaps up to that one, and the difference to
the candidate before belongs to this one. So the marks add up to its counts, whatever the rules of flapping.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.absences import AbsenceRules, allowed_s
from heartbench.analysis.gaps import Gaps, Signs
from heartbench.analysis.policies.array_forms import Silence, allowed_silence
from heartbench.analysis.qos import judge
from heartbench.hub import HubSettings

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Mark:
    """One stale mark, or with `stale` False the leaving of a node that said Goodbye.

    Attributes:
        node: its number.
        from_s: last sign of life before, s since the start of the run, as all times here.
        at_s: when the hub marks it.
        until_s: next sign of life, or the end of the run.
        heard: whether a sign of life ended it.
        false: whether the node was up at `at_s`.
        shown: how many status changes of it a dashboard showed: the mark, the return, both, or none.
        flaps: changes between online and stale.
        hub_away_s: time within the gap in which the hub was away, s.
    """

    node: int
    from_s: float
    at_s: float
    until_s: float
    heard: bool
    stale: bool
    false: bool
    shown: int
    flaps: int
    hub_away_s: float = 0.0

    @property
    def silence_s(self) -> float:
        """Time in the gap in which the hub was there to hear the node, s."""
        return self.gap_s - self.hub_away_s

    @property
    def gap_s(self) -> float:
        """Length of the gap, s; at least that if the run ended in it."""
        return self.until_s - self.from_s


def marks_of(gaps: Gaps, hub: HubSettings, duration_s: float) -> list[Mark]:
    """Return what a hub says of the nodes beside "online", by node and time."""
    silence = allowed_silence(hub.policy, gaps.arrivals)
    found: list[Mark] = []
    for place, (begin, end) in enumerate(zip(gaps.first[:-1], gaps.first[1:], strict=True)):
        own_silence = silence[begin:end] if isinstance(silence, np.ndarray) else silence
        found += _marks_of_node(_of_place(gaps, place, begin, end), own_silence, hub, duration_s)
    return found


def _marks_of_node(gaps: Gaps, silence: Silence, hub: HubSettings, duration_s: float) -> Iterator[Mark]:
    """Yield the marks of one node; `gaps` are all of it, `silence` what the policy allows after each."""
    before = (0, 0, 0)
    for gap in _candidates(gaps, silence):
        counts = _counts(_up_to(gaps, gap + 1), hub, duration_s)
        false, flaps, shown = (now - then for now, then in zip(counts, before, strict=True))
        before = counts
        if false or flaps or shown:
            start, end = float(gaps.start_s[gap]), float(gaps.start_s[gap] + gaps.length_s[gap])
            stale = not gaps.away[gap]
            allowed = float(silence[gap]) if isinstance(silence, np.ndarray) else silence
            at = start + _allowed_s(gaps, allowed, start, end, hub) if stale else start
            away_s = float(np.diff(gaps.absences.before(np.array([start, end])))[0])
            heard = bool(gaps.heard[gap])
            yield Mark(int(gaps.node[0]), start, at, end, heard, stale, bool(false), shown, flaps, away_s)


def _allowed_s(gaps: Gaps, silence_s: float, start_s: float, end_s: float, hub: HubSettings) -> float:
    """Return the silence after which the hub marks a node stale, with the deadlines that it has moved, s."""
    first = int(np.searchsorted(gaps.absences.to_s, start_s, "right"))
    return float(allowed_s(silence_s, start_s, end_s, gaps.absences, AbsenceRules.of(hub), first))


def _counts(gaps: Gaps, hub: HubSettings, duration_s: float) -> tuple[int, int, int]:
    """Return false stales, flaps and flashes."""
    qos = judge(gaps, [hub.policy], duration_s, rules=AbsenceRules.of(hub))
    return int(qos.mistakes.sum()), int(qos.flaps[0]), int(qos.flashes[0])


def _of_place(gaps: Gaps, place: int, begin: int, end: int) -> Gaps:
    """Return the gaps of one node as views of those of all; unlike `Gaps.of` it does not look at the others."""
    own = slice(place, place + 1)
    signs = gaps.signs and Signs(gaps.signs.seq[begin:end], gaps.signs.kind[begin:end], gaps.signs.interval_s[own])
    first = np.array([0, end - begin])
    return replace(
        gaps, node=gaps.node[own], transit_s=gaps.transit_s[own], first=first, signs=signs, **_sliced(gaps, begin, end)
    )


def _up_to(gaps: Gaps, count: int) -> Gaps:
    """Return the first gaps of one node. The next one stays, without any length: it says how the last one ended."""
    kept = min(count + 1, len(gaps))
    signs = gaps.signs and Signs(gaps.signs.seq[:kept], gaps.signs.kind[:kept], gaps.signs.interval_s)
    cut = replace(gaps, first=np.array([0, kept]), signs=signs, **_sliced(gaps, 0, kept))
    if kept > count:
        heard, length_s, up_s = cut.heard.copy(), cut.length_s.copy(), cut.up_s.copy()
        heard[-1], length_s[-1], up_s[-1] = False, 0.0, 0.0
        cut = replace(cut, heard=heard, length_s=length_s, up_s=up_s)
    return cut


def _sliced(gaps: Gaps, begin: int, end: int) -> dict[str, Any]:
    """Return the columns that have an entry a gap, from one to another."""
    others = ("node", "first", "transit_s", "absences", "signs")
    return {field.name: getattr(gaps, field.name)[begin:end] for field in fields(Gaps) if field.name not in others}


def _candidates(gaps: Gaps, silence: Silence) -> NDArray[np.int64]:
    """Return which gaps can make a change of status: long ones, those of a node that left, those without the hub."""
    may = (gaps.length_s > silence) | gaps.away
    for from_s, to_s in zip(gaps.absences.from_s, gaps.absences.to_s, strict=True):
        may |= (gaps.start_s < to_s) & (gaps.start_s + gaps.length_s > from_s)
    return np.flatnonzero(may)
