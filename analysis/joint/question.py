"""What a search of settings is asked for."""

from dataclasses import dataclass

from heartbench.analysis.joint.knobs import Knob
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
