"""What a responder answers, and that what it keeps is bounded."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbench.simulator.probing.messages import SEEN_BITS, Answer, Probe, decode_answer, encode_probe
from heartbench.simulator.probing.responder import MOST_PER_S, MOST_SESSIONS, Responder

S = 10**9


def ask(responder: Responder, number: int, now_s: float = 0.0, session: int = 1) -> Answer:
    answer = responder.answer(encode_probe(Probe(session, number)), "192.0.2.1", round(now_s * S))
    assert answer is not None
    decoded = decode_answer(answer)
    assert decoded is not None
    return decoded


@given(st.lists(st.integers(0, 600), min_size=1, max_size=150))
def test_an_answer_says_what_arrived_in_any_order(numbers: list[int]) -> None:
    responder = Responder()
    for number in numbers:
        answer = ask(responder, number)
    arrived = set(numbers)
    assert answer.newest == max(arrived)
    seen = {answer.newest - 1 - bit for bit in range(SEEN_BITS) if answer.seen >> bit & 1}
    assert seen == {number for number in arrived if answer.newest - SEEN_BITS <= number < answer.newest}
    if max(numbers) - min(numbers) <= SEEN_BITS:
        assert answer.count == len(arrived)


def test_sessions_are_bounded_and_the_silent_one_goes_first() -> None:
    responder = Responder(most=3)
    for session in (1, 2, 3, 1, 4):
        ask(responder, 0 if session != 1 else len(responder.sessions), session=session)
    assert list(responder.sessions) == [3, 1, 4]


def test_an_address_that_floods_gets_no_more_than_the_rate_under_any_session() -> None:
    responder = Responder()
    flood = [responder.answer(encode_probe(Probe(n, 0)), "192.0.2.1", n * S // 10_000) for n in range(20_000)]
    assert sum(answer is not None for answer in flood) == pytest.approx(3 * MOST_PER_S, rel=0.01)
    assert responder.answer(encode_probe(Probe(2, 0)), "192.0.2.2", 2 * S) is not None
    assert len(responder.sessions) <= MOST_SESSIONS


def test_a_prober_whose_address_changes_is_the_same() -> None:
    responder = Responder()
    ask(responder, 0)
    moved = responder.answer(encode_probe(Probe(1, 1)), "198.51.100.7", 0)
    assert moved
    answer = decode_answer(moved)
    assert answer
    assert answer.count == 2


def test_what_is_no_probe_has_no_answer() -> None:
    rng = random.Random(1)
    responder = Responder()
    assert all(responder.answer(rng.randbytes(n), "192.0.2.1", 0) is None for n in range(200))
    assert not responder.sessions
