"""Phi accrual detectors: a node is stale once its silence is too improbable, given the gaps between its heartbeats.

From Hayashibara, Défago, Yared and Katayama, "The φ accrual failure detector" (SRDS 2004). With t the silence, and
P_later(t) the probability that the next heartbeat comes after more than that, judged by the last n gaps,

    φ(t) = −log10 P_later(t)

and a node is stale once φ reaches the threshold Φ. Solved for t, that is a deadline. Two distributions are in use:

    phi              normal (the source, and Akka)   t = μ + pause + σ · z
    phi-exponential  exponential (Cassandra)         φ(t) = t / (μ · ln 10),  so t = Φ · μ · ln 10

μ and σ are mean and standard deviation of the gaps; a standard normal variable exceeds z with probability 10^−Φ.
What the implementations add, and we too:

- Akka: σ is at least `min_deviation_s`; `pause_s` is added to μ; a new node begins with two gaps, at 3/4 and 5/4 of its
  interval; **a gap after which φ had reached the threshold does not count**, because it would spoil the statistics.
- Cassandra: a new node begins with one gap of two intervals, and **a longer one does not count**.

Akka approximates the normal distribution by a logistic one; here it is exact. A gap is the time between two heartbeats,
of one stream or of two. Other messages are signs of life, from which the silence counts, and end no gap. The gaps are
stored for a restart of the hub.

`heartbench.analysis.policies.phi` computes the same over arrays.
"""

from dataclasses import dataclass
from functools import cache
from math import isfinite, log
from statistics import NormalDist
from typing import ClassVar

from heartbench.hub.liveness.adaptive import Adaptive, Margin, Silence, Threshold, WindowSize
from heartbench.hub.liveness.window import Window
from heartbench.mesh.kinds import Kind


@cache
def normal_quantile(phi: float) -> float:
    """Return what a standard normal variable exceeds with probability 10^−φ."""
    return -NormalDist().inv_cdf(10**-phi)


@dataclass(frozen=True, slots=True)
class Phi(Adaptive):
    """Parameters of phi accrual with a normal distribution."""

    name: ClassVar[str] = "phi"
    first_gaps: ClassVar[tuple[float, ...]] = (0.75, 1.25)
    """Gaps that a node begins with, in intervals: Akka's PhiAccrualFailureDetector."""

    threshold: Threshold = 8.0
    """Φ; 1 more is ten times less probable, if gaps are normally distributed."""
    window: WindowSize = 200
    """Gaps remembered; 8 bytes each and per node."""
    min_deviation_s: Silence = 0.1
    """Smallest standard deviation."""
    pause_s: Margin = 0.0
    """Silence that is allowed beyond the mean, whatever the deviation."""

    def detector(self, interval_s: float) -> "PhiDetector":
        """Return a detector of one node."""
        return PhiDetector(self, self.interval_of(interval_s))

    def usual_silence_s(self, interval_s: float) -> float:
        """Return the silence allowed to a node whose gaps are all equal, s."""
        return self.silence_s(self.interval_of(interval_s), 0.0)

    @property
    def z(self) -> float:
        """What a standard normal variable exceeds with probability 10^−Φ."""
        return normal_quantile(self.threshold)

    def silence_s(self, mean_s: float, deviation_s: float) -> float:
        """Return the silence after which φ reaches the threshold, s."""
        return self.bounded(mean_s + self.pause_s + max(deviation_s, self.min_deviation_s) * self.z)

    def counts(self, gap_s: float, silence_s: float, interval_s: float) -> bool:
        """Return whether a gap belongs to the statistics by which `silence_s` was allowed."""
        return gap_s <= silence_s


@dataclass(frozen=True, slots=True)
class PhiExponential(Adaptive):
    """Parameters of phi accrual with an exponential distribution."""

    name: ClassVar[str] = "phi-exponential"
    longest_gap: ClassVar[float] = 2.0
    """Longest gap that counts, in intervals: Cassandra's ArrivalWindow."""
    first_gaps: ClassVar[tuple[float, ...]] = (longest_gap,)
    """Gap that a node begins with, in intervals."""

    threshold: Threshold = 8.0
    """Φ; the silence allowed is 2.3 Φ mean gaps."""
    window: WindowSize = 1000
    """Gaps remembered; 8 bytes each and per node."""

    def detector(self, interval_s: float) -> "PhiExponentialDetector":
        """Return a detector of one node."""
        return PhiExponentialDetector(self, self.interval_of(interval_s))

    def usual_silence_s(self, interval_s: float) -> float:
        """Return the silence allowed to a node whose gaps are all equal, s."""
        return self.silence_s(self.interval_of(interval_s), 0.0)

    def silence_s(self, mean_s: float, deviation_s: float) -> float:
        """Return the silence after which φ reaches the threshold, s."""
        return self.bounded(self.threshold * mean_s * log(10))

    def counts(self, gap_s: float, silence_s: float, interval_s: float) -> bool:
        """Return whether a gap belongs to the statistics of a node with this heartbeat interval, s."""
        return gap_s <= self.longest_gap * interval_s


class PhiDetector:
    """Phi accrual of one node."""

    name: ClassVar[str] = Phi.name

    __slots__ = ("_gaps_s", "_heartbeat_s", "_interval_s", "_parameters", "_silence_s")

    def __init__(self, parameters: Phi | PhiExponential, interval_s: float) -> None:
        self._parameters = parameters
        self._interval_s = interval_s
        self._gaps_s = Window(parameters.window, (gap * interval_s for gap in parameters.first_gaps))
        self._heartbeat_s: float | None = None  # arrival of the last one
        self._judge()

    def observe(self, at: float, seq: int, kind: Kind) -> float:
        """Return the deadline of the next sign of life, s."""
        if kind is Kind.HEARTBEAT:
            if self._heartbeat_s is not None:
                gap_s = at - self._heartbeat_s
                if self._parameters.counts(gap_s, self._silence_s, self._interval_s):
                    self._gaps_s.add(gap_s)
                    self._judge()
            self._heartbeat_s = at
        return at + self._silence_s

    def deadline_after_restart(self, heard_s: float) -> float:
        """Return the deadline after a sign of life that ended no gap."""
        return heard_s + self._silence_s

    def state(self, heard_s: float) -> tuple[float, ...]:
        """Return when the last heartbeat came, relative to the last sign of life (s; 1: never), and the gaps."""
        heartbeat_s = 1.0 if self._heartbeat_s is None else min(self._heartbeat_s - heard_s, 0.0)
        return heartbeat_s, *self._gaps_s.in_order()

    def restore(self, state: tuple[float, ...], heard_s: float) -> None:
        """Continue from these gaps."""
        if not state or not isfinite(state[0]):
            return
        self._heartbeat_s = heard_s + state[0] if state[0] <= 0 else None
        self._gaps_s.restore(state[1:])
        self._judge()

    def _judge(self) -> None:
        self._silence_s = self._parameters.silence_s(self._gaps_s.mean, self._gaps_s.deviation)


class PhiExponentialDetector(PhiDetector):
    """The same, judged by an exponential distribution."""

    name: ClassVar[str] = PhiExponential.name

    __slots__ = ()
