"""What a responder keeps of each prober: what arrived, so that its answers can say so.

Sessions, not addresses, name a prober: behind a carrier's NAT its address changes. All of it is bounded: the sessions
that are kept (the one silent for longest goes first), and the answers a second to each.
"""

from collections import OrderedDict
from dataclasses import dataclass

from heartbench.simulator.probing.messages import SEEN_BITS, Answer, decode_probe, encode_answer

MOST_SESSIONS = 1024
MOST_PER_S = 200
"""Answers a second to one prober, and as many at once after silence; a prober sends at most half as many."""
SEEN = (1 << SEEN_BITS) - 1


@dataclass(slots=True)
class Session:
    """What arrived of one prober."""

    since_ms: int
    newest: int
    count: int
    seen: int
    tokens: float
    filled_ns: int

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

    def may_answer(self, now_ns: int) -> bool:
        """Return whether an answer is within the rate, and count it."""
        self.tokens = min(MOST_PER_S, self.tokens + (now_ns - self.filled_ns) * MOST_PER_S / 1e9)
        self.filled_ns = now_ns
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Responder:
    """Answers probes."""

    def __init__(self, most_sessions: int = MOST_SESSIONS) -> None:
        self.sessions: OrderedDict[int, Session] = OrderedDict()
        self.most_sessions = most_sessions

    def answer(self, data: bytes, now_ns: int) -> bytes | None:
        """Return the answer to a datagram that arrives now; None if it is no probe, or one too many."""
        probe = decode_probe(data)
        if probe is None:
            return None
        session = self.sessions.get(probe.session)
        if session is None:
            session = Session(now_ns // 10**6 % 2**32, probe.number, 1, 0, MOST_PER_S, now_ns)
            self.sessions[probe.session] = session
            if len(self.sessions) > self.most_sessions:
                self.sessions.popitem(last=False)
        else:
            session.arrived(probe.number)
            self.sessions.move_to_end(probe.session)
        if not session.may_answer(now_ns):
            return None
        return encode_answer(
            Answer(probe.session, probe.number, now_ns, session.since_ms, session.newest, session.count, session.seen)
        )
