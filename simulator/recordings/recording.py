"""What a probe saw of a network: when each probe left, and when its answer came back.

A recording has stretches. Within one, probes leave at a steady pace, and a probe without an answer was lost. Between
two stretches nothing was sent, so nothing is known: that time is no outage and counts for no hours.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from heartbench.simulator.errors import SimulatorError

Seconds = NDArray[np.float64]
SHORTEST_S = 1e-6
"""Shortest interval: answers that come together may leave several probes one time."""

FEWEST_FOR_INTERVAL = 10
"""Probes of which the time between two of them is known well enough to be compared."""
MOST_OVERLAP_S = 60.0
"""Where a log was cut in two, the second part may begin with answers that the network held."""
MOST_APART = 1.5
"""Intervals may differ by this factor: a prober is not exact, and an adaptive one waits for answers."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Probes of one network, in the order in which they were sent."""

    source: str
    """File names, for messages and plots."""
    sent_s: Seconds
    """When each probe left, in s since the first; it never falls within a stretch."""
    rtt_s: Seconds
    """Round-trip times in s; NaN: no answer."""
    up_s: Seconds | None
    """One-way delays in s where the log has them; NaN: lost on this way, or not known."""
    down_s: Seconds | None
    stretch: NDArray[np.int32]
    """Number of the stretch: a file, or a part of it between two pauses of the prober."""
    interval_s: float
    """Usual time between two probes, in s."""
    began_unix_s: float | None = None
    """When the first probe left, in s since 1970; None if the log does not say."""
    assumptions: tuple[str, ...] = ()
    """What the reader assumed because the log does not say it, a sentence each."""

    @property
    def probes(self) -> int:
        """Number of probes sent."""
        return len(self.sent_s)

    @property
    def lost(self) -> int:
        """Number of probes without an answer."""
        return int(np.isnan(self.rtt_s).sum())

    @property
    def stretch_starts(self) -> NDArray[np.int64]:
        """Index of the first probe of each stretch."""
        return np.flatnonzero(np.diff(self.stretch, prepend=self.stretch[:1] - 1))

    @property
    def observed_s(self) -> float:
        """Time observed, in s: of each stretch from its first probe to one interval after its last."""
        starts = self.stretch_starts
        ends = np.append(starts[1:], self.probes) - 1
        return float((self.sent_s[ends] - self.sent_s[starts] + self.interval_s).sum())

    @property
    def hours(self) -> float:
        """Time observed, in hours."""
        return self.observed_s / 3600


def usual_interval(sent_s: Seconds, stretch: NDArray[np.int32]) -> float:
    """Return the median time between two probes of one stretch, in s; 1 s if no stretch has two."""
    between = np.diff(sent_s)
    between = between[stretch[1:] == stretch[:-1]]
    return max(float(np.median(between, overwrite_input=True)), SHORTEST_S) if len(between) else 1.0


def join(recordings: Sequence[Recording]) -> Recording:
    """Return several recordings of one network as one, each with stretches of its own.

    Recordings that all say when they began are put in that order and keep their distances. Without dates, or where two
    overlap a little, each begins one interval after the one before it. Raise if they were probed at different
    intervals: from how long on an outage is seen, and told from a burst, depends on the interval.
    """
    if len(recordings) == 1:
        return recordings[0]
    check_intervals(recordings)
    began = [each.began_unix_s for each in recordings]
    if None not in began:
        recordings = sorted(recordings, key=lambda each: each.began_unix_s or 0.0)
    placed: list[Recording] = []
    end_s, stretches = 0.0, 0
    for each in recordings:
        start_s = end_s
        if None not in began and placed:
            start_s = max(end_s, (each.began_unix_s or 0.0) - (recordings[0].began_unix_s or 0.0))
        sent_s = each.sent_s + start_s
        placed.append(replace(each, sent_s=sent_s, stretch=each.stretch - each.stretch[0] + np.int32(stretches)))
        end_s = float(sent_s[-1]) + each.interval_s
        stretches = int(placed[-1].stretch[-1]) + 1
    sent_s, stretch = (
        np.concatenate([each.sent_s for each in placed]),
        np.concatenate([each.stretch for each in placed]),
    )
    return Recording(
        source=", ".join(dict.fromkeys(each.source for each in placed)),
        sent_s=sent_s,
        rtt_s=np.concatenate([each.rtt_s for each in placed]),
        up_s=one_way([each.up_s for each in placed], placed),
        down_s=one_way([each.down_s for each in placed], placed),
        stretch=stretch,
        interval_s=usual_interval(sent_s, stretch),
        began_unix_s=placed[0].began_unix_s,
        assumptions=tuple(dict.fromkeys(text for each in placed for text in each.assumptions)),
    )


def check_overlaps(recordings: Sequence[Recording]) -> None:
    """Raise if two recordings saw the same time, as far as they say when they began."""
    dated = [(each.began_unix_s, each) for each in recordings if each.began_unix_s is not None]
    dated.sort(key=lambda pair: pair[0])
    before_s, before = -np.inf, ""
    for began_s, each in dated:
        ended_s, source = began_s + float(each.sent_s[-1]), each.source
        overlap_s = min(before_s, ended_s) - began_s
        if overlap_s > MOST_OVERLAP_S:
            raise SimulatorError(
                f"{before} and {source} overlap by {overlap_s:.0f} s; two links at once are not one network, and one "
                "link counts once: name one of them (if a clock was set back, take the times out of one)"
            )
        before_s, before = max((before_s, before), (ended_s, source))


def check_intervals(recordings: Sequence[Recording]) -> None:
    """Raise if two recordings were probed at clearly different intervals."""
    known = [each for each in recordings if each.probes >= FEWEST_FOR_INTERVAL]
    if not known:
        return
    quick, slow = (choose(known, key=lambda each: each.interval_s) for choose in (min, max))
    if slow.interval_s > MOST_APART * quick.interval_s:
        probed = (
            f"{quick.source} was probed every {quick.interval_s:.3g} s, {slow.source} every {slow.interval_s:.3g} s"
        )
        raise SimulatorError(
            f"{probed}; a recording has one interval: name the logs of one, and cut a log that has both"
        )


def one_way(delays: Sequence[Seconds | None], recordings: Sequence[Recording]) -> Seconds | None:
    """Return the one-way delays of joined recordings; None unless all have them."""
    known = [delay for delay in delays if delay is not None]
    return np.concatenate(known) if len(known) == len(recordings) else None
