"""The stale marks of a trace one by one, as the hub of the evidence makes them, and the changes that each shows.

`watch` counts. Here it is asked again for each candidate, over the node's gaps up to that one, and the difference to
the candidate before belongs to this one. So the marks add up to the counts of `judge`, whatever the rules of flapping.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from math import inf

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.absences import AbsenceRules, allowed_s
from heartbench.analysis.evidence import Evidence
from heartbench.analysis.gaps import Gaps
from heartbench.analysis.policies.array_forms import Silence, allowed_silence
from heartbench.analysis.watch import Found, Silences, watch, watchers
from heartbench.hub import PolicySpec

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

    @property
    def gap_s(self) -> float:
        """Length of the gap, s; at least that if the run ended in it."""
        return self.until_s - self.from_s


@dataclass(frozen=True, slots=True)
class _Hub:
    """What judges: the evidence's policy, and how it moves deadlines."""

    policy: PolicySpec
    rules: AbsenceRules

    def marks(self, gaps: Gaps, silence: Silence) -> Iterator[Mark]:
        """Yield what the hub says of one node; `gaps` are all of it, `silence` what the policy allows after each."""
        before = (0, 0, 0)
        for gap in _candidates(gaps, silence):
            counts = self._counts(gaps, silence, gap + 1)
            false, flaps, shown = (now - then for now, then in zip(counts, before, strict=True))
            before = counts
            if false or flaps or shown:
                yield self._mark(gaps, silence, gap, (false, flaps, shown))

    def _mark(self, gaps: Gaps, silence: Silence, gap: int, counts: tuple[int, int, int]) -> Mark:
        start, end = float(gaps.start_s[gap]), float(gaps.start_s[gap] + gaps.length_s[gap])
        false, flaps, shown = counts
        stale, at = not gaps.away[gap], start
        if stale:
            absences = gaps.absences
            first = int(np.searchsorted(absences.to_s, start, "right"))
            allowed = float(silence[gap]) if isinstance(silence, np.ndarray) else silence
            at = start + float(allowed_s(allowed, start, end, absences, self.rules, first))
        return Mark(int(gaps.node[0]), start, at, end, bool(gaps.heard[gap]), stale, bool(false), shown, flaps)

    def _counts(self, gaps: Gaps, silence: Silence, until: int) -> tuple[int, int, int]:
        """Return false stales, flaps and flashes in the first `until` gaps."""
        hubs, recent, varying_s = watchers([silence], [self.policy.flap_rule])
        found = Found(np.zeros((1, 1)), np.zeros((1, 1, 1), np.int32), np.zeros(1))
        columns = gaps.start_s, gaps.length_s, gaps.up_s, gaps.heard, gaps.away
        silent = Silences(np.array([0, until]), *columns, np.zeros(1, np.int64))
        watch(silent, gaps.absences, self.rules, inf, hubs, recent, varying_s, found)
        return int(found.mistakes.sum()), int(hubs.flaps[0]), int(hubs.flashes[0])


def marks_of(evidence: Evidence) -> list[Mark]:
    """Return what the hub of the evidence says of its nodes beside "online", by node and time."""
    gaps, policy = evidence.gaps, evidence.hub.policy
    hub, silence = _Hub(policy, AbsenceRules.of(evidence.hub)), allowed_silence(policy, gaps.arrivals)
    found: list[Mark] = []
    for place, (begin, end) in enumerate(zip(gaps.first[:-1], gaps.first[1:], strict=True)):
        own_silence = silence[begin:end] if isinstance(silence, np.ndarray) else silence
        found += hub.marks(_of_place(gaps, place, begin, end), own_silence)
    return found


def _of_place(gaps: Gaps, place: int, begin: int, end: int) -> Gaps:
    """Return the gaps of one node as views of those of all; unlike `Gaps.of` it does not look at the others."""
    each = {field.name: getattr(gaps, field.name)[begin:end] for field in fields(Gaps) if field.name in _OF_GAPS}
    own = slice(place, place + 1)
    return replace(
        gaps, node=gaps.node[own], transit_s=gaps.transit_s[own], first=np.array([0, end - begin]), signs=None, **each
    )


_OF_GAPS = ("start_s", "length_s", "up_s", "heard", "away")


def _candidates(gaps: Gaps, silence: Silence) -> NDArray[np.int64]:
    """Return which gaps can make a change of status: long ones, those of a node that left, those without the hub."""
    may = (gaps.length_s > silence) | gaps.away
    for from_s, to_s in zip(gaps.absences.from_s, gaps.absences.to_s, strict=True):
        may |= (gaps.start_s < to_s) & (gaps.start_s + gaps.length_s > from_s)
    return np.flatnonzero(may)
