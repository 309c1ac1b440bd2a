"""What the liveness rules report: changes of a node, pauses of the hub, mass silences. Times in s, monotonic."""

from dataclasses import dataclass
from typing import NamedTuple

from heartbench.hub.liveness.rules import Reason, Status


class Change(NamedTuple):
    """Something about a node changed; the fields hold the node's state from `at_s` on."""

    at_s: float
    node_id: str
    status: Status
    connected: bool
    flapping: bool
    reason: Reason


@dataclass(frozen=True, slots=True)
class Paused:
    """The hub did not run for `lasted_s` and extended every deadline by that time."""

    lasted_s: float


@dataclass(frozen=True, slots=True)
class MassSilenceBegan:
    """`silent` of the `online` nodes are silent together: the hub suspects its own network."""

    silent: int
    online: int


@dataclass(frozen=True, slots=True)
class MassSilenceEnded:
    """`heard_again` of the nodes that were silent have returned, or (`gave_up`) the longest duration has passed."""

    heard_again: int
    silent: int
    lasted_s: float
    gave_up: bool
