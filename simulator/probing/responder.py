"""What a responder keeps of each prober: what arrived, so that its answers can say so.

Sessions, not addresses, name a prober: behind a carrier's NAT its address changes. All of it is bounded: the sessions
and the addresses that are kept (the one silent for longest goes first), and the answers a second to each address, so
that nobody can direct a flood at it by forging its name.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeVar

from heartbench.simulator.probing.messages import SEEN_BITS, Answer, decode_probe, encode_answer

MOST_SESSIONS = 1024
MOST_PER_S = 200
"""Answers a second to one address, and as many at once after silence; a prober sends at most half as many."""
SEEN = (1 << SEEN_BITS) - 1
Key = TypeVar("Key")
Kept = TypeVar("Kept")


@dataclass(slots=True)
class Session:
    """What arrived of one prober."""

    since_ms: int
    newest: int
    count: int = 1
    seen: int = 0

    def arrived(self, number: int) -> None:
        """Note a probe; a duplicate counts once."""
        ahead = number - self.newest
        if ahead > 0:
            self.seen = ((self.seen << 1 | 1) << min(ahead - 1, SEEN_BITS)) & SEEN
            self.newest = number
            self.count += 1
        elif ahead < 0:
            bit = 1 << (-ahead - 1)
            if -ahead > SEEN_BITS or not self.seen & bit:
                self.seen |= bit & SEEN
                self.count += 1


@dataclass(slots=True)
class Peer:
    """How many answers an address may have."""

    filled_ns: int
    tokens: float = MOST_PER_S

    def may_have_one(self, now_ns: int) -> bool:
        """Return whether an answer is within the rate, and count it."""
        self.tokens = min(MOST_PER_S, self.tokens + (now_ns - self.filled_ns) * MOST_PER_S / 1e9)
        self.filled_ns = now_ns
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Responder:
    """Answers probes."""

    def __init__(self, most: int = MOST_SESSIONS) -> None:
        self.sessions: OrderedDict[int, Session] = OrderedDict()
        self.peers: OrderedDict[str, Peer] = OrderedDict()
        self.most = most

    def answer(self, data: bytes, host: str, now_ns: int) -> bytes | None:
        """Return the answer to a datagram of `host` that arrives now; None if it is no probe, or one too many."""
        probe = decode_probe(data)
        if probe is None or not keep(self.peers, host, Peer(now_ns), self.most).may_have_one(now_ns):
            return None
        new = Session(now_ns // 10**6 % 2**32, probe.number)
        session = keep(self.sessions, probe.session, new, self.most)
        if session is not new:
            session.arrived(probe.number)
        return encode_answer(
            Answer(probe.session, probe.number, now_ns, session.since_ms, session.newest, session.count, session.seen)
        )


def keep(kept: OrderedDict[Key, Kept], key: Key, new: Kept, most: int) -> Kept:
    """Return what is kept under a key, `new` if there is nothing; what was not asked for longest makes room."""
    found = kept.setdefault(key, new)
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)
    return found
