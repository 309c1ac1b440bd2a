"""How nodes are judged, as data: from it the hub makes a detector per node, and the analysis deadlines over arrays."""

from dataclasses import dataclass

from heartbench.hub.liveness.detector import Detector, DetectorParameters
from heartbench.hub.liveness.rules import FlapRule


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """A detector's parameters, such as `FixedTimeout(30.0)`, and the rule for flapping."""

    parameters: DetectorParameters
    flap_rule: FlapRule

    @property
    def name(self) -> str:
        """The detector's name."""
        return self.parameters.name

    def detector(self, interval_s: float = 0.0) -> Detector:
        """Return a detector for one node that announces `interval_s` between its heartbeats, s; 0: not announced."""
        return self.parameters.detector(interval_s)
