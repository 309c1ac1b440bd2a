"""Bertier's detector: Chen's expected arrival, and a margin that follows how late heartbeats come.

From Bertier, Marin and Sens, "Implementation and performance evaluation of an adaptable failure detector" (DSN 2002).
The margin α is adapted as Jacobson adapts TCP's retransmission timeout ("Congestion avoidance and control", SIGCOMM
1988). With A_k the arrival of heartbeat k, EA_k its expected arrival (`expected_arrival.py`), and d and v the running
estimates of delay and variation,

    error = A_k − EA_k − d
    d    ← d + γ · error
    v    ← v + γ · (|error| − v)
    τ_{k+1} = EA_{k+1} + β · d + φ · v

γ weighs the new error, β the delay, φ the variation. The defaults are Jacobson's weights of delay and variation (1 and
4), and γ = 0.1. Not in the source: the margin is never below `min_margin_s`, because it begins with nothing and almost
vanishes while heartbeats come on time. The estimates outlive a stream and a restart of the hub, the window of expected
arrivals does not: so the first heartbeat of a stream adapts nothing.

`heartbench.analysis.policies.bertier` computes the same over arrays.
"""

from dataclasses import dataclass
from math import isfinite
from typing import ClassVar

from heartbench.hub.liveness.adaptive import Adaptive, Factor, Margin, Share, WindowSize
from heartbench.hub.liveness.expected_arrival import ExpectedArrival
from heartbench.mesh.kinds import Kind


@dataclass(frozen=True, slots=True)
class Bertier(Adaptive):
    """Parameters of Bertier's detector."""

    name: ClassVar[str] = "bertier"

    beta: Factor = 1.0
    """β, the weight of the delay in the margin."""
    phi: Factor = 4.0
    """φ, the weight of the variation in the margin; higher values give fewer false stales."""
    gamma: Share = 0.1
    """γ, the weight of the newest error in delay and variation."""
    min_margin_s: Margin = 0.1
    """Smallest margin."""
    window: WindowSize = 1000
    """n, the number of heartbeats remembered for the expected arrival; 8 bytes each and per node."""

    def detector(self, interval_s: float) -> "BertierDetector":
        """Return a detector of one node."""
        return BertierDetector(self, interval_s)

    def usual_silence_s(self, interval_s: float) -> float:
        """Return the silence allowed when every message takes equally long, s."""
        return self.bounded(self.interval_of(interval_s) + self.min_margin_s)


class BertierDetector:
    """Bertier's detector of one node."""

    name: ClassVar[str] = Bertier.name

    __slots__ = ("_delay_s", "_expected", "_parameters", "_variation_s")

    def __init__(self, parameters: Bertier, interval_s: float) -> None:
        self._parameters = parameters
        self._expected = ExpectedArrival(parameters.interval_of(interval_s), parameters.window)
        self._delay_s = self._variation_s = 0.0

    def observe(self, at: float, seq: int, kind: Kind) -> float:
        """Return the deadline of the next sign of life, s."""
        late_s = self._expected.observe(at, seq, kind)
        if late_s is not None:
            gamma, error_s = self._parameters.gamma, late_s - self._delay_s
            self._delay_s += gamma * error_s
            self._variation_s += gamma * (abs(error_s) - self._variation_s)
        return self.deadline_after_restart(at)

    def deadline_after_restart(self, heard_s: float) -> float:
        """Return the deadline after a sign of life that changed nothing."""
        set_by = self._parameters
        margin_s = set_by.beta * self._delay_s + set_by.phi * self._variation_s
        return set_by.deadline(heard_s, self._expected.next_s(heard_s) + max(margin_s, set_by.min_margin_s))

    def state(self, heard_s: float) -> tuple[float, ...]:
        """Return the estimates of delay and variation, s."""
        return self._delay_s, self._variation_s

    def restore(self, state: tuple[float, ...], heard_s: float) -> None:
        """Continue from these estimates."""
        if len(state) == 2 and all(isfinite(each) for each in state):
            self._delay_s, self._variation_s = state
