"""What a search of settings is asked for."""

from dataclasses import dataclass

from heartbench.analysis.joint.knobs import FIELDS, Knob
from heartbench.analysis.tune import Goal, Per


@dataclass(frozen=True, slots=True)
class Question:
    """What to search for.

    Attributes:
        free: the knobs to turn.
        max_bytes_per_node_day: limit of the traffic; None: `choice.TRAFFIC_FACTOR` times the current.
        permitted_ping_s: shortest time between two pings that the hub permits, s; 0: any.
    """

    free: frozenset[Knob]
    goal: Goal
    per: Per = Per.GROUP
    max_bytes_per_node_day: float | None = None
    permitted_ping_s: float = 0.0

    @property
    def of_nodes(self) -> bool:
        """Whether a setting of the nodes is free."""
        return not self.free.isdisjoint(FIELDS)

    @property
    def simulates(self) -> bool:
        """Whether the scenario is simulated: for settings of the nodes, and detectors; a run's gaps suit timeouts."""
        return self.of_nodes or Knob.DETECTOR in self.free
