"""The two-window detector: expect the next heartbeat from a long and a short window, and add a constant margin.

2W-FD of Tomsic, Sens, Garcia, Arantes and Sopena, "2W-FD: A failure detector algorithm with QoS" (IPDPS 2015). It is
Chen's detector with the later of two expected arrivals: the long window gives a steady estimate, the short one follows
a sudden change. With EA over the short and the long window (`expected_arrival.py`) and the margin α, the deadline τ is

    τ_{l+1} = max(EA_short_{l+1}, EA_long_{l+1}) + α

So at the same margin it marks no node stale that Chen's detector with either window would not mark.
`heartbench.analysis.policies.two_window` computes the same over arrays.
"""

from dataclasses import dataclass
from typing import ClassVar

from heartbench.hub.liveness.adaptive import Adaptive, Margin, WindowSize
from heartbench.hub.liveness.chen import ChenDetector


@dataclass(frozen=True, slots=True)
class TwoWindow(Adaptive):
    """Parameters of the two-window detector."""

    name: ClassVar[str] = "two-window"

    margin_s: Margin
    """α; higher values give fewer false stales and a longer detection time."""
    short: WindowSize = 1
    """Heartbeats in the short window."""
    long: WindowSize = 1000
    """Heartbeats in the long window; 8 bytes each and per node."""

    def detector(self, interval_s: float) -> "TwoWindowDetector":
        """Return a detector of one node."""
        return TwoWindowDetector(self, self.margin_s, interval_s, self.short, self.long)

    def usual_silence_s(self, interval_s: float) -> float:
        """Return the silence allowed when every message takes equally long, s."""
        return self.bounded(self.interval_of(interval_s) + self.margin_s)


class TwoWindowDetector(ChenDetector):
    """The two-window detector of one node: Chen's with both windows."""

    name: ClassVar[str] = TwoWindow.name

    __slots__ = ()
