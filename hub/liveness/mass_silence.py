"""Many nodes that fall silent together: the hub suspects its own network before its nodes.

    state    goes to    when
    closed   open       a node is about to be marked stale, and a large share of the others is silent too
    open     closed     90% of the silent nodes have returned: the others get a fresh threshold
    open     closed     `longest_s` have passed: nodes that are still silent are judged now

An online node is silent if more than half of its threshold has passed without a sign of life, and more than one and a
half of its usual gaps. While the suspicion is open no node is marked stale. Kubernetes' node lifecycle controller stops
evictions in a zone in the same way, at 55%.

Nodes may be invented to fall silent together and hide a death. So:

- A node counts only if it was heard for half of the usual threshold since it came online, or was online when the hub
  last ran: a hub that was killed does not know for how long.
- The same share of *peers* must be silent as of nodes, each with that share of its nodes: if the hub's own network is
  cut, every address is silent, and not one that has many nodes.
- A silence is excused once. A node that was silent in a mass silence and has not been heard since is judged, whatever
  the others do.

The nodes are counted only when one is about to be marked stale, and not again within a second in which too few could
become silent even if none sent anything, or after too few peers were: a count visits every node, some 35 ms for
100,000.
"""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from math import ceil, inf

from heartbench.hub.liveness.node import Node
from heartbench.hub.liveness.registry import Registry
from heartbench.hub.liveness.rules import Status

RETURNED_SHARE = 0.9
CERTAIN_FOR_S = 1.0
Move = Callable[[Node, float, float], None]


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


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A mass silence that is open."""

    opened_s: float
    until_s: float
    silent: Collection[Node]
    online: int

    def heard_again(self) -> int:
        """Count the silent nodes that have sent something since, or have left on purpose."""
        return sum(node.heard_s > self.opened_s or node.status is not Status.ONLINE for node in self.silent)


class MassSilence:
    """Watches a registry's nodes; `move(node, deadline_s, now)` gives a node more time."""

    def __init__(
        self, registry: Registry, fraction: float, fewest: int, longest_s: float, began_s: float, move: Move
    ) -> None:
        """`began_s` is when the hub started: a node last heard before was restored."""
        self.open: Suspicion | None = None
        self._registry = registry
        self._fraction = fraction
        self._fewest = fewest
        self._longest_s = longest_s
        self._began_s = began_s
        self._move = move
        self._certain_until_s = -inf  # it cannot begin before
        self._excused_before_s = -inf  # who has not been heard since was excused already

    def before_stale(self, node: Node, now: float) -> MassSilenceBegan | None:
        """Extend the deadline of a node that is about to be marked stale, if the hub must not judge it."""
        if node.heard_s <= self._excused_before_s:
            return None
        if self.open is not None:
            self._move(node, self.open.until_s, now)
            return None
        if self._fraction == 0 or now <= self._certain_until_s:
            return None
        silent, online = self._count(now)
        if not silent:
            return None
        self.open = Suspicion(now, now + self._longest_s, silent, online)
        for other in list(self._registry.online()):
            if other.heard_s > self._excused_before_s:
                self._move(other, self.open.until_s, now)
        return MassSilenceBegan(len(silent), online)

    def close_if_over(self, now: float) -> MassSilenceEnded | None:
        """Close the suspicion if it is over; called before each sweep, with the same `now`."""
        opened = self.open
        if opened is None:
            return None
        heard = opened.heard_again()
        gave_up = now > opened.until_s
        if heard < RETURNED_SHARE * len(opened.silent) and not gave_up:
            return None
        self.open = None
        self._excused_before_s = opened.opened_s
        if gave_up:
            self._certain_until_s = now  # the sweep that follows must not suspect again
        else:
            self._restart_deadlines(opened.until_s, now)
        return MassSilenceEnded(heard, len(opened.silent), now - opened.opened_s, gave_up)

    def _restart_deadlines(self, until_s: float, now: float) -> None:
        for node in list(self._registry.online()):
            if node.deadline_s == until_s:
                self._move(node, now + node.threshold_s, now)

    def _count(self, now: float) -> tuple[list[Node], int]:
        """Return the nodes that are silent now, none if they are too few, and how many count."""
        proven_s, later = self._registry.policy.parameters.usual_silence_s(0.0) / 2, now + CERTAIN_FOR_S
        nodes = [
            node
            for node in self._registry.online()
            if node.heard_s - node.changed_s >= proven_s or node.heard_s < self._began_s
        ]
        # To be silent then, half of the time from sign of life to deadline must be over, without any call for a node.
        candidates = [node for node in nodes if 2 * (later - node.heard_s) > node.deadline_s - node.heard_s]
        enough = max(self._fewest, ceil(self._fraction * len(nodes)))
        self._certain_until_s = later if len(candidates) < enough else now
        silent = [node for node in candidates if is_silent(node, now)]
        if len(silent) < enough:
            return [], len(nodes)
        if not self._of_enough_peers(nodes, silent):
            self._certain_until_s = later
            return [], len(nodes)
        return silent, len(nodes)

    def _of_enough_peers(self, nodes: list[Node], silent: list[Node]) -> bool:
        """Return whether the silent nodes are of as large a share of the peers; one that is not known is its own."""
        nodes_of = Counter(node.peer or node.node_id for node in nodes)
        silent_of = Counter(node.peer or node.node_id for node in silent)
        silent_peers = sum(count >= self._fraction * nodes_of[peer] for peer, count in silent_of.items())
        return silent_peers >= self._fraction * len(nodes_of)


def is_silent(node: Node, now: float) -> bool:
    """Return whether an online node was silent for half of its threshold, and for one and a half of its usual gaps."""
    silent_s = now - node.heard_s - node.excused_s
    return silent_s > node.threshold_s / 2 and silent_s > 1.5 * node.usual_gap_s
