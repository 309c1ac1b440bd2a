"""A gRPC connection on a link: how it opens, what it delivers, and how each end comes to know that it is over."""

from math import inf, isnan
from typing import Any

import numpy as np
import pytest
from tests.simulator.test_link import link

from heartbench.simulator import stream
from heartbench.simulator.connection import (
    CHUNK,
    CLOSED,
    CONNECT_TIMEOUT_S,
    HEARTBEAT,
    HEARTBEAT_ACK,
    HEARTBEAT_ASKING,
    HEARTBEAT_BYTES,
    HELLO,
    HUB_DOWN,
    HUB_PAUSED,
    HUB_RUNS,
    POWER,
    PROCESS,
    READY,
    RULES,
    SETTINGS,
    WELCOME,
    is_over,
    make_connection,
)
from heartbench.simulator.link import OWN, next_outage
from heartbench.simulator.stream import advance, close, connect, send
from heartbench.simulator.tcp.flow import LOSS, OPEN, PACKETS

RTT_S = 0.02


def rules(**fields: float) -> np.ndarray:
    record = np.zeros(1, RULES).view(np.recarray)
    record[0].ping_timeout_s = 60.0
    for name, value in fields.items():
        record[name] = value
    return record


def connection(on: Any, at: float = 0.0, **fields: float) -> Any:
    made = make_connection(rules(**fields))
    connect(made, on, at, at + CONNECT_TIMEOUT_S)
    return made


def ready(on: Any, **fields: float) -> tuple[Any, float]:
    made = connection(on, **fields)
    advance(made, on, 10.0)
    at = advance(made, on, 10.0)
    assert made.state == READY
    return made, at


def deliveries(made: Any, kind: int = HEARTBEAT) -> list[float]:
    up = made.up
    return [float(up.log[i].delivered_s) for i in range(up.delivered) if up.log[i].kind == kind]


def test_a_connection_is_ready_after_two_round_trips() -> None:
    _, at = ready(link())
    assert at == pytest.approx(2 * RTT_S)


def test_syns_are_repeated_each_second_and_the_attempt_ends_after_20_seconds() -> None:
    cut = link([(0.0, inf)])
    made = connection(cut)
    assert advance(made, cut, 60.0) == pytest.approx(CONNECT_TIMEOUT_S)
    assert made.state == CLOSED
    assert made.syns == 9  # at 0, 1, 2, 3, 4, 5, 7, 11 and 19 s, each a little later by the timer's granularity


def test_a_node_connects_when_the_link_is_back() -> None:
    back = link([(0.0, 2.5)])
    made = connection(back)
    advance(made, back, 10.0)
    assert advance(made, back, 10.0) == pytest.approx(3.0 + 2 * RTT_S, abs=0.15)


def test_messages_arrive_once_and_in_order() -> None:
    on = link(good_mean_s=2.0, bad_mean_s=1.0, loss_bad=0.7)
    made, at = ready(on)
    for i in range(200):
        advance(made, on, at + 0.3 * i)
        send(made, on, at + 0.3 * i, HEARTBEAT_BYTES, HEARTBEAT, i)
    advance(made, on, at + 400.0)
    tags = [int(made.up.log[i].tag) for i in range(made.up.delivered) if made.up.log[i].kind == HEARTBEAT]
    assert tags == list(range(200))
    assert deliveries(made) == sorted(deliveries(made))


def test_the_hub_answers_hello_and_the_heartbeats_that_ask() -> None:
    on = link()
    made, at = ready(on)
    for kind in (HELLO, HEARTBEAT, HEARTBEAT_ASKING):
        send(made, on, at, 50, kind, -1)
    advance(made, on, at + 1.0)
    answers = [int(made.down.log[i].kind) for i in range(made.down.delivered)]
    assert answers == [SETTINGS, WELCOME, HEARTBEAT_ACK]


def test_a_process_that_exits_still_delivers_and_the_hub_sees_its_end() -> None:
    on = link([(1.0, 4.0)])
    made, _ = ready(on)
    advance(made, on, 1.5)
    send(made, on, 1.5, HEARTBEAT_BYTES, HEARTBEAT, 0)
    close(made, on, 1.6, PROCESS)
    while not is_over(made):
        advance(made, on, stream.next_event(made))
    assert made.node_closed_s == 1.6
    assert len(deliveries(made)) == 1
    assert 4.0 < made.hub_closed_s < 8.0


def test_power_loss_is_silence() -> None:
    on = link()
    made, at = ready(on)
    send(made, on, at, HEARTBEAT_BYTES, HEARTBEAT, 0)
    close(made, on, at + 0.001, POWER)
    advance(made, on, 1000.0)
    assert len(deliveries(made)) == 1  # it was on its way
    assert isnan(made.hub_closed_s)


def test_a_user_timeout_ends_the_connection_at_the_node_alone() -> None:
    on = link([(1.0, inf)])
    made, _ = ready(on, user_timeout_s=5.0)
    advance(made, on, 1.5)
    send(made, on, 1.5, HEARTBEAT_BYTES, HEARTBEAT, 0)
    # Counted from the first retransmission: half a second after the message, at an RTO of 0.22 s behind a probe.
    assert advance(made, on, 100.0) == pytest.approx(7.0, abs=0.1)
    assert made.state == CLOSED
    assert isnan(made.hub_closed_s)


def test_a_hub_that_gave_up_answers_the_next_packet_with_a_reset() -> None:
    on = link([(1.0, 12.0)])
    made, _ = ready(on, hub_user_timeout_s=5.0)
    advance(made, on, 0.995)
    send(made, on, 0.995, HEARTBEAT_BYTES, HEARTBEAT_ASKING, 0)  # its answer meets the outage
    at = advance(made, on, 60.0)
    assert 6.0 < made.hub_closed_s < 7.0
    assert made.state == CLOSED
    assert at > 12.0


def test_an_unanswered_ping_ends_the_connection() -> None:
    on = link([(1.0, inf)])
    made, at = ready(on, keepalive_time_s=10.0, ping_timeout_s=15.0)
    assert advance(made, on, 100.0) == pytest.approx(at + 25.0, abs=0.1)
    assert made.state == CLOSED


def test_answered_pings_keep_a_silent_connection() -> None:
    on = link()
    made, _ = ready(on, keepalive_time_s=10.0, ping_timeout_s=15.0)
    assert advance(made, on, 1000.0) == 1000.0
    assert made.state == READY


def test_a_stream_without_room_takes_no_message() -> None:
    on = link([(1.0, inf)])
    made, _ = ready(on)
    advance(made, on, 2.0)
    taken = [send(made, on, 2.0, 100, CHUNK, i) for i in range(1100)]
    assert not all(taken)
    assert taken == sorted(taken, reverse=True)


def hub_that(*states: tuple[float, int]) -> np.ndarray:
    """Rules of a hub that takes each state at a time."""
    record = rules()
    record[0].hub.count = len(states)
    for n, (at_s, state) in enumerate(states):
        record[0].hub.at_s[n], record[0].hub.state[n] = at_s, state
    return record


def driven(on: Any, of: np.ndarray, until: float, at: float = 0.0) -> Any:
    made = make_connection(of)
    connect(made, on, at, at + CONNECT_TIMEOUT_S)
    while made.state != CLOSED and advance(made, on, until) < until:
        pass
    return made


def test_a_hub_that_dies_closes_its_connections_and_the_node_sees_it_after_the_way_down() -> None:
    made = driven(link(), hub_that((5.0, HUB_DOWN), (6.0, HUB_RUNS)), 10.0)
    assert made.hub_closed_s == 5.0
    assert made.node_closed_s == pytest.approx(5.0 + RTT_S / 2)


def test_a_node_that_cannot_hear_the_end_of_the_hub_learns_it_from_the_reset_of_what_it_sends() -> None:
    on = link([(4.9, 150.0)])
    made = driven(on, hub_that((5.0, HUB_DOWN), (6.0, HUB_RUNS)), 140.0)
    assert made.state == READY
    assert made.down.dead  # the kernel of the hub has given up
    send(made, on, 151.0, HEARTBEAT_BYTES, HEARTBEAT, 0)
    assert advance(made, on, 200.0) == pytest.approx(151.0 + RTT_S)
    assert made.state == CLOSED
    assert deliveries(made) == []


def test_a_hub_that_is_down_refuses_connections_at_once() -> None:
    of = hub_that((5.0, HUB_DOWN), (60.0, HUB_RUNS))
    assert driven(link(), of, 100.0, at=10.0).node_closed_s == pytest.approx(10.0 + RTT_S)
    assert driven(link(), of, 100.0, at=60.0).state == READY


def test_a_handshake_that_a_restart_of_the_hub_cuts_in_two_is_refused() -> None:
    made = driven(link(), hub_that((0.012, HUB_DOWN), (0.015, HUB_RUNS)), 10.0)  # SYN-ACK is on its way
    assert made.node_closed_s == pytest.approx(2 * RTT_S)
    assert not made.hub_open


def test_the_kernel_of_a_paused_hub_acknowledges_and_its_process_answers_when_it_runs_again() -> None:
    on = link()
    made = driven(on, hub_that((5.0, HUB_PAUSED), (65.0, HUB_RUNS)), 6.0)
    send(made, on, 6.0, HEARTBEAT_BYTES, HEARTBEAT_ASKING, 0)
    advance(made, on, 64.0)
    assert made.up.snd_una == made.up.snd_nxt
    assert made.down.delivered == 1  # SETTINGS
    advance(made, on, 66.0)
    assert made.down.log[1].kind == HEARTBEAT_ACK
    assert made.down.log[1].delivered_s == pytest.approx(65.0 + RTT_S / 2)


def test_a_connection_to_a_paused_hub_is_ready_when_it_runs_again_unless_the_attempt_is_over() -> None:
    of = hub_that((5.0, HUB_PAUSED), (30.0, HUB_RUNS))
    on = link()
    made = make_connection(of)
    connect(made, on, 15.0, 35.0)
    advance(made, on, 60.0)
    assert advance(made, on, 60.0) == pytest.approx(30.0 + RTT_S / 2)
    assert made.state == READY
    assert driven(link(), of, 60.0, at=6.0).node_closed_s == 26.0


def test_a_paused_hub_sees_the_end_of_a_node_when_it_runs_again() -> None:
    on = link()
    made = driven(on, hub_that((5.0, HUB_PAUSED), (30.0, HUB_RUNS)), 6.0)
    close(made, on, 6.0, PROCESS)
    while not is_over(made):
        advance(made, on, stream.next_event(made))
    assert made.hub_closed_s == 30.0


HOLD_S = 20.0


@pytest.mark.parametrize("alone", [[0.0, 0.0], [1.0, 0.0]])
def test_a_held_outage_makes_a_gap_of_about_its_own_length(alone: list[float]) -> None:
    holding: dict[str, Any] = {"outage_gap_mean_s": 60.0, "outage_s": HOLD_S, "alone": alone, "hold": 1.0}
    begins, ends, *_ = next_outage(link(**holding), OWN, 0.0)
    on = link(**holding)
    made, _ = ready(on)
    most = 0
    times = np.arange(1.0, next_outage(link(**holding), OWN, ends)[0], 1.0)
    for number, at in enumerate(times):
        while stream.next_event(made) <= at:
            advance(made, on, stream.next_event(made))
            most = max(most, made.up.wire_tail - made.up.wire_head)
        send(made, on, at, HEARTBEAT_BYTES, HEARTBEAT_ASKING, number)
    advance(made, on, times[-1] + 0.5)

    arrived = deliveries(made, HEARTBEAT_ASKING)
    assert len(arrived) == len(times)
    assert arrived == sorted(arrived)
    assert HOLD_S - 0.1 <= np.diff(arrived).max() <= HOLD_S + 1.1
    assert not [at for at in arrived if begins + RTT_S < at < ends]
    assert made.state == READY
    assert 5 < most < PACKETS / 10  # retransmissions waited as well


def test_a_timeout_in_a_held_outage_is_found_to_be_spurious() -> None:
    on = link(outage_gap_mean_s=60.0, outage_s=HOLD_S, hold=1.0)
    begins, ends, *_ = next_outage(link(outage_gap_mean_s=60.0, outage_s=HOLD_S), OWN, 0.0)
    made, _ = ready(on)
    window = float(made.up.cwnd)
    advance(made, on, begins + 1.0)
    send(made, on, begins + 1.0, HEARTBEAT_BYTES, HEARTBEAT, 0)
    advance(made, on, ends - 0.001)
    assert made.up.ca_state == LOSS
    advance(made, on, ends + 1.0)
    assert (made.up.ca_state, made.up.retransmits, made.up.snd_una) == (OPEN, 0, made.up.snd_nxt)
    assert made.up.cwnd >= window
