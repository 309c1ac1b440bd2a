"""Hold-down: a stale node that is heard again stays stale until it has been heard for a while.

    heard again    a sign of life of a stale node; then each further one by the deadline that the detector sets
    lifted         at the sign of life that is the `heartbeats`-th of them and comes `seconds` or more after the first
    interrupted    a deadline passed meanwhile, or the hub was restarted: the next sign of life is the first again

Until then nothing changes but when the node was last heard: it is stale for everyone who asks, there is no event and no
flap, and a mass silence does not count it. `connected` follows the stream, and a Goodbye makes the node offline. Every
message counts, as elsewhere; heartbeats that TCP held back arrive together, which a number of them does not notice and
a time does. A node that registers, or comes back from offline, is online at once.

The hub's own pauses move no deadline of a node that is held down: it may have to begin again, and is shown as stale for
longer, never for shorter. For the same reason nothing of this is stored.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HoldDown:
    """How long a stale node must be heard before it is online again; by default one sign of life is enough."""

    heartbeats: int = 1
    seconds: float = 0.0

    def lifts(self, heard: int, heard_s: float) -> bool:
        """Return whether a node may be online that was heard so often, the last time `heard_s` after the first."""
        return heard >= self.heartbeats and heard_s >= self.seconds


OFF = HoldDown()
