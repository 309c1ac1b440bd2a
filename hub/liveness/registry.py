"""All known nodes: the record of each, its current stream, and one heap of deadlines.

**This is what marks a node stale**: `_expire_deadlines`, when a sweep or a late message finds a deadline in the past.
The deadline comes from the node's detector (`detector.py`); flap rules are in `flap_rules.py`. Rules kept here:

- `(boot_id, connection)` orders the streams of a node. The newest wins: a Hello of an older one is refused while the
  node is online, or heard again and held down (`hold_down.py`), and messages on a replaced stream are ignored. A node
  that is stale or offline may come back with any: its counter may have been reset, or another client may have used its
  name with a greater one.
- A stream that ends without Goodbye clears `connected` and changes no status. Only a deadline makes a node stale.
- A change is timed at its cause: stale at the deadline, however late a sweep finds it. A sign of life after the
  deadline makes a node stale (at the deadline), then online (at the receipt). So the times of sweeps do not change the
  sequence of a node's changes, only how soon they are reported.
- The heap holds for each node at most one valid entry, at or before its next wake-up (deadline, or the end of
  flapping), renewed when it comes up: **a sign of life does no heap operation** with a fixed timeout, and a sweep costs
  what expires.

Before a node is marked stale, `before_stale` is called and may move deadlines (`mass_silence.py`).

Each call is given `now` (s, monotonic, never decreasing) and returns what changed. No I/O, no clock, no lock.
"""

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from itertools import count
from math import inf

from heartbench.hub.errors import OutdatedStreamError
from heartbench.hub.liveness.node import Hello, Node, Session, change_of
from heartbench.hub.liveness.policy import NO_LABELS, PolicySpec
from heartbench.hub.liveness.rules import Change, Reason, Status
from heartbench.hub.printable import shown
from heartbench.mesh.kinds import Kind

NOTHING: Sequence[Change] = ()
HEARTBEAT = Kind.HEARTBEAT  # a look-up less on the path of every heartbeat


class Registry:
    """All nodes that the hub knows; `count`, `connected` and `flapping` say how many are in each state."""

    def __init__(self, policy: PolicySpec) -> None:
        self.policy = policy
        self.nodes: dict[str, Node] = {}
        self._names: list[str] = []  # of the nodes, in order
        self.before_stale: Callable[[Node, float], None] = lambda _node, _now: None
        self.flaps = 0  # of all nodes since the start
        self.count: Counter[Status] = Counter()
        self.connected = 0
        self.flapping = 0
        self._rule = policy.flap_rule
        self._hold_down = policy.hold_down
        self._heap: list[tuple[float, int, Node]] = []
        self._ticket = count()

    def heartbeat(self, session: Session, now: float, seq: int = 0) -> Sequence[Change]:
        """Record a heartbeat, number `seq` of its boot; 0: not numbered. This is the hub's hottest path."""
        node = session.node
        if node.session is not session:
            return NOTHING
        node.heartbeats += 1
        if now > node.deadline_s:  # late, or not online
            return self._sign_of_life(node, now, seq, HEARTBEAT)
        node.heard_s = now
        node.deadline_s = deadline = node.detector.observe(now, seq, HEARTBEAT)
        if deadline < node.queued_s:  # never with a fixed timeout
            self._queue(node)
        return NOTHING

    def hello(self, hello: Hello, now: float) -> tuple[Session, Sequence[Change]]:
        """Begin a stream; raise OutdatedStreamError if a newer one is known and the node is online."""
        node = self.nodes.get(hello.node_id)
        if node is None:
            node = self._add(self.new_node(hello.node_id, hello.interval_s, hello.labels))
            node.changed_s = now
            reason = Reason.REGISTERED
        elif (hello.boot_id, hello.connection) < (node.boot_id, node.connection) and now <= max(
            node.deadline_s, node.held_until_s
        ):
            raise OutdatedStreamError(
                f"node {shown(hello.node_id)}: boot {hello.boot_id}, connection {hello.connection} is older than "
                f"boot {node.boot_id}, connection {node.connection}; use a newer one, or wait until the node is stale"
            )
        else:
            reason = Reason.REPLACED if node.connected else Reason.CONNECTED
        known, told = self.policy.parameters_of(node.labels), self.policy.parameters_of(hello.labels)
        if hello.interval_s != node.interval_s or known != told:
            node.detector = told.detector(hello.interval_s)
        changes = self._sign_of_life(node, now, 0, Kind.HELLO)
        node.boot_id, node.connection = hello.boot_id, hello.connection
        node.interval_s, node.labels = hello.interval_s, hello.labels
        node.peer, node.address = hello.peer, hello.address
        node.hello_s, node.hello_heartbeats = now, node.heartbeats
        node.session = Session(node, hello.boot_id, hello.connection)
        self.connected += not node.connected
        node.connected = True
        changes.append(change_of(node, now, reason))
        return node.session, changes

    def sign_of_life(self, node_id: str, boot_id: int, now: float) -> Sequence[Change]:
        """Record a message other than a heartbeat, on any stream of the node; ignored after Goodbye."""
        node = self.nodes.get(node_id)
        if node is None or boot_id < node.boot_id or node.status is Status.OFFLINE:
            return NOTHING
        return self._sign_of_life(node, now, 0, Kind.CHUNK)

    def goodbye(self, session: Session, now: float) -> Sequence[Change]:
        """Mark a node offline: it leaves on purpose."""
        node = session.node
        if node.session is not session:
            return NOTHING
        changes = self._expire_deadlines(node, now)
        self._disconnect(node)
        self._set_status(node, now, Status.OFFLINE, Reason.GOODBYE, changes)
        return changes

    def closed(self, session: Session, now: float) -> Sequence[Change]:
        """End a stream; without a Goodbye before it, the node is no longer connected and keeps its status."""
        node = session.node
        if node.session is not session:
            return NOTHING
        changes = self._expire_deadlines(node, now)
        self._disconnect(node)
        changes.append(change_of(node, now, Reason.STREAM_ENDED))
        return changes

    def restore(self, node: Node) -> None:
        """Add a node as it was when the hub last ran, with a deadline if it is online."""
        node.flapping = node.flapping and self._rule.leaves_at(node.flaps) > -inf  # the rule may have changed
        self._add(node)
        self.flapping += node.flapping
        self._queue(node)

    def new_node(self, node_id: str, interval_s: float = 0.0, labels: Mapping[str, str] = NO_LABELS) -> Node:
        """Return a record for a node that announces this heartbeat interval (s; 0: none) and labels, not yet added."""
        node = Node(node_id, self.policy.detector(interval_s, labels))
        node.interval_s, node.labels, node.flap_rule = interval_s, labels, self._rule.name
        return node

    def move_deadline(self, node: Node, deadline_s: float) -> None:
        """Replace the deadline that the last sign of life of an online node set."""
        node.move_deadline(deadline_s)
        self._queue(node)

    def adopt(self, policy: PolicySpec, now: float) -> Sequence[Change]:
        """Judge by another policy from now on; a deadline that is already set stays until the next sign of life."""
        changes = list(self.sweep(now))
        before, self.policy, self._rule, self._hold_down = self.policy, policy, policy.flap_rule, policy.hold_down
        for node in self.nodes.values():
            if policy.parameters_of(node.labels) != before.parameters_of(node.labels):
                node.detector = policy.successor(node.detector, node.heard_s, node.interval_s, node.labels)
            node.flaps = self._rule.restored(node.flaps, now) if node.flap_rule == self._rule.name else ()
            node.flap_rule = self._rule.name
            if node.flapping and self._rule.leaves_at(node.flaps) <= now:
                node.flapping = False
                self.flapping -= 1
                changes.append(change_of(node, now, Reason.FLAPS_EXIT))
            self._queue(node)
        return changes

    def forget(self, node_id: str, now: float) -> Sequence[Change]:
        """Remove a node for good, after expiring its deadlines; its next Hello is its first."""
        node = self.nodes.get(node_id)
        if node is None:
            return NOTHING
        changes = self._expire_deadlines(node, now)
        del self.nodes[node_id], self._names[bisect_left(self._names, node_id)]
        self._disconnect(node)
        self.count[node.status] -= 1
        self.flapping -= node.flapping
        node.queued_s = inf
        node.status = Status.OFFLINE  # for whoever still holds the record
        return changes

    def expire(self, node: Node, now: float) -> Sequence[Change]:
        """Expire one node's deadline and flapping mark, as the next sweep would."""
        return self._expire_deadlines(node, now)

    def sweep(self, now: float) -> Sequence[Change]:
        """Expire what passed before `now`: deadlines, and flapping marks."""
        heap = self._heap
        if not heap or heap[0][0] >= now:
            return NOTHING
        changes: list[Change] = []
        while heap and heap[0][0] < now:
            queued_s, _, node = heappop(heap)
            if queued_s == node.queued_s:
                node.queued_s = inf
                changes.extend(self._expire_deadlines(node, now))
                self._queue(node)
        return changes

    def names_after(self, name: str, most: int) -> list[str]:
        """Return the names that follow `name` in order, at most so many."""
        first = bisect_right(self._names, name)
        return self._names[first : first + most]

    def online(self) -> Iterator[Node]:
        """Return the nodes that have a deadline."""
        return (node for node in self.nodes.values() if node.status is Status.ONLINE)

    def flaps_of(self, node: Node, now: float) -> int:
        """Return the number of a node's flaps that count by the flap rule."""
        return self._rule.counted(node.flaps, now)

    @property
    def heap_size(self) -> int:
        """Number of entries in the heap, outdated ones included."""
        return len(self._heap)

    def _add(self, node: Node) -> Node:
        self.nodes[node.node_id] = node
        insort(self._names, node.node_id)  # among 200,000 names: 50 µs
        self.count[node.status] += 1
        return node

    def _sign_of_life(self, node: Node, now: float, seq: int, kind: Kind) -> list[Change]:
        changes = self._expire_deadlines(node, now)
        if node.status is Status.OFFLINE or (node.status is Status.STALE and self._is_lifted(node, now)):
            self._set_status(node, now, Status.ONLINE, Reason.HEARD, changes)
        node.heard_s = now
        deadline_s = node.detector.observe(now, seq, kind)
        if node.status is Status.ONLINE:
            node.deadline_s = deadline_s
            self._queue(node)
        else:
            node.held_until_s = deadline_s
        return changes

    def _is_lifted(self, node: Node, now: float) -> bool:
        """Count a sign of life of a stale node; return whether it ends the hold-down."""
        heard_s = node.heard_again(now)
        return self._hold_down.lifts(node.held_signs, heard_s)

    def _expire_deadlines(self, node: Node, now: float) -> list[Change]:
        """Mark a node stale, or no longer flapping, in order of time up to `now`; at one time flapping ends first."""
        changes: list[Change] = []
        while True:
            exit_s = self._rule.leaves_at(node.flaps) if node.flapping else inf
            deadline_s = node.deadline_s if node.status is Status.ONLINE else inf
            if exit_s <= min(now, deadline_s):
                node.flapping = False
                self.flapping -= 1
                changes.append(change_of(node, exit_s, Reason.FLAPS_EXIT))
            elif deadline_s >= now:
                return changes
            else:
                self.before_stale(node, now)
                if node.deadline_s < now:
                    self._set_status(node, node.deadline_s, Status.STALE, Reason.SILENCE, changes)

    def _set_status(self, node: Node, at: float, status: Status, reason: Reason, changes: list[Change]) -> None:
        """Change the status; a change between online and stale is a flap."""
        flap = Status.OFFLINE not in (node.status, status)
        self.count[node.status] -= 1
        self.count[status] += 1
        node.status, node.reason, node.changed_s = status, reason, at
        node.held_until_s = -inf
        if status is not Status.ONLINE:
            node.deadline_s = -inf
        changes.append(change_of(node, at, reason))
        if flap:
            self.flaps += 1
            node.flaps = self._rule.add(node.flaps, at)
            if not node.flapping and self._rule.enters(node.flaps, at):
                node.flapping = True
                self.flapping += 1
                changes.append(change_of(node, at, Reason.FLAPS_ENTRY))

    def _disconnect(self, node: Node) -> None:
        self.connected -= node.connected
        node.session, node.connected = None, False

    def _queue(self, node: Node) -> None:
        """Put the node into the heap at its next wake-up, unless it comes up earlier anyway."""
        wake_s = node.deadline_s if node.status is Status.ONLINE else inf
        if node.flapping:
            wake_s = min(wake_s, self._rule.leaves_at(node.flaps))
        if wake_s < node.queued_s:
            node.queued_s = wake_s
            heappush(self._heap, (wake_s, next(self._ticket), node))
