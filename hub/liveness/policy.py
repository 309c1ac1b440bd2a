"""How nodes are judged, as data: from it the hub makes a detector per node, and the analysis deadlines over arrays."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from heartbench.hub.liveness.detector import Detector, DetectorParameters
from heartbench.hub.liveness.flap_rules import FlapRule
from heartbench.hub.liveness.hold_down import OFF, HoldDown

NO_LABELS: Mapping[str, str] = {}


class LabelDetector(NamedTuple):
    """The detector of nodes that announce a label with this value."""

    key: str
    value: str
    parameters: DetectorParameters


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """A detector's parameters, such as `FixedTimeout(30.0)`, the rule for flapping, and a hold-down."""

    parameters: DetectorParameters
    flap_rule: FlapRule
    by_label: tuple[LabelDetector, ...] = ()
    """Detectors of some nodes: the first whose label fits goes before `parameters`."""
    hold_down: HoldDown = OFF

    @property
    def name(self) -> str:
        """The detector's name."""
        return self.parameters.name

    def parameters_of(self, labels: Mapping[str, str]) -> DetectorParameters:
        """Return the parameters of the detector for a node with these labels."""
        for key, value, parameters in self.by_label:
            if labels.get(key) == value:
                return parameters
        return self.parameters

    def detector(self, interval_s: float = 0.0, labels: Mapping[str, str] = NO_LABELS) -> Detector:
        """Return a detector for one node that announces `interval_s` between its heartbeats, s; 0: not announced."""
        return self.parameters_of(labels).detector(interval_s)

    def successor(self, known: Detector, heard_s: float, interval_s: float, labels: Mapping[str, str]) -> Detector:
        """Return a detector for a node that `known` judged until now; one of the same kind keeps what it has learned.

        `heard_s` is the node's last sign of life.
        """
        detector = self.detector(interval_s, labels)
        if detector.name == known.name:
            detector.restore(known.state(heard_s), heard_s)
        return detector
