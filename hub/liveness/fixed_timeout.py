"""The simplest detector: a node is stale after a fixed silence, `deadline = arrival + stale_after_s`."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Self

from pydantic import Field

from heartbench.mesh.kinds import Kind


@dataclass(frozen=True, slots=True)
class FixedTimeout:
    """Stale after a fixed silence. It has no state, so it is its own detector and one object serves all nodes."""

    name: ClassVar[str] = "fixed"

    stale_after_s: Annotated[float, Field(ge=0.1, le=86_400)]

    def detector(self, interval_s: float) -> Self:
        """Return itself, for every node."""
        return self

    def usual_silence_s(self, interval_s: float) -> float:
        """Return the timeout, s."""
        return self.stale_after_s

    def observe(self, at: float, seq: int, kind: Kind) -> float:
        """Return the deadline, `stale_after_s` after the arrival."""
        return at + self.stale_after_s

    def deadline_after_restart(self, heard_s: float) -> float:
        """Return the deadline, `stale_after_s` after the last sign of life."""
        return heard_s + self.stale_after_s

    def state(self, heard_s: float) -> tuple[float, ...]:
        """Return nothing: there is no state."""
        return ()

    def restore(self, state: tuple[float, ...], heard_s: float) -> None:
        """Do nothing: there is no state."""
