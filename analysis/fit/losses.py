"""The likelihood of lost probes: loss bursts and outages together, because a short run of losses may be either.

Bursts are Gilbert–Elliott in continuous time, alike in each of the `ways` that a probe takes. The hidden state is the
number of ways that are bad. From one probe to the next it changes by T, and a probe is lost with a probability q of the
state. Outages of at least x s come at a rate Λ(x) per second: constant below the first knot, log-linear between the
knots, with a generalised Pareto tail beyond the last. An outage of unknown phase takes n or more probes, which are Δ
apart, at the rate

    R(n) = mean of Λ over [(n − 1) Δ, n Δ]

so between two probes an outage of exactly n begins with probability h(n) = Δ (R(n) − R(n+1)). A recording is an
alternation of answered and lost probes. The likelihood multiplies the distribution of the state by (T (1 − q))^k for k
answered ones and, for n lost ones, by the sum over all ways to make n of burst losses T q and outages h T^i.

The cost grows with the runs of losses, not with the probes.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from heartbench.analysis.fit.events import Runs
from heartbench.analysis.fit.forward import MIXED, STATES, hits, walk, weigh
from heartbench.simulator.recordings import Recording
from heartbench.simulator.tail import Tail

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_RUNS = 5_000
"""More runs than these do not sharpen the figures of bursts enough to wait for them."""


@dataclass(frozen=True)
class Alternation:
    """Answered and lost probes in turn: before each run of `lost[i]`, `answered[i]` probes had an answer.

    `fresh[i]`: what was before is not known (a stretch begins, or probes were held). A last run may be of 0 lost.
    """

    fresh: NDArray[np.bool_]
    answered: Ints
    lost: Ints

    @cached_property
    def lengths(self) -> tuple[Ints, Ints]:
        """The numbers of lost probes that occur, sorted, and the place of each run's among them."""
        return np.unique(self.lost, return_inverse=True)

    @cached_property
    def bits(self) -> int:
        """Binary digits of the largest number of answered probes between two runs."""
        return max(int(self.answered.max(initial=1)).bit_length(), 1)

    @property
    def probes(self) -> int:
        """Number of probes."""
        return int(self.answered.sum() + self.lost.sum())


def alternation(recording: Recording, runs: Runs) -> Alternation:
    """Return the alternation of a recording; held runs are left out."""
    starts = recording.stretch_starts
    # A mark at the beginning of each stretch, at its end, and after each held run starts afresh.
    stretch_ends = np.append(starts[1:], recording.probes)
    at = np.concatenate([runs.first, stretch_ends])
    lost = np.concatenate([np.where(runs.held, 0, runs.count), np.zeros_like(stretch_ends)])
    taken = np.concatenate([runs.count, np.zeros_like(stretch_ends)])
    is_end = np.concatenate([np.zeros(len(runs), bool), np.ones(len(stretch_ends), bool)])
    broken = np.concatenate([runs.held, np.ones(len(stretch_ends), bool)])
    order = np.lexsort((is_end, at))
    at, lost, taken, broken = at[order], lost[order], taken[order], broken[order]
    before = np.concatenate([[0], (at + taken)[:-1]])
    fresh = np.concatenate([[True], broken[:-1]])
    return Alternation(fresh, at - before, lost)


def thinned(whole: Alternation, most: int = MOST_RUNS) -> Alternation:
    """Return the alternation, or pieces of it, spread evenly, with about `most` runs."""
    count, pieces = len(whole.lost), 50
    if count <= most:
        return whole
    begins = np.linspace(0, count - most // pieces, pieces).astype(int)
    index = (begins[:, None] + np.arange(most // pieces)).ravel()
    fresh, lost = whole.fresh[index], whole.lost[index]
    fresh[:: most // pieces] = True
    # What ends the last run of a piece is not in it, which would speak for bursts.
    lost[most // pieces - 1 :: most // pieces] = 0
    return Alternation(fresh, whole.answered[index], lost)


@dataclass(frozen=True, slots=True)
class Losses:
    """Figures of the losses of a network.

    Attributes:
        good_s: mean length of a good period, s; inf: there are no bad ones.
        bad_s: mean length of a bad period, s.
        bad: probability of losing a packet in a bad period, on each way.
        good: the same in a good period.
        knots_s: lengths of the knots of Λ, s.
        per_hour: Λ at the knots, 1/h.
        tail: the outages beyond the last knot.
    """

    good_s: float
    bad_s: float
    bad: float
    good: float
    knots_s: Floats
    per_hour: Floats
    tail: Tail

    @property
    def falling_per_hour(self) -> Floats:
        """Λ at the knots, 1/h: at least that of the next."""
        return np.asarray(np.maximum.accumulate(self.per_hour[::-1])[::-1])

    def chain(self, step_s: float, ways: int) -> tuple[Floats, Floats, Floats]:
        """Return the stationary distribution of the state, its change T from probe to probe, and q."""
        start, change, q = np.zeros(STATES), np.zeros((STATES, STATES)), np.zeros(STATES)
        is_bursty = np.isfinite(self.good_s)
        bad = self.bad_s / (self.good_s + self.bad_s) if is_bursty else 0.0
        decay = np.exp(-step_s * (1 / self.good_s + 1 / self.bad_s)) if is_bursty else 0.0
        turn, rest = bad * (1 - decay), bad + (1 - bad) * decay
        stay, back = 1 - turn, 1 - rest
        if ways == 1:
            start[:2] = 1 - bad, bad
            change[:2, :2] = (stay, turn), (back, rest)
            q[:2] = self.good, self.bad
            return start, change, q
        start[:] = (1 - bad) ** 2, 2 * bad * (1 - bad), bad**2
        change[0] = stay * stay, 2 * stay * turn, turn * turn
        change[1] = stay * back, stay * rest + turn * back, turn * rest
        change[2] = back * back, 2 * back * rest, rest * rest
        passes, passes_bad = 1 - self.good, 1 - self.bad
        q[:] = 1 - passes * passes, 1 - passes * passes_bad, 1 - passes_bad * passes_bad
        return start, change, q


def log_likelihood(losses: Losses, seen: Alternation, step_s: float, ways: int, up_share: float) -> float:
    """Return the log likelihood of an alternation of probes `step_s` apart.

    Args:
        losses: the figures.
        seen: what happened to the probes.
        step_s: time between two probes, s.
        ways: 2 for round trips, 1 for one way.
        up_share: share of the time that is in no outage.
    """
    start, change, q = losses.chain(step_s, ways)
    lengths, index = seen.lengths
    hit = np.zeros((1 + len(lengths), MIXED + 1))
    log_rates = np.log(np.maximum(losses.falling_per_hour / 3600 / up_share, 1e-300))
    tail = losses.tail
    begins = hits(lengths, step_s, losses.knots_s, log_rates, tail.shape, tail.scale_s, hit)
    passes = max(1 - begins, 1e-9)
    runs = np.zeros((MIXED + 1 + len(lengths), STATES, STATES))
    weigh(change, change * q * passes, hit, lengths, np.zeros((MIXED + 1, STATES, STATES)), runs)
    passed = np.zeros((seen.bits, STATES, STATES))
    passed[0] = change * (1 - q) * passes
    return float(walk(start, passed, runs[MIXED + 1 :], seen.fresh, seen.answered, index))
