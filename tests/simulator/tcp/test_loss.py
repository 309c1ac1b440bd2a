"""A lost packet is found by what arrives after it, and repaired without a timeout; what was not lost is undone."""

from typing import Any

import pytest
from tests.simulator.test_link import link
from tests.simulator.test_stream import deliveries, ready

from heartbench.simulator import stream
from heartbench.simulator.connection import CHUNK

RTT_S = 0.02


def burst(out: tuple[float, float], pauses_s: float, count: int, size: int = 1000) -> tuple[Any, float]:
    """`count` messages, `pauses_s` apart from 1 s on, with the link gone from `out[0]` to `out[1]`."""
    on = link([out])
    made, _ = ready(on)
    for number in range(count):
        at = 1.0 + pauses_s * number
        stream.advance(made, on, at)
        stream.send(made, on, at, size, CHUNK, number)
    stream.advance(made, on, 60.0)
    return made, 1.0


def test_a_lost_packet_is_sent_again_when_later_ones_have_arrived() -> None:
    made, began = burst((1.0 - 1e-6, 1.0 + 1e-6), 0.002, 5)
    arrived = deliveries(made, CHUNK)
    # The second is told of after a round trip; three beyond the gap end the wait for a reordered packet.
    assert arrived[0] - began < 2.5 * RTT_S
    assert len(set(arrived)) == 1


def test_a_lone_lost_packet_waits_for_the_probe() -> None:
    made, began = burst((1.0 - 1e-6, 1.0 + 1e-6), 1.0, 1)
    (arrived,) = deliveries(made, CHUNK)
    assert arrived - began == pytest.approx(0.22 + RTT_S / 2.0, abs=0.03)


def test_a_repair_narrows_the_window_and_a_timeout_narrows_it_to_one() -> None:
    repaired, _ = burst((1.0 - 1e-6, 1.0 + 1e-6), 0.002, 5)
    assert repaired.up.ssthresh < 10
    on = link([(1.0, 10.0)])
    made, _ = ready(on)
    stream.advance(made, on, 1.0)
    for number in range(8):
        stream.send(made, on, 1.0, 1000, CHUNK, number)
    stream.advance(made, on, 5.0)
    assert made.up.cwnd == 1.0
    assert made.up.ssthresh == 7.0  # 717/1024 of 10


def test_counts_are_nought_again_when_all_is_acknowledged() -> None:
    made, _ = burst((1.0, 4.0), 0.3, 20)
    up = made.up
    assert (up.snd_una, up.sacked_out, up.lost_out, up.retrans_out, up.joined) == (up.snd_nxt, 0, 0, 0, 0)
