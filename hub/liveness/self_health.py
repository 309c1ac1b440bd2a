"""The hub doubts its own hearing: was it there at all while a node was silent?

The hub's pulse is due at a known time. Where it comes later than is tolerated, the process was stopped, the machine
suspended, or the event loop held up, and nobody could be heard meanwhile. The first who reads the clock after that, a
message or the pulse itself, learns how long it was; each moment of it is told once. (Compare Lifeguard's local health,
`awareness.go` in hashicorp/memberlist: a member that finds itself slow gives the others more time.)
"""

from heartbench.hub.work.rolling_quantiles import RollingQuantiles

BEAT_S = 0.1
"""Time between two beats of the pulse, s: a change to stale is found up to this much late, and a lapse is as coarse."""

CATCH_UP_S = 5.0
"""What a node is left with after a lapse at least (its whole threshold where that is less): what waits in the sockets
must be read before anybody is judged."""

LAGS_KEPT = 600
"""A minute of beats."""


class PauseDetector:
    """Knows when the hub could not hear. Times in s, monotonic."""

    def __init__(self, now: float, tolerated_s: float) -> None:
        self.suspect_s = 0.0  # a clock that reads more than this has jumped
        self.lapses = 0
        self.lapsed_s = 0.0
        self.lag_s = RollingQuantiles(LAGS_KEPT)
        self._tolerated_s = tolerated_s
        self._due_s = now
        self._told_until_s = now
        self._expect(now + BEAT_S)

    def lapse(self, now: float) -> float:
        """Time in which nobody could be heard, s, as far as it is news; 0 where the pulse is late as tolerated."""
        if now <= self.suspect_s:
            return 0.0
        news_s = now - self._told_until_s
        self.lapses += self._told_until_s == self._due_s
        self.lapsed_s += news_s
        self._told_until_s = now
        self.suspect_s = now + self._tolerated_s
        return news_s

    def beat(self, now: float) -> None:
        """The pulse beats, and will again in BEAT_S."""
        self.lag_s.add(max(0.0, now - self._due_s))
        self._expect(now + BEAT_S)

    def _expect(self, due_s: float) -> None:
        self._due_s = self._told_until_s = due_s
        self.suspect_s = due_s + self._tolerated_s
