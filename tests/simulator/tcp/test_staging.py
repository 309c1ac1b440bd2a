"""The transport's packets in a tunnel: staged until there is a key, sent with it, or dropped."""

from math import inf
from typing import Any

import pytest
from tests.simulator.test_stream import connection, deliveries, rules
from tests.simulator.tunnel.tunnelled import RTT_S, notes, tunnelled

from heartbench.simulator.connection import HEARTBEAT, HEARTBEAT_BYTES, POWER, PROCESS, READY, is_over, make_connection
from heartbench.simulator.link import DOWN, UP
from heartbench.simulator.stream import advance, close, connect, next_event, send
from heartbench.simulator.tcp.flow import PACKETS
from heartbench.simulator.tcp.staging import MOST_STAGED, MOST_STAGED_BORINGTUN, label
from heartbench.simulator.tcp.staging import send as send_packet
from heartbench.simulator.tunnel.handshake import REKEY_JITTER_S, REKEY_TIMEOUT_S
from heartbench.simulator.tunnel.wireguard import datagram_bytes, resume
from heartbench.simulator.tunnel_state import BORINGTUN, EXPIRED, WIREGUARD


def drive(made: Any, on: Any, until: float) -> None:
    while advance(made, on, until) < until:
        pass


def test_a_connection_through_a_tunnel_is_ready_a_round_trip_later() -> None:
    on = tunnelled()
    made = connection(on)
    while made.state != READY:
        at = advance(made, on, 10.0)
    assert at == pytest.approx(3 * RTT_S)


def test_staged_packets_leave_in_order_with_the_handshake() -> None:
    on = tunnelled((200.0, 500.0))
    made = connection(on)
    drive(made, on, 199.0)
    for i in range(20):
        at = 199.5 + 10.0 * i
        drive(made, on, at)
        send(made, on, at, HEARTBEAT_BYTES, HEARTBEAT, i)
    drive(made, on, 500.0 + REKEY_TIMEOUT_S + REKEY_JITTER_S + 3 * RTT_S)
    assert EXPIRED in [what for what, _ in notes(on)]
    arrived_s = deliveries(made)
    assert len(arrived_s) == 20
    assert arrived_s == sorted(arrived_s)
    assert on.tunnel.ends[UP].staged == 0


@pytest.mark.parametrize(
    ("kind", "most", "first"), [(WIREGUARD, MOST_STAGED, 22), (BORINGTUN, MOST_STAGED_BORINGTUN, 0)]
)
def test_the_queue_is_short_and_drops_its_oldest_packet_but_boringtun_the_newest(
    kind: int, most: int, first: int
) -> None:
    on = tunnelled((0.0, inf), kind=kind)
    flow = connection(on).up
    flow.wire_head = flow.wire_tail = 0
    on.tunnel.ends[UP].staged = 0
    for segment in range(most + 22):
        packet = flow.packets[flow.wire_tail % PACKETS]
        packet.arrives_s, packet.segment = send_packet(flow, on, 1.0, 60), segment
        flow.wire_tail += 1
        label(flow, on, 60)
    assert on.tunnel.ends[UP].staged == flow.wire_tail == most
    assert [int(flow.packets[i].segment) for i in range(most)] == list(range(first, first + most))


def test_a_syn_that_waits_for_a_key_leaves_before_the_next_one() -> None:
    on = tunnelled((0.0, 100.0))
    made = make_connection(rules())
    connect(made, on, 0.0, inf)
    drive(made, on, 99.0)
    while made.state != READY:
        at = advance(made, on, 130.0)
    assert at < 100.0 + REKEY_TIMEOUT_S + REKEY_JITTER_S + 3 * RTT_S < made.syn_timer_s


def test_what_is_staged_is_dropped_when_the_handshake_is_given_up() -> None:
    on = tunnelled((0.0, inf))
    made = make_connection(rules())
    connect(made, on, 0.0, 10.0)
    drive(made, on, 90.0)
    assert on.tunnel.ends[UP].staged == made.up.wire_tail - made.up.wire_head > 3
    drive(made, on, 130.0)
    assert on.tunnel.ends[UP].staged == made.up.wire_tail - made.up.wire_head == 0
    assert is_over(made)


def test_a_node_that_lost_power_begins_with_a_handshake_and_the_hub_accepts_it() -> None:
    on = tunnelled()
    made = connection(on)
    drive(made, on, 50.0)
    close(made, on, 50.0, POWER)
    assert on.tunnel.ends[UP].current == 0 < on.tunnel.ends[DOWN].current
    resume(on, 50.0, 60.0)
    connect(made, on, 60.0, 80.0)
    while made.state != READY:
        at = advance(made, on, 80.0)
    assert at == pytest.approx(60.0 + 3 * RTT_S)


def test_a_connection_that_is_left_comes_to_its_end_though_the_tunnel_lives_on() -> None:
    on = tunnelled(persistent_keepalive_s=25.0)
    made = connection(on)
    drive(made, on, 50.0)
    close(made, on, 50.0, PROCESS)
    while not is_over(made):
        drive(made, on, next_event(made))
    assert next_event(made) == inf
    assert made.hub_closed_s < 51.0


def test_a_packet_grows_by_60_bytes_outside_the_tunnel_and_is_padded_to_16_but_not_beyond_the_mtu() -> None:
    assert [datagram_bytes(size) for size in (0, 1, 16, 40, 1400, 1420)] == [60, 76, 76, 108, 1468, 1480]
