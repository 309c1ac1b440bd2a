"""What one direction of a connection holds: messages by their bytes, packets by their segments."""

from itertools import accumulate
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from heartbench.simulator.record import new
from heartbench.simulator.tcp import flow as model
from heartbench.simulator.tcp.flow import MESSAGES, Flow

RINGS = {"packets", "segments", "log"}
SET_BY_CONNECT = {"direction", "mss_bytes", "timer_phase_s", "user_timeout_s"}
reset, write, in_flight, packet_end = (
    each.py_func  # type: ignore[attr-defined]
    for each in (model.reset, model.write, model.in_flight, model.packet_end)
)


def flow() -> Any:
    made: Any = new(Flow)
    reset(made)
    return made


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=60))
def test_messages_follow_each_other_byte_by_byte(sizes: list[int]) -> None:
    made = flow()
    assert all(write(made, size, 0, tag) for tag, size in enumerate(sizes))
    assert [int(made.log[i].end) for i in range(made.messages)] == list(accumulate(sizes))
    assert made.written == sum(sizes)


def test_a_full_flow_takes_no_message_until_one_is_delivered() -> None:
    made = flow()
    taken = [write(made, 10, 0, tag) for tag in range(MESSAGES + 1)]
    assert taken == [True] * MESSAGES + [False]
    assert made.written == 10 * MESSAGES
    made.delivered += 1
    assert write(made, 10, 0, MESSAGES)
    assert made.log[0].tag == MESSAGES


def test_nothing_of_an_old_connection_is_left_in_a_new_one() -> None:
    used = flow()
    names = [name for name in used.dtype.names if name not in {*RINGS, *SET_BY_CONNECT}]
    for name in names:
        used[name] = 7
    reset(used)
    assert {name: str(used[name]) for name in names} == {name: str(flow()[name]) for name in names}


def test_a_packet_carries_what_is_joined_to_its_first_segment() -> None:
    made = flow()
    made.snd_nxt = 5
    made.segments[1].is_joined = made.segments[2].is_joined = True
    made.joined = 2
    assert [packet_end(made, first) for first in (0, 3, 4)] == [3, 4, 5]
    assert in_flight(made) == 3
