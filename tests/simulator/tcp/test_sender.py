"""What a sender does when the link takes its packets: probe, timeout, doubling, giving up, and what it may have out."""

from itertools import pairwise
from math import inf
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulator.test_link import link
from tests.simulator.test_stream import deliveries, ready

from heartbench.simulator import stream
from heartbench.simulator.connection import CHUNK, CLOSED, HEARTBEAT, HEARTBEAT_BYTES, READY
from heartbench.simulator.tcp.flow import INITIAL_WINDOW, SEGMENTS
from heartbench.simulator.tcp.sender import GIVE_UP_S
from heartbench.simulator.tcp.timers import RTO_MAX_S

OUT_S = 1.0  # when the outage of `cut` begins


def cut(until: float = inf, **fields: float) -> tuple[Any, Any]:
    """A connection that is ready, with one heartbeat written as its link is gone; 20 ms round trip."""
    on = link([(OUT_S, until)])
    made, _ = ready(on, **fields)
    stream.advance(made, on, OUT_S)
    stream.send(made, on, OUT_S, HEARTBEAT_BYTES, HEARTBEAT, 0)
    return made, on


def transmissions(made: Any, on: Any, until: float) -> list[float]:
    """When the oldest segment was sent, each time."""
    sent = [float(made.up.last_sent_s)]
    while stream.next_event(made) <= until and made.state == READY:
        stream.advance(made, on, stream.next_event(made))
        if made.up.last_sent_s > sent[-1]:
            sent.append(float(made.up.last_sent_s))
    return sent


def test_a_probe_then_a_timeout_then_each_wait_is_twice_the_last() -> None:
    made, on = cut()
    first, probe, *retries = transmissions(made, on, 60.0)
    assert probe - first == pytest.approx(0.22, abs=0.01)  # twice the round trip and 200 ms, but not beyond the RTO
    waits = [later - sooner for sooner, later in pairwise([probe, *retries])]
    # 0.22 s doubled; the notch of the wheel is an eighth of a wait at most.
    assert waits == pytest.approx([0.22 * 2.0**k for k in range(len(waits))], rel=0.15)
    assert len(waits) == 8


def test_waits_end_at_two_minutes_and_a_silent_link_is_given_up_after_15_retries() -> None:
    made, on = cut()
    waits = [later - sooner for sooner, later in pairwise(transmissions(made, on, 2000.0))]
    assert max(waits) == pytest.approx(RTO_MAX_S, rel=0.15)
    assert made.state == CLOSED
    assert made.node_closed_s - OUT_S >= GIVE_UP_S


@pytest.mark.parametrize("user_timeout_s", [3.0, 5.0, 10.0, 20.0, 60.0])
def test_the_node_gives_up_its_user_timeout_after_the_first_retransmission(user_timeout_s: float) -> None:
    made, on = cut(user_timeout_s=user_timeout_s)
    sent = transmissions(made, on, 200.0)
    # The last wait is cut to what is left, and rounds up to a notch of the wheel.
    assert 0.0 <= made.node_closed_s - (sent[2] + user_timeout_s) <= 0.15 * user_timeout_s


@given(st.floats(1.0, 50.0))
@settings(max_examples=30)
def test_an_outage_delays_a_heartbeat_by_up_to_its_own_length_again(outage_s: float) -> None:
    made, on = cut(OUT_S + outage_s)
    stream.advance(made, on, 300.0)
    (arrived,) = deliveries(made)
    assert OUT_S + outage_s <= arrived <= OUT_S + 2.3 * outage_s + 0.5


def test_what_was_written_in_an_outage_comes_with_the_first_retransmission_behind_it() -> None:
    made, on = cut(12.0)
    for second in range(2, 12):
        stream.advance(made, on, float(second))
        stream.send(made, on, float(second), HEARTBEAT_BYTES, HEARTBEAT, second)
    stream.advance(made, on, 60.0)
    arrived = deliveries(made)
    assert len(arrived) == 11
    assert arrived[-1] - arrived[0] < 0.1


@given(st.floats(0.0, 0.4), st.integers(1, 400), st.integers(0, 20))
@settings(max_examples=25)
def test_no_more_is_out_than_window_and_receiver_allow(loss: float, messages: int, node: int) -> None:
    on = link(node=node)
    made, at = ready(on)
    on.profile.loss_good[:] = loss  # not before: enough SYNs may be lost
    for number in range(messages):
        stream.send(made, on, at, 1000, CHUNK, number)
    most = INITIAL_WINDOW
    while stream.next_event(made) < at + 30.0 and made.state == READY:
        stream.advance(made, on, stream.next_event(made))
        up = made.up
        most = max(most, int(up.cwnd) + 1)
        assert 1.0 <= up.cwnd <= INITIAL_WINDOW + messages
        assert up.snd_nxt - up.snd_una <= SEGMENTS - 1
        assert 0 <= up.sacked_out + up.lost_out <= up.snd_nxt - up.snd_una - up.joined


def test_slow_start_doubles_each_round_trip() -> None:
    on = link()
    made, at = ready(on)
    for number in range(150):
        stream.send(made, on, at, 1368, CHUNK, number)
    stream.advance(made, on, at + 1.0)
    arrived = deliveries(made, CHUNK)
    by_round = [
        sum(at + 0.01 + 0.02 * k - 0.001 < one < at + 0.03 + 0.02 * k - 0.001 for one in arrived) for k in range(4)
    ]
    assert by_round == [10, 20, 40, 80]


@pytest.mark.parametrize(
    ("idle_rtos", "window", "left"),
    [(0.5, 80.0, 80.0), (1.5, 80.0, 40.0), (2.5, 80.0, 20.0), (9.5, 80.0, INITIAL_WINDOW), (9.5, 4.0, 4.0)],
)
def test_the_window_is_halved_for_each_timeout_without_sending(idle_rtos: float, window: float, left: float) -> None:
    on = link()
    made, _ = ready(on)
    stream.advance(made, on, 1.0)
    made.up.cwnd = window
    at = made.up.last_sent_s + idle_rtos * made.up.rto_s
    stream.advance(made, on, at)
    stream.send(made, on, at, HEARTBEAT_BYTES, HEARTBEAT, 0)
    assert made.up.cwnd == left


@pytest.mark.parametrize("outage_s", [1.0, 1.9, 4.0, 8.0])
def test_a_chunk_that_an_outage_cuts_is_repaired_without_another_loss(outage_s: float) -> None:
    """Each loss narrows the threshold: from the first window of 10 it falls to 7, and there is one."""
    on = link([(OUT_S, OUT_S + outage_s)], base_s=0.15)
    made, _ = ready(on)
    stream.advance(made, on, OUT_S)
    for at in (OUT_S, OUT_S + 0.5):
        stream.advance(made, on, at)
        stream.send(made, on, at, 64 << 10, CHUNK, 0)
    stream.advance(made, on, 60.0)
    assert len(deliveries(made, CHUNK)) == 2
    assert made.up.ssthresh == 7.0
