"""A name that two nodes use."""

from heartbench.hub.liveness.takeovers import MOST, WINDOW_S, Takeovers


def asked(takeovers: Takeovers, times_s: list[float]) -> list[float]:
    return [takeovers.ask("n", at_s) for at_s in times_s]


def test_a_node_that_replaces_its_own_streams_now_and_then_is_left_alone() -> None:
    takeovers = Takeovers(lambda: 0.0)
    assert not any(asked(takeovers, [number * (WINDOW_S / MOST + 0.1) for number in range(100)]))
    assert not takeovers.contested


def test_a_name_that_is_taken_over_again_and_again_is_contested_and_held_back() -> None:
    takeovers = Takeovers(lambda: 0.0)
    assert asked(takeovers, [0.01 * number for number in range(MOST + 2)]) == [0.0] * MOST + [WINDOW_S / 4] * 2
    assert takeovers.contested == {"n"}
    assert takeovers.ask("other", 1.0) == 0.0


def test_it_stays_so_while_others_ask_and_is_over_when_they_have_not_for_a_while() -> None:
    takeovers = Takeovers(lambda: 1.0)
    asked(takeovers, [0.0] * (MOST + 1))
    now = 0.0
    for _ in range(10):
        now += 0.75 * WINDOW_S  # as they are told, at the latest
        assert takeovers.expire(now) == []
        assert takeovers.ask("n", now) > 0
    assert takeovers.expire(now + WINDOW_S + 0.1) == ["n"]
    assert takeovers.ask("n", now + WINDOW_S + 0.2) == 0.0


def test_names_that_nobody_contests_take_no_memory_for_long() -> None:
    takeovers = Takeovers(lambda: 0.0)
    for number in range(100):
        takeovers.ask(f"n{number}", float(number))
    assert takeovers.expire(99.0 + WINDOW_S) == []
    assert list(takeovers._names) == ["n99"]
    takeovers.forget("n99")
    assert not takeovers._names
