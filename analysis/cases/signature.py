"""The signature of a trace: a few figures of its gaps, whatever the number of nodes and their heartbeat interval.

Lengths are in usual gaps (`usual_gap_s`); a gap is *long* from LONG usual gaps on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import isnan, log2, log10

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.cases.measures import ratio, usual_gap_s
from heartbench.analysis.gaps import Gaps
from heartbench.mesh.kinds import Kind

Floats = NDArray[np.float64]

LONG = 1.8
BUNCHED = 0.2
"""A message comes in a bunch if it follows within this share of a usual gap."""
SAME_MOMENT = 0.05
"""Gaps end at the same moment if not more than this share of a usual gap is between their ends."""
LEAST_SPREAD, LEAST_SILENCE = 1e-6, 1e-4
"""Smaller ones are not told apart."""


@dataclass(frozen=True, slots=True)
class Signature:
    """How the gaps of a trace look; a figure is NaN if it is not known.

    Attributes:
        spread: width of the middle 80% of the gaps that are neither long nor bunched, in usual gaps.
        silence: share of the time that lies in long gaps.
        length: median length of the long gaps, in usual gaps; 1 if there are none.
        together: share of the long gaps in the middle of which at least half of all nodes have one.
        at_once: share of the other nodes that end a long gap at the same moment, mean over the long gaps.
        bunched: share of the gaps after which a message comes in a bunch.
        returns: share of the long gaps that end with a new connection.
        connections: new connections per usual gap.
        tick: how much all nodes send on one tick: 1 if at the same moment, about 0 if each at its own.
        threshold: the usual gap, in thresholds of the hub; NaN if the threshold is not known.
        longest: the longest gap that ended, in usual gaps; it is not compared.
    """

    spread: float
    silence: float
    length: float
    together: float
    at_once: float
    bunched: float
    returns: float
    connections: float
    tick: float
    threshold: float
    longest: float

    def nothing_to_explain(self) -> str | None:
        """Return in a sentence that no gap that ended made a false stale; None if one did, or may have.

        Without a known threshold, one may have if it is long. Some cases are of other trouble than false stales, so it
        does not say that nothing happened.
        """
        alike = "What follows compares ordinary gaps."
        if self.longest * self.threshold <= 1:
            return f"No gap that ended exceeds the threshold: there is no false stale to explain. {alike}"
        if isnan(self.threshold) and self.longest < LONG:
            return (
                f"No gap that ended is as long as {LONG:g} usual gaps: unless the threshold, which --now states, is "
                f"shorter, there is no false stale to explain. {alike}"
            )
        return None


@dataclass(frozen=True, slots=True)
class Aspect:
    """How a figure is compared: on `scale`, on which a difference of `one` is as much as 1, and named for people."""

    one: float
    scale: Callable[[float], float]
    text: str


def _same(value: float) -> float:
    return value


ASPECTS = {
    "spread": Aspect(0.8, lambda share: log10(max(share, LEAST_SPREAD)), "usual gaps vary by {:.2g} of themselves"),
    "silence": Aspect(0.8, lambda share: log10(max(share, LEAST_SILENCE)), "{:.2g} of the time is in long gaps"),
    "length": Aspect(0.8, log2, "long gaps last {:.2g} usual gaps"),
    "together": Aspect(0.3, _same, "{:.0%} of the long gaps hit half of the nodes at once"),
    "at_once": Aspect(0.4, _same, "{:.0%} of the other nodes end a long gap at the same moment"),
    "bunched": Aspect(0.1, _same, "{:.0%} of the messages come in bunches"),
    "returns": Aspect(0.4, _same, "{:.0%} of the long gaps end with a new connection"),
    "connections": Aspect(0.3, _same, "{:.2g} new connections per usual gap"),
    "tick": Aspect(0.5, _same, "nodes send on one tick to {:.0%}"),
    "threshold": Aspect(1.2, log2, "the usual gap is {:.2g} thresholds"),
}
"""How each figure of a signature is compared."""


def signature_of(gaps: Gaps, stale_after_s: float | None) -> Signature:
    """Return the signature of gaps that keep their signs of life; `stale_after_s` is None if it is not known.

    NaN throughout if no gap ended.
    """
    usual_s = usual_gap_s(gaps)
    ended = gaps.heard & ~gaps.away
    length = gaps.length_s / usual_s
    long = ended & (length >= LONG)
    ordinary = length[ended & (length < LONG) & (length > BUNCHED)]
    low, high = np.quantile(ordinary, [0.1, 0.9]) if len(ordinary) else (np.nan, np.nan)
    kind = gaps.arrivals().kind
    hello = np.append(kind[1:] == Kind.HELLO, False)[: len(kind)] & ended
    told = bool(np.any(kind == Kind.HELLO))
    return Signature(
        spread=float(high - low),
        silence=ratio(length[long].sum(), length[ended].sum()),
        length=float(np.median(length[long])) if long.any() else 1.0,
        together=together(gaps, long),
        at_once=at_once(gaps, long, SAME_MOMENT * usual_s),
        bunched=ratio((length[ended] < BUNCHED).sum(), ended.sum()),
        returns=ratio(hello[long].sum(), max(long.sum(), 1)) if told else np.nan,
        connections=ratio(hello.sum(), length[ended].sum()) if told else np.nan,
        tick=tick(gaps, usual_s),
        threshold=np.nan if stale_after_s is None else usual_s / stale_after_s,
        longest=float(length[ended].max(initial=-np.inf)) if ended.any() else np.nan,
    )


def together(gaps: Gaps, long: NDArray[np.bool_]) -> float:
    """Return the share of the long gaps in the middle of which at least half of all nodes have one; 0 without any."""
    from_s, to_s = np.sort(gaps.start_s[long]), np.sort((gaps.start_s + gaps.length_s)[long])
    middle_s = (gaps.start_s + gaps.length_s / 2)[long]
    at_once = np.searchsorted(from_s, middle_s, side="right") - np.searchsorted(to_s, middle_s, side="right")
    return ratio((at_once >= max(len(gaps.node) / 2, 2)).sum(), max(len(middle_s), 1))


def at_once(gaps: Gaps, long: NDArray[np.bool_], within_s: float) -> float:
    """Return the mean share of the other nodes that end a long gap within `within_s` of one's end; 0 without any."""
    ends_s = np.sort((gaps.start_s + gaps.length_s)[long])
    near = np.searchsorted(ends_s, ends_s + within_s, side="right") - np.searchsorted(ends_s, ends_s - within_s)
    return min(ratio((near - 1).sum(), max(len(ends_s), 1) * max(len(gaps.node) - 1, 1)), 1.0)


def tick(gaps: Gaps, usual_s: float) -> float:
    """Return how alike the phases of two nodes are within a usual gap, as the mean cosine between them; at least 0.

    Nodes are compared in turns of one usual gap, by the first message of each, because their clocks drift apart; a pair
    counts as often as it meets. NaN for a single node.
    """
    node = np.repeat(np.arange(len(gaps.node)), np.diff(gaps.first))
    turn = np.floor(gaps.start_s / usual_s).astype(np.int64)
    first = np.flatnonzero(np.append(True, (np.diff(node) != 0) | (np.diff(turn) != 0))[: len(turn)])
    _, place = np.unique(turn[first], return_inverse=True)
    angle = 2 * np.pi * gaps.start_s[first] / usual_s
    count = np.bincount(place)
    length = np.hypot(np.bincount(place, np.cos(angle)), np.bincount(place, np.sin(angle)))
    return max(ratio((length**2 - count).sum(), (count**2 - count).sum()), 0.0)
