"""A storm is spread over the time that it takes to serve it."""

import random
from heapq import heapify, heappop, heappush

from heartbench.hub.work.admission import LONGEST_S, Admission


def test_as_many_as_a_second_brings_are_let_in_at_once_and_then_at_the_rate() -> None:
    admission = Admission(10.0, lambda: 0.0, 0.0)
    assert [admission.ask(5.0) == 0 for _ in range(12)] == [True] * 10 + [False] * 2
    assert [admission.ask(5.5) == 0 for _ in range(6)] == [True] * 5 + [False]
    assert admission.refused == 3


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


def test_ten_thousand_who_do_as_they_are_told_are_in_soon() -> None:
    """As many seconds as the rate needs, and hardly more; nobody asks more than a few times."""
    chance = random.Random(7)
    admission = Admission(500.0, chance.random, 0.0)
    due = [(chance.random() / 10, 0) for _ in range(10_000)]
    heapify(due)
    tries: list[int] = []
    last_s = 0.0
    while due:
        now, asked = heappop(due)
        wait_s = admission.ask(now)
        if wait_s:
            heappush(due, (now + wait_s, asked + 1))
        else:
            tries.append(asked)
            last_s = now
    assert len(tries) == 10_000
    assert last_s < 1.5 * 10_000 / 500
    assert max(tries) < 10
