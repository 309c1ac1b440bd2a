"""WireGuard between a node and the hub: keys, handshakes and timers of both ends, as a state machine.

    transmit_data(link, who, at)            the transport sends a packet: when it arrives; NaN: lost; inf: it is staged
    receive(link, who, number, ...)         a packet arrives that is encrypted with key `number`; whether it is accepted
    step(link, at)                          the tunnel's next event: a message of its own arrives, or a timer fires
    catch_up(link, until)                   all of them before a time; to be called before the two above
    lose_power, resume, move                the node's power, and its address

Rules and times are those of the whitepaper (Donenfeld, "WireGuard: Next Generation Kernel Network Tunnel", NDSS 2017,
section 6) as wireguard-go implements them (device/constants.go, timers.go, send.go, receive.go, noise-protocol.go,
which follow the kernel's timers.c):

    key        usable for 180 s from its handshake at each end; without one, packets are staged
    rekey      by the initiator of the key: when it sends and the key is older than 120 s, or receives and it is 165 s
    retry      an initiation is repeated after 5 s + at most 333 ms; the 20th unanswered one gives up. Each packet that
               is staged starts the count again. No initiation leaves within 5 s of an earlier one or of a response
    unanswered data that nothing answers within 15 s (+ at most 333 ms) starts a handshake
    keepalive  10 s after data arrived, if nothing was sent since; a persistent one after each interval without traffic
    zero       540 s after its last handshake an end forgets its keys and drops what is staged
    responder  it uses a new key once a packet that is encrypted with it has arrived; of initiations less than 20 ms
               apart it answers the first

If both ends initiate at once, each answers the other, and neither accepts an answer (its own handshake is overwritten).
boringtun differs (boringtun/src/noise/mod.rs, timers.rs): it gives up 90 s after its first initiation, whatever is
staged, and forgets its keys then; it has no jitter, and looks at its timers every 250 ms.

Left out: cookie replies, because no hub is under load here; limits by message count; the time that cryptography takes.
"""

from math import inf

from heartbench.simulator.kernel import kernel, part
from heartbench.simulator.link import DOWN, UP, Link
from heartbench.simulator.tunnel.handshake import (
    HEADERS_BYTES,
    INITIATIONS_APART_S,
    OVERHEAD_BYTES,
    REJECT_AFTER_S,
    REKEY_TIMEOUT_S,
    accept_response,
    complete,
    forget_keys,
    has_key,
    heard,
    initiate,
    launch,
    note_handshake,
    rekey_if_old,
    respond,
    retry,
    send_keepalive,
    with_jitter,
)
from heartbench.simulator.tunnel_state import (
    EXPIRED,
    IN_FLIGHT,
    INITIATION,
    KEEPALIVE,
    NO_TUNNEL,
    STAY,
    reset_end,
    schedule,
    take_note,
    wake,
)

KEEPALIVE_S = 10.0
UNANSWERED_S = KEEPALIVE_S + REKEY_TIMEOUT_S
PADDING_BYTES = 16
MTU_BYTES = 1420  # of the tunnel, as wg-quick sets it; a packet is not padded beyond it
LATE_REKEY_AFTER_S = REJECT_AFTER_S - KEEPALIVE_S - REKEY_TIMEOUT_S


@part
def transmit_data(link: Link, who: int, at: float, size: int = 0) -> float:
    """Return when a packet of `size` bytes arrives that is sent at `at`; NaN: it is lost; inf: it must be staged."""
    end = link.tunnel.ends[who]
    if not has_key(end, at):
        _need_key(link, who, at)
        return inf
    arrives = launch(link, who, at, datagram_bytes(size))
    if end.unanswered_s == inf:
        end.unanswered_s = at + UNANSWERED_S
        end.is_overdue = False
        wake(link.tunnel, end.unanswered_s)
    rekey_if_old(link, who, at)
    return arrives


@part
def datagram_bytes(size: int) -> int:
    """Return the size of the IP packet outside the tunnel that carries one of `size` bytes inside it."""
    padded = -(-size // PADDING_BYTES) * PADDING_BYTES
    return HEADERS_BYTES + OVERHEAD_BYTES + (padded if padded <= MTU_BYTES else max(size, MTU_BYTES))


@kernel
def _need_key(link: Link, who: int, at: float) -> None:
    """Start a handshake for a packet that cannot be sent."""
    end = link.tunnel.ends[who]
    if who == UP and end.staged == 0 and end.current > 0:
        take_note(link.tunnel, EXPIRED, at)
    initiate(link, who, at, False)
    note_handshake(link, who)


@part
def receive(link: Link, who: int, number: int, is_data: bool, at: float) -> bool:
    """Process a packet that arrives at `who`, encrypted with key `number`; return whether it is accepted."""
    end = link.tunnel.ends[who]
    is_usual = number == end.current and number > 0 and at - end.current_s <= REJECT_AFTER_S
    if not is_usual and not _uses_another_key(link, who, number, at):
        return False
    if end.is_initiator and at - end.current_s > LATE_REKEY_AFTER_S and not end.was_late_rekey:
        end.was_late_rekey = True
        initiate(link, who, at, False)
    heard(link, who, at)
    if is_data and end.keepalive_s == inf:
        end.keepalive_s = at + KEEPALIVE_S
        wake(link.tunnel, end.keepalive_s)
    elif is_data:
        end.needs_another = True
    return True


@kernel
def _uses_another_key(link: Link, who: int, number: int, at: float) -> bool:
    """Return whether `number` is that of another good key; the next one becomes the current one."""
    end = link.tunnel.ends[who]
    if number == 0:
        return False
    if number == end.previous:
        return at - end.previous_s <= REJECT_AFTER_S
    if number != end.next or at - end.next_s > REJECT_AFTER_S:
        return False
    end.previous, end.previous_s = end.current, end.current_s
    end.current, end.current_s, end.is_initiator = end.next, end.next_s, False
    end.next = 0
    complete(link, who, at)
    return True


@part
def step(link: Link, at: float) -> None:
    """Process one thing that the tunnel has due at `at`, a message of its own or a timer, and set what is next."""
    _step(link, at)
    schedule(link.tunnel)


@part
def _step(link: Link, at: float) -> None:
    tunnel = link.tunnel
    for direction in range(2):
        way = tunnel.ways[direction]
        if way.first_s <= at:
            message = way.messages[way.head % IN_FLIGHT]
            way.head += 1
            way.first_s = inf if way.head == way.tail else way.messages[way.head % IN_FLIGHT].arrives_s
            if direction == UP or tunnel.is_on:
                _message_arrives(link, 1 - direction, message.what, message.number, at)
            return
    if not _timer_fires(link, UP, at):
        _timer_fires(link, DOWN, at)


@part
def _message_arrives(link: Link, who: int, what: int, number: int, at: float) -> None:
    end = link.tunnel.ends[who]
    if what == KEEPALIVE:
        receive(link, who, number, False, at)
    elif what == INITIATION:
        if at - end.consumed_s > INITIATIONS_APART_S:
            respond(link, who, number, at)
    elif number == end.awaited:
        accept_response(link, who, number, at)


@part
def _timer_fires(link: Link, who: int, at: float) -> bool:
    """Process the first timer of `who` that is due and return whether there is one."""
    end = link.tunnel.ends[who]
    if end.retry_s <= at:
        end.retry_s = inf
        retry(link, who, at)
    elif end.keepalive_s <= at:
        end.keepalive_s = inf
        send_keepalive(link, who, at)
        if end.needs_another:
            end.needs_another = False
            end.keepalive_s = at + KEEPALIVE_S
    elif end.unanswered_s <= at:
        _answer_is_late(link, who, at)
    elif end.persistent_s <= at:
        end.persistent_s = inf
        send_keepalive(link, who, at)
    elif end.zero_s <= at:
        end.zero_s = inf
        forget_keys(end)
    else:
        return False
    return True


@part
def _answer_is_late(link: Link, who: int, at: float) -> None:
    """Begin a handshake because data was not answered, after the jitter, which few of these timers live to need."""
    end = link.tunnel.ends[who]
    if end.is_overdue:
        end.unanswered_s = inf
        initiate(link, who, at, False)
    else:
        end.is_overdue = True
        end.unanswered_s = with_jitter(link, at)


@kernel
def lose_power(link: Link, at: float) -> None:
    """Process that the node loses its power: its end forgets everything, the hub's end does not know."""
    tunnel = link.tunnel
    if link.profile.tunnel.kind != NO_TUNNEL:
        catch_up(link, at)
        reset_end(tunnel.ends[UP])
        tunnel.is_on = False
        tunnel.power_lost_s = at
        schedule(tunnel)


@kernel
def resume(link: Link, power_lost_s: float, at: float) -> None:
    """Make up for what the tunnel did while no connection drove it, up to `at`, where the node begins a new one.

    Nothing is staged in that time. `power_lost_s` is the node's last power loss, -inf if there was none.
    """
    tunnel = link.tunnel
    if link.profile.tunnel.kind == NO_TUNNEL:
        return
    for who in range(2):
        tunnel.ends[who].staged, tunnel.ends[who].staged_outcome = 0, STAY
    if power_lost_s > tunnel.power_lost_s:
        lose_power(link, power_lost_s)
    catch_up(link, at)
    tunnel.is_on = True


@part
def catch_up(link: Link, until: float) -> None:
    """Process what the tunnel had due before `until`. It concerns no connection, because none has packets staged."""
    if link.tunnel.next_s < until:
        _catch_up(link, until)


@kernel
def _catch_up(link: Link, until: float) -> None:
    schedule(link.tunnel)  # most timers that were set have been stopped since, and nothing is due
    while link.tunnel.next_s < until:
        step(link, link.tunnel.next_s)


@kernel
def move(link: Link, at: float) -> None:
    """Process that the node has another address from `at` on: the hub cannot reach it until it has sent something.

    What is in flight still arrives. Not modelled: a hub that is told of the new address in another way.
    """
    catch_up(link, at)
    link.tunnel.knows_node = False
    link.tunnel.moved_behind_s = max(at, link.last_arrival[UP])
