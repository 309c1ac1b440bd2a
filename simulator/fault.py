"""Faults of a scenario: what goes wrong with nodes, links and the hub, and when.

Which nodes a fault hits is decided by the engines (`simulator.fleet`).
"""

import enum
from typing import Annotated, Self

from pydantic import Field, model_validator

from heartbench.simulator.tomlfile import Duration, PositiveDuration, PositiveInterval, Table


class FaultKind(enum.StrEnum):
    """What a fault does to nodes, their links or their connections."""

    CRASH = "crash"
    EXIT = "exit"
    RESTART = "restart"
    PARTITION = "partition"
    HOLD = "hold"
    FLAP = "flap"
    RESET = "reset"
    HALF_OPEN = "half_open"
    REBIND = "rebind"


CUTS = (FaultKind.PARTITION, FaultKind.HOLD, FaultKind.FLAP)
"""Faults that cut the link of a node; the others that are no death of the node hit its connection."""
OF_THE_NODE = (FaultKind.CRASH, FaultKind.EXIT, FaultKind.RESTART)


RESTART_S = 1.0
"""How long a restart takes that does not state it."""


class Way(enum.StrEnum):
    """A direction that a cut concerns, or both."""

    BOTH = "both"
    UP = "up"
    DOWN = "down"


class End(enum.StrEnum):
    """An end of a connection that gets a reset, or both."""

    BOTH = "both"
    NODE = "node"
    HUB = "hub"


class HubFaultKind(enum.StrEnum):
    """What a fault does to the hub."""

    PAUSE = "pause"
    KILL = "kill"
    STOP = "stop"
    SLOW_STORE = "slow_store"


class Fault(Table):
    """A fault that hits some nodes of a group.

    crash: power loss, silence without FIN. exit: the process dies and the kernel closes the connection. restart: exit,
    then a new start. A node that crashed or exited is back after `for`; without it, never. If several faults keep it
    down, it is back when the last of them ends; a node that was to start in the meantime starts then.

    partition: the link passes nothing. hold: it keeps all packets, and releases them together when it ends. flap: it
    passes nothing during `down` at the beginning of each `every`.

    reset: TCP at the ends of the present connection gets a reset (RST), as from a box on the path. half_open: the path
    forgets the present connection, and nothing of it passes either way; a new one works. rebind: the node has another
    address from then on: half_open for a connection outside a tunnel.
    """

    kind: FaultKind = Field(description="what goes wrong")
    group: str = Field(description="name of the group")
    at_s: Duration = Field(description="when, since the start of the run")
    duration_s: Duration = Field(
        0.0, alias="for", description=f"how long; 0: to the end of the run, but {RESTART_S:g} s for a restart"
    )
    fraction: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="share of the group, rounded, and at least one node; default: all"
    )
    nodes: Annotated[int, Field(ge=1)] | None = Field(None, description="number of nodes, instead of a share")
    sites: Annotated[int, Field(ge=1)] | None = Field(
        None, description="number of sites of the group, all of whose nodes are hit, instead of a share"
    )
    direction: Way | None = Field(None, description="what a partition, hold or flap cuts; default: both directions")
    ends: End | None = Field(None, description="what end of the connection gets a reset; default: both")
    every_s: PositiveInterval | None = Field(None, description="time from one cut of a flap to the next")
    down_s: PositiveInterval | None = Field(None, description="length of each cut of a flap; default: half of every")

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        measures = [name for name in ("fraction", "nodes", "sites") if getattr(self, name) is not None]
        if len(measures) > 1:
            raise ValueError(f"{' and '.join(measures)} exclude each other; set only one of them")
        return self

    @model_validator(mode="after")
    def _keys_of_its_kind(self) -> Self:
        kinds = {"direction": CUTS, "ends": (FaultKind.RESET,), "every": (FaultKind.FLAP,), "down": (FaultKind.FLAP,)}
        values = {"direction": self.direction, "ends": self.ends, "every": self.every_s, "down": self.down_s}
        for key, value in values.items():
            if value is not None and self.kind not in kinds[key]:
                raise ValueError(f"{key}: a {self.kind} has none; only {', '.join(kinds[key])} may set it")
        if self.kind is FaultKind.HOLD and not self.duration_s:
            raise ValueError("for: is missing; a hold has to release its packets")
        if self.kind is FaultKind.FLAP and self.every_s is None:
            raise ValueError("every: is missing; a flap needs the time from one cut to the next")
        if self.every_s is not None and self.down_s is not None and self.down_s >= self.every_s:
            raise ValueError("down: must be shorter than every")
        if self.kind not in (*CUTS, *OF_THE_NODE) and self.duration_s:
            raise ValueError(f"for: a {self.kind} happens at one moment; leave it out")
        return self

    def count(self, group_nodes: int) -> int:
        """Return how many nodes of a group of `group_nodes` the fault hits."""
        if self.nodes is not None:
            return min(self.nodes, group_nodes)
        return max(1, round((1.0 if self.fraction is None else self.fraction) * group_nodes))


class HubFault(Table):
    """A fault of the hub: real in the live engine, seen only by the nodes in the virtual one.

    pause: the hub is stopped like a suspended machine (SIGSTOP) and resumes. kill: SIGKILL, then a new start. stop:
    SIGTERM, then a new start. slow_store: its store accepts no writes, which nodes do not notice.
    """

    kind: HubFaultKind = Field(description="what goes wrong")
    at_s: Duration = Field(description="when, since the start of the run")
    duration_s: PositiveDuration = Field(alias="for", description="how long")
