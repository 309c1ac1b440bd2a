"""Faults of a scenario: what goes wrong with nodes, links and the hub, and when.

Which nodes a fault hits is decided by the engines (`simulator.fleet`).
"""

import enum
from typing import Annotated, Self

from pydantic import Field, model_validator

from heartbench.simulator.tomlfile import Duration, PositiveDuration, Table


class FaultKind(enum.StrEnum):
    """What a fault does to nodes or their links."""

    CRASH = "crash"
    EXIT = "exit"
    RESTART = "restart"
    PARTITION = "partition"


class HubFaultKind(enum.StrEnum):
    """What a fault does to the hub."""

    PAUSE = "pause"
    KILL = "kill"
    STOP = "stop"
    SLOW_STORE = "slow_store"


class Fault(Table):
    """A fault that hits some nodes of a group.

    crash: power loss, silence without FIN. exit: the process dies and the kernel closes the connection. restart: exit,
    then a new start. partition: the link passes nothing. A node that crashed or exited is back after `for`; without
    it, never. If several faults keep a node down, it is back when the last of them ends; a node that was to start in
    the meantime starts then.
    """

    kind: FaultKind = Field(description="what goes wrong")
    group: str = Field(description="name of the group")
    at_s: Duration = Field(description="when, since the start of the run")
    duration_s: Duration = Field(0.0, alias="for", description="how long; 0: to the end of the run")
    fraction: Annotated[float, Field(gt=0, le=1)] | None = Field(None, description="share of the group; default: all")
    nodes: Annotated[int, Field(ge=1)] | None = Field(None, description="number of nodes, instead of a share")

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        if self.fraction is not None and self.nodes is not None:
            raise ValueError("fraction and nodes exclude each other; set only one of them")
        return self

    def count(self, group_nodes: int) -> int:
        """Return how many nodes of a group of `group_nodes` the fault hits."""
        if self.nodes is not None:
            return min(self.nodes, group_nodes)
        return round((1.0 if self.fraction is None else self.fraction) * group_nodes)


class HubFault(Table):
    """A fault of the hub: real in the live engine, seen only by the nodes in the virtual one.

    pause: the hub is stopped like a suspended machine (SIGSTOP) and resumes. kill: SIGKILL, then a new start. stop:
    SIGTERM, then a new start. slow_store: its store accepts no writes, which nodes do not notice.
    """

    kind: HubFaultKind = Field(description="what goes wrong")
    at_s: Duration = Field(description="when, since the start of the run")
    duration_s: PositiveDuration = Field(alias="for", description="how long")
