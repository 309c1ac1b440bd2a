"""What a prober keeps: the probes without an answer, and what later answers say of them.

A probe has at most three rows in its file; the last with an answer, else the last, is true:

    answered      when its answer comes, however late
    lost          when it is LATE_S old, with the way that lost it as far as that is known
    lost again    when a later answer says which way it was

Which way is known by what an answer says of other probes. Of the 224 before the newest it says so one by one. Of a
longer outage it gives the count: if none of them arrived, all were lost on the way up; if all did, all answers were
lost on the way down; in between the way stays unknown.
"""

import enum
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from heartbench.simulator.probing.messages import SEEN_BITS, Answer, Probe, decode_answer, encode_probe

LATE_NS = 10 * 10**9
MOST_WAITING = 100_000
"""Unanswered probes that are kept, a day of them: for older ones it is too late."""


class Way(enum.Enum):
    """Where a probe without an answer was lost."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "?"


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of one probe; times in ns by the prober's clock, since its first probe."""

    number: int
    sent_ns: int
    rtt_ns: int | None = None
    there_ns: int | None = None
    """Arrival by the responder's clock minus departure by ours; the clocks are set equal at the first answer."""
    lost: Way | None = None


@dataclass(slots=True)
class Waiting:
    """A probe without an answer."""

    sent_ns: int
    way: Way = Way.UNKNOWN
    written: bool = False


class Prober:
    """Sends probes and reads their answers; `now_ns` is by a clock that also runs while the machine sleeps."""

    def __init__(self, session: int) -> None:
        self.session = session
        self.sent = 0
        self.waiting: OrderedDict[int, Waiting] = OrderedDict()
        self.began_ns = 0
        self.clocks_apart_ns: int | None = None
        self.newest = -1
        self.count = 0
        self.since_ms: int | None = None
        self.unknown_up_to = -1
        """Up to this number the responder may not know what arrived: it was started anew."""
        self.next_to_write = 0

    def probe(self, now_ns: int) -> bytes:
        """Return the next probe, which leaves now."""
        if not self.sent:
            self.began_ns = now_ns
        number = self.sent
        self.sent += 1
        self.waiting[number] = Waiting(now_ns)
        if len(self.waiting) > MOST_WAITING:
            self.waiting.popitem(last=False)
        return encode_probe(Probe(self.session, number))

    def read(self, data: bytes, now_ns: int) -> list[Row]:
        """Return what a datagram that arrives now says of this probe and of others."""
        answer = decode_answer(data)
        if answer is None or answer.session != self.session or answer.number >= self.sent:
            return []
        rows = list(self.lost_ones(answer))
        waiting = self.waiting.pop(answer.number, None)
        if waiting is None:
            return rows  # a duplicate
        apart_ns = answer.arrived_ns - waiting.sent_ns
        if self.clocks_apart_ns is None:
            self.clocks_apart_ns = apart_ns
        sent_ns = waiting.sent_ns - self.began_ns
        return [Row(answer.number, sent_ns, now_ns - waiting.sent_ns, apart_ns - self.clocks_apart_ns), *rows]

    def lost_ones(self, answer: Answer) -> Iterator[Row]:
        """Note what an answer says of unanswered probes, and yield those already written of which it is news."""
        if self.since_ms not in {None, answer.since_ms}:
            self.unknown_up_to = answer.newest
        self.since_ms = answer.since_ms
        if answer.newest <= self.newest:
            return
        listed = max(answer.newest - SEEN_BITS, 0)
        for place in range(answer.newest - listed):
            number = answer.newest - 1 - place
            if answer.seen >> place & 1:
                yield from self.learn([number], Way.DOWN)
            elif number > self.unknown_up_to:
                yield from self.learn([number], Way.UP)
        unlisted = range(max(self.newest, self.unknown_up_to) + 1, listed)
        if unlisted:
            arrived_there = answer.count - self.count - answer.seen.bit_count() - 1
            way = {0: Way.UP, len(unlisted): Way.DOWN}.get(arrived_there, Way.UNKNOWN)
            yield from self.learn(unlisted, way)
        self.newest, self.count = answer.newest, answer.count

    def learn(self, numbers: Iterable[int], way: Way) -> Iterator[Row]:
        """Note which way lost these probes if they are unanswered; yield those of which another way was written."""
        for number in numbers:
            waiting = self.waiting.get(number)
            if waiting and waiting.way != way:
                waiting.way = way
                if waiting.written:
                    yield Row(number, waiting.sent_ns - self.began_ns, lost=way)

    def late(self, now_ns: int) -> Iterator[Row]:
        """Yield the probes that became late since the last call: lost, as far as is known."""
        while self.next_to_write < self.sent:
            waiting = self.waiting.get(self.next_to_write)
            if waiting:
                if now_ns - waiting.sent_ns < LATE_NS:
                    return
                waiting.written = True
                yield Row(self.next_to_write, waiting.sent_ns - self.began_ns, lost=waiting.way)
            self.next_to_write += 1
