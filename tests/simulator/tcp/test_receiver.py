"""The receiver: all that is written arrives, in order, once, and soon."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.simulator.test_link import link
from tests.simulator.test_stream import rules

from heartbench.simulator import stream
from heartbench.simulator.connection import (
    CHUNK,
    CONNECT_TIMEOUT_S,
    CONNECTING,
    HEARTBEAT,
    HEARTBEAT_ASKING,
    HEARTBEAT_BYTES,
    READY,
    SETTLING,
    make_connection,
)

LOSSY = st.fixed_dictionaries(
    {
        "loss_good": st.floats(0.0, 0.3),
        "loss_bad": st.floats(0.3, 1.0),
        "good_mean_s": st.floats(1.0, 10.0),
        "bad_mean_s": st.floats(0.05, 1.0),
    }
)
PAUSES = st.lists(st.floats(0.0, 3.0), min_size=1, max_size=40)


def opened(on: Any) -> tuple[Any, float]:
    made = make_connection(rules())
    stream.connect(made, on, 0.0, CONNECT_TIMEOUT_S)
    at = 0.0
    while made.state in (CONNECTING, SETTLING):
        at = stream.advance(made, on, 120.0)
    return made, at


def talk(on: Any, pauses: list[float], size: int) -> tuple[Any, list[float], list[tuple[int, float]]]:
    """Write a message after each pause, and wait: the connection, when each was written, (tag, when delivered)."""
    made, at = opened(on)
    written = []
    for number, pause in enumerate(pauses if made.state == READY else []):
        at += pause
        stream.advance(made, on, at)
        stream.send(made, on, at, size, CHUNK, number)
        written.append(at)
    while made.state == READY and made.up.snd_una < made.up.snd_nxt:  # it ends: TCP gives up in time
        stream.advance(made, on, stream.next_event(made))
    log = [made.up.log[i] for i in range(made.up.delivered)]
    return made, written, [(int(one.tag), float(one.delivered_s)) for one in log if one.kind == CHUNK]


@given(LOSSY, st.integers(0, 1000), PAUSES, st.sampled_from([34, 1000, 3000]))
@example(
    {"loss_good": 0.28125, "loss_bad": 1.0, "good_mean_s": 1.0, "bad_mean_s": 0.5}, 1000, [1.625, 0.75, 1.0], 34
).via("TCP gives up on the last message, later than 800 s")
@settings(max_examples=40)
def test_all_arrives_once_in_order_and_not_before_it_can(
    fields: dict[str, Any], node: int, pauses: list[float], size: int
) -> None:
    made, written, arrived = talk(link(node=node, **fields), pauses, size)
    assert [tag for tag, _ in arrived] == list(range(len(written) if made.state == READY else len(arrived)))
    times = [at for _, at in arrived]
    assert times == sorted(times)
    assert all(at - sent >= 0.01 - 1e-9 for at, sent in zip(times, written, strict=False))


@given(LOSSY, st.integers(0, 1000), PAUSES)
@settings(max_examples=15)
def test_a_connection_repeats(fields: dict[str, Any], node: int, pauses: list[float]) -> None:
    one, other = (talk(link(node=node, **fields), pauses, 34) for _ in range(2))
    assert one[1:] == other[1:]


def acknowledged_after(made: Any, on: Any, at: float, kind: int) -> float:
    stream.advance(made, on, at)
    stream.send(made, on, at, HEARTBEAT_BYTES, kind, 0)
    now = at
    while made.up.snd_una < made.up.snd_nxt:
        now = stream.advance(made, on, stream.next_event(made))
    return now - at


def test_who_has_nothing_to_answer_waits_for_that_once_and_then_acknowledges_at_once() -> None:
    on = link()
    made, at = opened(on)
    first, *rest = (acknowledged_after(made, on, at + 1.0 + number, HEARTBEAT) for number in range(5))
    assert 0.06 <= first <= 0.07  # the hub has just said its settings; 40 ms on top of the round trip
    assert rest == pytest.approx([0.02] * 4)


def test_an_answer_carries_the_acknowledgement() -> None:
    on = link()
    made, at = opened(on)
    waits = [acknowledged_after(made, on, at + 1.0 + number, HEARTBEAT_ASKING) for number in range(5)]
    assert waits == pytest.approx([0.02] * 5)
