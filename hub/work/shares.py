"""How much of a common limit one peer may take."""

from collections import Counter

from heartbench.hub.errors import NoRoomError


class Shares:
    """Counts what each peer holds of `limit` places; `share` of them is for one peer at most, 1: all."""

    def __init__(self, limit: int, share: float) -> None:
        self._share = share
        self._held: Counter[str] = Counter()
        self.resize(limit)

    def resize(self, limit: int) -> None:
        """Set how many places there are; nothing that is held is taken away."""
        self.most = max(1, int(limit * self._share))
        self._limit = limit

    def is_full(self, peer: str) -> bool:
        """Return whether the peer has its share, and there are more places than that."""
        return self.most <= self._held[peer] and self.most < self._limit

    def check(self, peer: str, what: str) -> None:
        """Raise NoRoomError if the peer may have no more; `what` names the places, such as "subscriptions"."""
        if self.is_full(peer):
            raise NoRoomError(
                f"{peer or 'this peer'} has {self._held[peer]} of at most {self._limit} {what}; HUB_PEER_SHARE allows "
                "one peer no more"
            )

    def add(self, peer: str) -> None:
        """Count one more place of a peer."""
        self._held[peer] += 1

    def move(self, old: str | None, new: str) -> None:
        """Count a place that another peer has now; `old` is None for a new place."""
        if old != new:
            if old is not None:
                self.remove(old)
            self.add(new)

    def remove(self, peer: str) -> None:
        """Count one less."""
        self._held[peer] -= 1
        if not self._held[peer]:
            del self._held[peer]
