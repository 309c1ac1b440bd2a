"""Chen's detector: expect the next heartbeat from the arrivals of the last ones, and add a constant margin.

Algorithm NFD-E of Chen, Toueg and Aguilera, "On the quality of service of failure detectors" (IEEE Transactions on
Computers 51(5), May 2002). With the expected arrival EA (`expected_arrival.py`) and the margin α, the deadline τ is

    τ_{l+1} = EA_{l+1} + α

`heartbench.analysis.policies.chen` computes the same over arrays.
"""

from dataclasses import dataclass
from typing import ClassVar

from heartbench.hub.liveness.adaptive import Adaptive, Margin, WindowSize
from heartbench.hub.liveness.expected_arrival import ExpectedArrival
from heartbench.mesh.kinds import Kind


@dataclass(frozen=True, slots=True)
class Chen(Adaptive):
    """Parameters of Chen's detector."""

    name: ClassVar[str] = "chen"

    margin_s: Margin
    """α; higher values give fewer false stales and a longer detection time."""
    window: WindowSize = 32
    """n, the number of heartbeats remembered."""

    def detector(self, interval_s: float) -> "ChenDetector":
        """Return a detector of one node."""
        return ChenDetector(self, self.margin_s, interval_s, self.window)

    def usual_silence_s(self, interval_s: float) -> float:
        """Return the silence allowed when every message takes equally long, s."""
        return self.bounded(self.interval_of(interval_s) + self.margin_s)


class ChenDetector:
    """Chen's detector of one node; with several windows, the one that expects the next heartbeat last decides."""

    name: ClassVar[str] = Chen.name

    __slots__ = ("_expected", "_margin_s", "_parameters")

    def __init__(self, parameters: Adaptive, margin_s: float, interval_s: float, *windows: int) -> None:
        self._parameters, self._margin_s = parameters, margin_s
        self._expected = ExpectedArrival(parameters.interval_of(interval_s), *windows)

    def observe(self, at: float, seq: int, kind: Kind) -> float:
        """Return the deadline of the next sign of life, s."""
        self._expected.observe(at, seq, kind)
        return self._parameters.deadline(at, self._expected.next_s(at) + self._margin_s)

    def deadline_after_restart(self, heard_s: float) -> float:
        """Return the deadline while the windows are empty."""
        return self._parameters.deadline(heard_s, self._expected.next_s(heard_s) + self._margin_s)

    def state(self, heard_s: float) -> tuple[float, ...]:
        """Return nothing: a restart of the hub ends the stream, and a Hello empties the windows."""
        return ()

    def restore(self, state: tuple[float, ...], heard_s: float) -> None:
        """Do nothing: there is no state to continue from."""
