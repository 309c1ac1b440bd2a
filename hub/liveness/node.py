"""The record of one node: its stream, its status, its deadline. Only the registry writes it (`registry.py`)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from heartbench.hub.liveness.detector import Detector
from heartbench.hub.liveness.flap_rules import FlapWindow, Times
from heartbench.hub.liveness.rules import Change, Reason, Status


@dataclass(frozen=True, slots=True)
class Hello:
    """The introduction of a node on a new stream; `interval_s` is its announced heartbeat interval, s; 0: none.

    `peer` is what limits per peer count by, `address` where the stream comes from (HOST:PORT); empty: not known.
    """

    node_id: str
    boot_id: int
    connection: int
    interval_s: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)
    peer: str = ""
    address: str = ""


@dataclass(slots=True, eq=False)
class Node:
    """The record of one node. Only the registry writes it."""

    node_id: str
    detector: Detector
    boot_id: int = 0
    connection: int = 0
    session: "Session | None" = None  # the current stream
    peer: str = ""  # of the last Hello, as is the next
    address: str = ""
    interval_s: float = 0.0  # heartbeat interval that the node announces; 0: none
    labels: Mapping[str, str] = field(default_factory=dict)
    status: Status = Status.ONLINE
    connected: bool = False
    flapping: bool = False
    reason: Reason = Reason.REGISTERED  # of the last change of status
    changed_s: float = 0.0  # when the status last changed
    heard_s: float = 0.0  # last sign of life
    deadline_s: float = inf  # of the next sign of life; -inf while not online, so that one comparison finds both
    queued_s: float = inf  # of the valid entry in the heap
    flaps: Times = ()  # what the flap rule of this name remembers of them
    flap_rule: str = FlapWindow.name
    held_until_s: float = -inf  # deadline of the next sign of life while it is held down, see hold_down.py
    held_signs: int = 0  # of life, the first of them at _held_since_s
    heartbeats: int = 0
    hello_s: float = 0.0  # when the stream began, and the heartbeats before it
    hello_heartbeats: int = 0
    _moved_s: float = 0.0  # by which the deadline was moved since the sign of life at _moved_since_s
    _moved_since_s: float = inf
    _held_since_s: float = 0.0

    @property
    def excused_s(self) -> float:
        """How far the deadline was moved since the last sign of life, s."""
        return self._moved_s if self._moved_since_s == self.heard_s else 0.0

    @property
    def threshold_s(self) -> float:
        """The silence that the detector allows an online node now, s."""
        return self.deadline_s - self.heard_s - self.excused_s

    @property
    def usual_gap_s(self) -> float:
        """Announced heartbeat interval, else the mean since the stream began, s; 0: not known."""
        beats = self.heartbeats - self.hello_heartbeats
        return self.interval_s or ((self.heard_s - self.hello_s) / beats if beats > 0 else 0.0)

    def heard_again(self, now: float) -> float:
        """Count a sign of life of a stale node; return how long it has been heard again, s."""
        if now > self.held_until_s:
            self.held_signs, self._held_since_s = 0, now
        self.held_signs += 1
        return now - self._held_since_s

    def move_deadline(self, deadline_s: float) -> None:
        """Replace the deadline that the last sign of life set."""
        self._moved_s = self.excused_s + deadline_s - self.deadline_s
        self._moved_since_s = self.heard_s
        self.deadline_s = deadline_s


@dataclass(slots=True, eq=False)
class Session:
    """One stream of a node: returned for a Hello, passed in with each message."""

    node: Node
    boot_id: int
    connection: int


def change_of(node: Node, at: float, reason: Reason) -> Change:
    """Return a change with the node's present state."""
    return Change(at, node.node_id, node.status, node.connected, node.flapping, reason)
