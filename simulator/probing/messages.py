"""Probes and their answers as bytes.

    probe    magic 4, session 8, number 4, then zeros: 64 bytes
    answer   magic 4, session 8, number 4, arrived_ns 8, since_ms 4, newest 4, count 4, seen 28: 64 bytes

An answer is as long as its probe, so that nobody who forges a sender makes more traffic than he sends; and as the two
begin differently, two responders cannot answer each other. An answer also says what else arrived: the greatest number
so far, how many probes in all, and which of the 224 before the greatest. By this the prober knows of an answer that
never came whether its probe arrived: which way lost it.
"""

import struct
from dataclasses import dataclass

PROBE, ANSWER = b"HBp1", b"HBa1"
SIZE_BYTES = 64
SEEN_BITS = 224
_PROBE = struct.Struct("!4sQI48x")
_ANSWER = struct.Struct("!4sQIqIII28s")


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe."""

    session: int
    number: int


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one probe."""

    session: int
    number: int
    arrived_ns: int
    """When the probe arrived, by the responder's clock."""
    since_ms: int
    """When the first probe of this session arrived, modulo 2^32: another value: the responder started anew."""
    newest: int
    """Greatest number that arrived."""
    count: int
    """Number of probes that arrived, each counted once."""
    seen: int
    """Bit i: number `newest - 1 - i` arrived."""


def encode_probe(probe: Probe) -> bytes:
    """Return a probe as bytes."""
    return _PROBE.pack(PROBE, probe.session, probe.number)


def decode_probe(data: bytes) -> Probe | None:
    """Return the probe in a datagram; None if it is none."""
    if len(data) != SIZE_BYTES or not data.startswith(PROBE):
        return None
    _, session, number = _PROBE.unpack(data)
    return Probe(session, number)


def encode_answer(answer: Answer) -> bytes:
    """Return an answer as bytes."""
    return _ANSWER.pack(
        ANSWER,
        answer.session,
        answer.number,
        answer.arrived_ns,
        answer.since_ms,
        answer.newest,
        answer.count,
        answer.seen.to_bytes(SEEN_BITS // 8, "big"),
    )


def decode_answer(data: bytes) -> Answer | None:
    """Return the answer in a datagram; None if it is none."""
    if len(data) != SIZE_BYTES or not data.startswith(ANSWER):
        return None
    _, session, number, arrived_ns, since_ms, newest, count, seen = _ANSWER.unpack(data)
    return Answer(session, number, arrived_ns, since_ms, newest, count, int.from_bytes(seen, "big"))
