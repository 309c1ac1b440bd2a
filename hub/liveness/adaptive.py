"""What the parameters of all detectors that learn from arrivals have in common: an interval to begin with, and bounds.

The bounds are ours: no source has them. Without an upper one, a node whose numbers or intervals make no sense could
set itself a deadline that never comes.
"""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

Threshold = Annotated[float, Field(ge=0.1, le=300)]
Margin = Annotated[float, Field(ge=0, le=86_400)]
Silence = Annotated[float, Field(ge=0.01, le=86_400)]
Share = Annotated[float, Field(gt=0, le=1)]
Factor = Annotated[float, Field(ge=0, le=1000)]
WindowSize = Annotated[int, Field(ge=1, le=10_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptive:
    """Parameters that every learning detector has, s."""

    interval_s: Silence = 10.0
    """Heartbeat interval of nodes that announce none."""
    shortest_s: Silence = 0.1
    """Shortest silence that is allowed after a sign of life."""
    longest_s: Silence = 86_400.0
    """Longest silence that is allowed after a sign of life."""

    def interval_of(self, announced_s: float) -> float:
        """Return the heartbeat interval of a node that announces this one, s; 0: none."""
        return announced_s or self.interval_s

    def bounded(self, silence_s: float) -> float:
        """Return a silence within the bounds, s."""
        return min(max(silence_s, self.shortest_s), self.longest_s)

    def deadline(self, at: float, deadline_s: float) -> float:
        """Return the deadline after a sign of life at `at`, s: `deadline_s` unless a bound is in its way."""
        return min(max(deadline_s, at + self.shortest_s), at + self.longest_s)
