"""Handshakes and messages of a WireGuard tunnel's own: how an end gets a key, and what it does until then."""

from math import ceil, inf, nan

from heartbench.simulator import counter_rng
from heartbench.simulator.counter_rng import Purpose
from heartbench.simulator.kernel import kernel, part
from heartbench.simulator.link import DOWN, UP, Link, transmit
from heartbench.simulator.tunnel_state import (
    BEGUN,
    BORINGTUN,
    DISCARD,
    GIVEN_UP,
    IN_FLIGHT,
    INITIATION,
    KEEPALIVE,
    LEAVE,
    NUMBERS,
    RESPONSE,
    SUCCEEDED,
    End,
    take_note,
    wake,
)

REKEY_AFTER_S = 120.0
REJECT_AFTER_S = 180.0
REKEY_TIMEOUT_S = 5.0
REKEY_JITTER_S = 0.333
ZERO_AFTER_S = 3.0 * REJECT_AFTER_S
MOST_RETRIES = 18  # one more is sent before it gives up: the count begins at 0
INITIATIONS_APART_S = 0.02

BORINGTUN_ATTEMPT_S = 90.0
BORINGTUN_TICK_S = 0.25

HARDLY_S = 1e-9

HEADERS_BYTES = 20 + 8  # IPv4 and UDP
OVERHEAD_BYTES = 16 + 16  # header of a data message, and its authentication tag
MESSAGE_BYTES = (148, 92, OVERHEAD_BYTES)  # of INITIATION, RESPONSE and KEEPALIVE


@part
def has_key(end: End, at: float) -> bool:
    """Return whether an end can encrypt."""
    return end.current > 0 and at - end.current_s < REJECT_AFTER_S


@part
def launch(link: Link, who: int, at: float, size: int) -> float:
    """Put an authenticated packet of `size` bytes, outside, on the link; return when it arrives, or NaN: it is lost."""
    link.tunnel.ends[who].keepalive_s = inf
    _traverse(link, who, at)
    if who == DOWN and not link.tunnel.knows_node:
        return nan
    return transmit(link, who, at, size)


@part
def heard(link: Link, who: int, at: float) -> None:
    """Process that an authenticated packet has arrived."""
    tunnel = link.tunnel
    if who == DOWN and at > tunnel.moved_behind_s:
        tunnel.knows_node = True
    tunnel.ends[who].unanswered_s = inf
    _traverse(link, who, at)


@part
def _traverse(link: Link, who: int, at: float) -> None:
    """Restart the persistent keepalive: an authenticated packet was sent or received."""
    if who == UP and link.profile.tunnel.persistent_keepalive_s > 0.0:
        link.tunnel.ends[who].persistent_s = at + link.profile.tunnel.persistent_keepalive_s
        wake(link.tunnel, link.tunnel.ends[who].persistent_s)


@kernel
def with_jitter(link: Link, at: float) -> float:
    """Return when a timer fires that is due at `at` and has jitter."""
    if link.profile.tunnel.kind == BORINGTUN:
        return ceil(at / BORINGTUN_TICK_S) * BORINGTUN_TICK_S
    draw = counter_rng.uniform(link.draws[Purpose.TUNNEL], link.tunnel.waits)
    link.tunnel.waits += 1
    return at + draw * REKEY_JITTER_S


@part
def _send_own(link: Link, who: int, what: int, number: int, at: float) -> None:
    """Send a message of the tunnel's own."""
    arrives, way = launch(link, who, at, HEADERS_BYTES + MESSAGE_BYTES[what]), link.tunnel.ways[who]
    if arrives < inf and way.tail - way.head < IN_FLIGHT:
        if way.tail > way.head:  # they are processed in the order in which they were sent
            arrives = max(arrives, way.messages[(way.tail - 1) % IN_FLIGHT].arrives_s)
        else:
            way.head = way.tail = 0  # an empty ring starts over, on the same cache lines
            way.first_s = arrives
        message = way.messages[way.tail % IN_FLIGHT]
        way.tail += 1
        message.arrives_s, message.what, message.number = arrives, what, number
        wake(link.tunnel, arrives)


@part
def send_keepalive(link: Link, who: int, at: float) -> None:
    """Send a packet without data, or ask for a key."""
    if has_key(link.tunnel.ends[who], at):
        _send_own(link, who, KEEPALIVE, link.tunnel.ends[who].current, at)
        rekey_if_old(link, who, at)
    else:
        initiate(link, who, at, False)


@part
def rekey_if_old(link: Link, who: int, at: float) -> None:
    """Begin a handshake if an end has sent something with an old key that it had asked for."""
    end = link.tunnel.ends[who]
    if end.is_initiator and at - end.current_s > REKEY_AFTER_S:
        initiate(link, who, at, False)


@kernel
def _retry_after(link: Link, who: int, sent_s: float) -> None:
    """Set the timer that repeats an initiation; `sent_s` is when the last message of a handshake left."""
    end = link.tunnel.ends[who]
    end.retry_s = with_jitter(link, sent_s + REKEY_TIMEOUT_S)
    wake(link.tunnel, end.retry_s)


@kernel
def initiate(link: Link, who: int, at: float, is_retry: bool) -> None:
    """Send an initiation, unless one, or a response, has just left."""
    tunnel, end = link.tunnel, link.tunnel.ends[who]
    if not is_retry:
        if link.profile.tunnel.kind == BORINGTUN and end.is_seeking:
            return
        end.attempts = 0
    if at - end.handshake_sent_s < REKEY_TIMEOUT_S - HARDLY_S:
        if is_retry and link.profile.tunnel.kind == BORINGTUN:  # what is staged later begins no other handshake
            _retry_after(link, who, end.handshake_sent_s)
        return
    if end.is_seeking:
        note_handshake(link, who)
    else:
        end.is_seeking, end.begun_s = True, at
    tunnel.numbers = tunnel.numbers % NUMBERS + 1
    end.awaited = tunnel.numbers
    end.handshake_sent_s = at
    _send_own(link, who, INITIATION, end.awaited, at)
    _retry_after(link, who, at)


@kernel
def note_handshake(link: Link, who: int) -> None:
    """Record that a handshake of the node began: it keeps packets waiting, or its first message was not enough."""
    end = link.tunnel.ends[who]
    if who == UP and not end.is_noted:
        end.is_noted = True
        if end.is_seeking:
            take_note(link.tunnel, BEGUN, end.begun_s)


@kernel
def complete(link: Link, who: int, at: float) -> None:
    """End the handshake: there is a key that may be used, and what is staged may leave."""
    end = link.tunnel.ends[who]
    end.retry_s = inf
    end.attempts = 0
    end.is_seeking = end.was_late_rekey = False
    if end.staged > 0:
        end.staged_outcome = LEAVE
    if end.is_noted:
        end.is_noted = False
        take_note(link.tunnel, SUCCEEDED, at)


@kernel
def respond(link: Link, who: int, number: int, at: float) -> None:
    """Answer an initiation; this ends any handshake that `who` itself has begun, but not its timer."""
    end = link.tunnel.ends[who]
    end.consumed_s = end.handshake_sent_s = at
    end.awaited = 0
    heard(link, who, at)
    end.next, end.next_s = number, at
    end.previous = 0
    _zero_later(link, who, at)
    _send_own(link, who, RESPONSE, number, at)


@kernel
def accept_response(link: Link, who: int, number: int, at: float) -> None:
    """Use the key of the handshake that `who` began, and show it to the other end."""
    end = link.tunnel.ends[who]
    end.awaited = 0
    heard(link, who, at)
    if end.next > 0:
        end.previous, end.previous_s = end.next, end.next_s
        end.next = 0
    else:
        end.previous, end.previous_s = end.current, end.current_s
    end.current, end.current_s, end.is_initiator = number, at, True
    _zero_later(link, who, at)
    complete(link, who, at)
    if end.staged == 0:
        _send_own(link, who, KEEPALIVE, number, at)


@kernel
def retry(link: Link, who: int, at: float) -> None:
    """Repeat an initiation that was not answered, or give up."""
    end = link.tunnel.ends[who]
    is_boringtun = link.profile.tunnel.kind == BORINGTUN
    if at - end.begun_s >= BORINGTUN_ATTEMPT_S if is_boringtun else end.attempts > MOST_RETRIES:
        end.keepalive_s = inf
        _discard(end)
        end.is_seeking = end.is_noted = False
        if who == UP:
            take_note(link.tunnel, GIVEN_UP, at)
        if is_boringtun:
            forget_keys(end)
        elif end.zero_s == inf:
            _zero_later(link, who, at)
    else:
        end.attempts += 1
        initiate(link, who, at, True)


@part
def _zero_later(link: Link, who: int, at: float) -> None:
    link.tunnel.ends[who].zero_s = at + ZERO_AFTER_S
    wake(link.tunnel, at + ZERO_AFTER_S)


@part
def forget_keys(end: End) -> None:
    """Forget all keys, and drop what waits for one."""
    end.current = end.next = end.previous = end.awaited = 0
    _discard(end)


@part
def _discard(end: End) -> None:
    if end.staged > 0:
        end.staged_outcome = DISCARD
