"""A storm is spread over the time that it takes to serve it."""

import random
from heapq import heapify, heappop, heappush

import pytest

from heartbench.hub.work.admission import LONGEST_S, Admission


def test_as_many_as_a_second_brings_are_let_in_at_once_and_then_at_the_rate() -> None:
    admission = Admission(10.0, lambda: 0.0, 0.0)
    assert [admission.ask(5.0, f"peer {n}") == 0 for n in range(12)] == [True] * 10 + [False] * 2
    assert [admission.ask(5.5, f"peer {n}") == 0 for n in range(6)] == [True] * 5 + [False]


def test_a_fleet_behind_one_address_is_let_in_at_the_whole_rate_after_half_a_burst() -> None:
    admission = Admission(10.0, lambda: 0.0, 0.0)
    assert [admission.ask(5.0, "nat") == 0 for _ in range(6)] == [True] * 5 + [False]
    assert sum(admission.ask(5.0 + step / 100, "nat") == 0 for step in range(1000)) in (99, 100)


def test_a_flood_from_one_peer_makes_no_other_wait() -> None:
    admission = Admission(1000.0, lambda: 0.0, 0.0)
    waits = []
    for step in range(20_000):  # 2,000 a second, for ten seconds, that ask again whatever they are told
        now = step / 2000
        admission.ask(now, "flood")
        if step % 20 == 0:
            waits.append(admission.ask(now, f"honest {step % 300}"))
    assert not any(waits)


def test_who_must_wait_waits_in_the_queue_of_its_peer() -> None:
    admission = Admission(10.0, lambda: 0.0, 0.0)
    for n in range(10):
        admission.ask(0.0, f"peer {n}")
    flood = [admission.ask(0.0, "flood") for _ in range(600)]
    assert flood[-1] == pytest.approx(LONGEST_S)
    assert admission.ask(0.0, "honest") == pytest.approx(0.2)
    assert admission.ask(0.0, "honest") == pytest.approx(0.4)


def test_many_peers_that_wait_have_a_slot_each() -> None:
    admission = Admission(10.0, lambda: 0.0, 0.0)
    waits = [admission.ask(0.0, f"peer {n}") for n in range(110)][10:]
    assert [round(wait, 6) for wait in waits] == [round((place + 1) / 10, 6) for place in range(100)]


def test_each_refused_one_is_given_the_next_free_place() -> None:
    admission = Admission(10.0, lambda: 0.0, 0.0)
    waits = [admission.ask(0.0) for _ in range(110)][10:]
    assert [round(wait, 6) for wait in waits] == [round((place + 1) / 10, 6) for place in range(100)]


def test_no_limit_is_no_limit() -> None:
    admission = Admission(0.0, lambda: 0.0, 0.0)
    assert not any(admission.ask(0.0) for _ in range(1000))


def test_nobody_is_sent_away_for_ever() -> None:
    admission = Admission(1.0, lambda: 1.0, 0.0)
    assert max(admission.ask(0.0) for _ in range(1000)) <= LONGEST_S * 1.2


@pytest.mark.parametrize("peers", [1, 7, 10_000])
def test_ten_thousand_who_do_as_they_are_told_are_in_soon(peers: int) -> None:
    """As many seconds as the rate needs, and hardly more; nobody asks more than a few times."""
    chance = random.Random(7)
    admission = Admission(500.0, chance.random, 0.0)
    due = [(chance.random() / 10, 0, f"peer {n % peers}") for n in range(10_000)]
    heapify(due)
    tries: list[int] = []
    last_s = 0.0
    while due:
        now, asked, peer = heappop(due)
        wait_s = admission.ask(now, peer)
        if wait_s:
            heappush(due, (now + wait_s, asked + 1, peer))
        else:
            tries.append(asked)
            last_s = now
    assert len(tries) == 10_000
    assert last_s < 1.5 * 10_000 / 500
    assert max(tries) < 10
