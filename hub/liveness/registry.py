"""Who is here: every node's record, the stream it speaks on, and one heap of deadlines.

Rules kept here:

- `(boot_id, connection)` orders the streams of a node. The newest wins; a Hello of an older one is refused; what comes
  on a stream that was replaced is not heard.
- A stream that ends without Goodbye takes away `connected` and no status. Only a deadline makes a node stale.
- A change is timed at its cause: stale at the deadline, however late a sweep finds it, and a sign of life after the
  deadline makes stale (at the deadline), then online (at the receipt). So when sweeps happen changes nothing in the
  sequence of changes of a node, only how soon it is told.
- The heap holds for each node at most one entry that counts, at or before its next wake-up (deadline, or the end of
  flapping), renewed when it comes up: **a sign of life does no heap operation**, and a sweep costs what expires.

Before a node is called stale `before_stale` is called, which may move deadlines: the hub's own doubt.

Each call is given `now` (s, monotonic, never decreasing) and returns what changed. No I/O, no clock, no lock.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import Protocol

from heartbench.hub.errors import OutdatedStreamError
from heartbench.hub.liveness.changes import Change
from heartbench.hub.liveness.rules import Detector, FixedTimeout, FlapRule, Reason, Status

NOTHING: Sequence[Change] = ()


@dataclass(frozen=True, slots=True)
class Hello:
    """How a node introduces a stream."""

    node_id: str
    boot_id: int
    connection: int
    interval_s: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)


class Node:
    """The record of one node. Others read it; only the registry writes it."""

    __slots__ = (
        "_moved_s", "_moved_since_s", "boot_id", "changed_s", "connected", "connection", "deadline_s", "detector",
        "flapping", "flaps", "heard_s", "heartbeats", "hello_heartbeats", "hello_s", "interval_s", "labels", "node_id",
        "queued_s", "reason", "session", "status",
    )  # fmt: skip

    def __init__(self, node_id: str, detector: Detector) -> None:
        self.node_id = node_id
        self.detector = detector
        self.boot_id = 0
        self.connection = 0
        self.session: Session | None = None  # the stream that is heard
        self.interval_s = 0.0  # between heartbeats, as the node intends; 0: not said
        self.labels: Mapping[str, str] = {}
        self.status = Status.ONLINE
        self.connected = False
        self.flapping = False
        self.reason = Reason.REGISTERED  # of the last change of status
        self.changed_s = 0.0  # when the status last changed
        self.heard_s = 0.0  # last sign of life
        self.deadline_s = inf  # of the next sign of life; -inf while not online, so that one comparison finds both
        self.queued_s = inf  # the heap's entry that counts
        self.flaps: tuple[float, ...] = ()
        self.heartbeats = 0
        self.hello_s = 0.0  # when the stream began, and the heartbeats before it
        self.hello_heartbeats = 0
        self._moved_s = 0.0  # by which the deadline was moved since the sign of life at _moved_since_s
        self._moved_since_s = inf

    @property
    def excused_s(self) -> float:
        """By how much its deadline was moved since its last sign of life."""
        return self._moved_s if self._moved_since_s == self.heard_s else 0.0

    @property
    def threshold_s(self) -> float:
        """The silence that its detector allows now; of an online node."""
        return self.deadline_s - self.heard_s - self.excused_s

    @property
    def usual_gap_s(self) -> float:
        """Time between heartbeats, as the node intends, else as it was since the stream began; 0: not known."""
        beats = self.heartbeats - self.hello_heartbeats
        return self.interval_s or ((self.heard_s - self.hello_s) / beats if beats > 0 else 0.0)

    def move_deadline(self, deadline_s: float) -> None:
        """Give it another deadline than its last sign of life did."""
        self._moved_s = self.excused_s + deadline_s - self.deadline_s
        self._moved_since_s = self.heard_s
        self.deadline_s = deadline_s


class Session:
    """One stream of a node: what the registry gives for a Hello and takes with each message."""

    __slots__ = ("boot_id", "connection", "node")

    def __init__(self, node: Node, boot_id: int, connection: int) -> None:
        self.node = node
        self.boot_id = boot_id
        self.connection = connection


class _Settings(Protocol):
    """The settings that decide when a node is stale and when it is flapping."""

    @property
    def stale_after_s(self) -> float: ...
    @property
    def flap_window_s(self) -> float: ...
    @property
    def flap_threshold(self) -> int: ...
    @property
    def flap_exit(self) -> int: ...


class Registry:
    """All nodes that the hub knows; `count`, `connected` and `flapping` say how many are in each state."""

    def __init__(self, detector: Callable[[], Detector], flap_rule: FlapRule) -> None:
        self.nodes: dict[str, Node] = {}
        self.before_stale: Callable[[Node, float], None] = keep_deadline
        self.flaps = 0  # of all nodes since the start
        self.count: Counter[Status] = Counter()
        self.connected = 0
        self.flapping = 0
        self._detector = detector
        self._rule = flap_rule
        self._heap: list[tuple[float, int, Node]] = []
        self._ticket = count()

    @classmethod
    def from_settings(cls, settings: _Settings) -> "Registry":
        """A registry with one fixed timeout for all."""
        fixed = FixedTimeout(settings.stale_after_s)
        rule = FlapRule(settings.flap_window_s, settings.flap_threshold, settings.flap_exit)
        return cls(lambda: fixed, rule)

    def heartbeat(self, session: Session, now: float) -> Sequence[Change]:
        """A heartbeat came. The path that everything else is kept out of."""
        node = session.node
        if node.session is not session:
            return NOTHING
        node.heartbeats += 1
        if now > node.deadline_s:  # late, or not online
            return self._heard(node, now)
        node.heard_s = now
        node.deadline_s = deadline = node.detector.heartbeat(now)
        if deadline < node.queued_s:  # never with a fixed timeout
            self._queue(node)
        return NOTHING

    def hello(self, hello: Hello, now: float) -> tuple[Session, Sequence[Change]]:
        """A stream began; OutdatedStreamError if a newer one is known."""
        node = self.nodes.get(hello.node_id)
        if node is None:
            node = self.nodes[hello.node_id] = self.new_node(hello.node_id)
            self.count[node.status] += 1
            node.changed_s = now
            reason = Reason.REGISTERED
        elif (hello.boot_id, hello.connection) < (node.boot_id, node.connection):
            raise OutdatedStreamError(
                f"node {hello.node_id}: boot {hello.boot_id}, connection {hello.connection} is older than "
                f"boot {node.boot_id}, connection {node.connection}; allowed is a newer one"
            )
        else:
            reason = Reason.REPLACED if node.connected else Reason.CONNECTED
        changes = self._heard(node, now)
        node.boot_id, node.connection = hello.boot_id, hello.connection
        node.interval_s, node.labels = hello.interval_s, hello.labels
        node.hello_s, node.hello_heartbeats = now, node.heartbeats
        node.session = Session(node, hello.boot_id, hello.connection)
        self.connected += not node.connected
        node.connected = True
        changes.append(told(node, now, reason))
        return node.session, changes

    def sign_of_life(self, node_id: str, boot_id: int, now: float) -> Sequence[Change]:
        """Something of a node came on another stream than the one it introduced; after Goodbye it counts no more."""
        node = self.nodes.get(node_id)
        if node is None or boot_id < node.boot_id or node.status is Status.OFFLINE:
            return NOTHING
        return self._heard(node, now)

    def goodbye(self, session: Session, now: float) -> Sequence[Change]:
        """The node leaves on purpose."""
        node = session.node
        if node.session is not session:
            return NOTHING
        changes = self._settled(node, now)
        self._disconnect(node)
        self._say(node, now, Status.OFFLINE, Reason.GOODBYE, changes)
        return changes

    def closed(self, session: Session, now: float) -> Sequence[Change]:
        """A stream ended; without Goodbye before it, the node is no longer connected."""
        node = session.node
        if node.session is not session:
            return NOTHING
        changes = self._settled(node, now)
        self._disconnect(node)
        changes.append(told(node, now, Reason.STREAM_ENDED))
        return changes

    def restore(self, node: Node) -> None:
        """Take in a node as it was when the hub last ran, with a deadline if it is online."""
        node.flapping = node.flapping and self._rule.stays(node.flaps)  # another hub had perhaps another rule
        self.nodes[node.node_id] = node
        self.count[node.status] += 1
        self.flapping += node.flapping
        self._queue(node)

    def new_node(self, node_id: str) -> Node:
        """A record for a node, not yet taken in."""
        return Node(node_id, self._detector())

    def move_deadline(self, node: Node, deadline_s: float) -> None:
        """Give an online node another deadline than its last sign of life did."""
        node.move_deadline(deadline_s)
        self._queue(node)

    def forget(self, node_id: str, now: float) -> Sequence[Change]:
        """Remove a node for good, after what was due of it; the next Hello is its first."""
        node = self.nodes.get(node_id)
        if node is None:
            return NOTHING
        changes = self._settled(node, now)
        del self.nodes[node_id]
        self._disconnect(node)
        self.count[node.status] -= 1
        self.flapping -= node.flapping
        node.queued_s = inf
        return changes

    def sweep(self, now: float) -> Sequence[Change]:
        """Find what passed before `now`: deadlines, and the ends of flapping."""
        heap = self._heap
        if not heap or heap[0][0] >= now:
            return NOTHING
        changes: list[Change] = []
        while heap and heap[0][0] < now:
            queued_s, _, node = heappop(heap)
            if queued_s == node.queued_s:
                node.queued_s = inf
                changes.extend(self._settled(node, now))
                self._queue(node)
        return changes

    def online(self) -> Iterator[Node]:
        """The nodes that have a deadline."""
        return (node for node in self.nodes.values() if node.status is Status.ONLINE)

    def flaps_of(self, node: Node, now: float) -> int:
        """Flaps of a node within the window."""
        return len(self._rule.remembered(node.flaps, now))

    @property
    def heap_size(self) -> int:
        """Entries of the heap, also those that no longer count."""
        return len(self._heap)

    def _heard(self, node: Node, now: float) -> list[Change]:
        changes = self._settled(node, now)
        if node.status is not Status.ONLINE:
            self._say(node, now, Status.ONLINE, Reason.HEARD, changes)
        node.heard_s = now
        node.deadline_s = node.detector.heartbeat(now)
        self._queue(node)
        return changes

    def _settled(self, node: Node, now: float) -> list[Change]:
        """Let pass what is due of a node, in the order of time; where both are, flapping ends before a deadline."""
        changes: list[Change] = []
        while True:
            exit_s = self._rule.leaves_at(node.flaps) if node.flapping else inf
            deadline_s = node.deadline_s if node.status is Status.ONLINE else inf
            if exit_s <= min(now, deadline_s):
                node.flapping = False
                self.flapping -= 1
                changes.append(told(node, exit_s, Reason.FLAPS_EXIT))
            elif deadline_s >= now:
                return changes
            else:
                self.before_stale(node, now)
                if node.deadline_s < now:
                    self._say(node, node.deadline_s, Status.STALE, Reason.SILENCE, changes)

    def _say(self, node: Node, at: float, status: Status, reason: Reason, changes: list[Change]) -> None:
        """Change the status; between online and stale it is a flap."""
        flap = Status.OFFLINE not in (node.status, status)
        self.count[node.status] -= 1
        self.count[status] += 1
        node.status, node.reason, node.changed_s = status, reason, at
        if status is not Status.ONLINE:
            node.deadline_s = -inf
        changes.append(told(node, at, reason))
        if flap:
            self.flaps += 1
            node.flaps = (*self._rule.remembered(node.flaps, at), at)
            if not node.flapping and self._rule.enters(node.flaps):
                node.flapping = True
                self.flapping += 1
                changes.append(told(node, at, Reason.FLAPS_ENTRY))

    def _disconnect(self, node: Node) -> None:
        self.connected -= node.connected
        node.session, node.connected = None, False

    def _queue(self, node: Node) -> None:
        """Have the node come up in the heap by its next wake-up. A later one needs nothing: it is renewed lazily."""
        wake_s = node.deadline_s if node.status is Status.ONLINE else inf
        if node.flapping:
            wake_s = min(wake_s, self._rule.leaves_at(node.flaps))
        if wake_s < node.queued_s:
            node.queued_s = wake_s
            heappush(self._heap, (wake_s, next(self._ticket), node))


def keep_deadline(node: Node, now: float) -> None:
    """Have no doubt: the deadline stays where it is."""


def told(node: Node, at: float, reason: Reason) -> Change:
    """What the node is from now on."""
    return Change(at, node.node_id, node.status, node.connected, node.flapping, reason)
