"""Many nodes that fall silent together: the hub suspects its own network before its nodes.

    state    goes to    when
    closed   open       a node is about to be called stale, and so many others are silent too
    open     closed     90 % of those who were silent are heard again: who is not gets a fresh threshold
    open     closed     `most_s` have passed: who is still silent is judged now

Silent is an online node of which more than half of its threshold has passed without a sign of life, and more than one
and a half of its usual gaps. While it is open nobody is called stale. Kubernetes' node lifecycle controller stops
evictions in a zone in the same way, at 55 %.

The nodes are counted only when one is about to be called stale, and not again within a second in which too few could
become silent even if none were heard: a count looks at every node, 35 ms for 100,000.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from math import ceil, inf

from heartbench.hub.events.types import MassSilenceBegan, MassSilenceEnded
from heartbench.hub.liveness.registry import Node, Registry
from heartbench.hub.liveness.rules import Status

HEARD_AGAIN = 0.9
SURE_FOR_S = 1.0
Move = Callable[[Node, float, float], None]


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A mass silence that is open."""

    opened_s: float
    until_s: float
    silent: Collection[Node]
    online: int

    def heard_again(self) -> int:
        """Of those who were silent: heard since, or gone on purpose."""
        return sum(node.heard_s > self.opened_s or node.status is not Status.ONLINE for node in self.silent)


class MassSilence:
    """Watches over a registry's nodes; `move(node, deadline_s, now)` is how it gives a node more time."""

    def __init__(self, registry: Registry, fraction: float, least: int, most_s: float, move: Move) -> None:
        self.open: Suspicion | None = None
        self._registry = registry
        self._fraction = fraction
        self._least = least
        self._most_s = most_s
        self._move = move
        self._sure_until_s = -inf  # it cannot begin before

    def before_stale(self, node: Node, now: float) -> MassSilenceBegan | None:
        """A node is about to be called stale: gives it more time where the hub must not judge."""
        if self.open is not None:
            self._move(node, self.open.until_s, now)
            return None
        if self._fraction == 0 or now <= self._sure_until_s:
            return None
        silent, online = self._count(now)
        if len(silent) < max(self._least, ceil(self._fraction * online)):
            return None
        self.open = Suspicion(now, now + self._most_s, silent, online)
        for other in list(self._registry.online()):
            self._move(other, self.open.until_s, now)
        return MassSilenceBegan(len(silent), online)

    def look(self, now: float) -> MassSilenceEnded | None:
        """End it where it is time to; called before each sweep, with the same `now`."""
        opened = self.open
        if opened is None:
            return None
        heard = opened.heard_again()
        gave_up = now > opened.until_s
        if heard < HEARD_AGAIN * len(opened.silent) and not gave_up:
            return None
        self.open = None
        if gave_up:
            self._sure_until_s = now  # the sweep that follows must not suspect again
        else:
            self._give_fresh_threshold(opened.until_s, now)
        return MassSilenceEnded(heard, len(opened.silent), now - opened.opened_s, gave_up)

    def _give_fresh_threshold(self, until_s: float, now: float) -> None:
        for node in list(self._registry.online()):
            if node.deadline_s == until_s:
                self._move(node, now + node.threshold_s, now)

    def _count(self, now: float) -> tuple[list[Node], int]:
        """Who is silent now, and how many are online."""
        nodes = self._registry.nodes.values()
        later = now + SURE_FOR_S
        # To be silent then, half of the time from sign of life to deadline must be over, without any call for a node.
        perhaps = [node for node in nodes if 2 * (later - node.heard_s) > node.deadline_s - node.heard_s]
        perhaps = [node for node in perhaps if node.status is Status.ONLINE]
        online = sum(node.status is Status.ONLINE for node in nodes)
        few = len(perhaps) < max(self._least, ceil(self._fraction * online))
        self._sure_until_s = later if few else now
        return [node for node in perhaps if is_silent(node, now)], online


def is_silent(node: Node, now: float) -> bool:
    """Whether an online node was silent for more than half of its threshold and one and a half of its usual gaps."""
    silent_s = now - node.heard_s - node.excused_s
    return silent_s > node.threshold_s / 2 and silent_s > 1.5 * node.usual_gap_s
