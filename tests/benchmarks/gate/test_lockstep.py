import random
import socket
from collections import Counter
from typing import Any

import pytest

from heartbench.benchmarks.gate.lockstep import TURN, Announcement, Line, Signal, conduct, due


class Process:
    """Measures the benchmarks of its `script`, so many slices each; notes in `seen` what it did in which turn."""

    def __init__(self, name: str, script: dict[str, int], seen: list[Any], dies_in: str | None = None) -> None:
        self.name, self.script, self.seen, self.dies_in = name, list(script.items()), seen, dies_in
        self.left: int | None = None

    def receive(self) -> Announcement | Signal:
        if self.left is None:
            if not self.script:
                return Signal.GONE
            (self.benchmark, slices), *self.script = self.script
            self.left = slices
            return Announcement(self.benchmark, [name for name, _ in self.script])
        if self.benchmark == self.dies_in:
            self.script, self.left = [], None
            return Signal.GONE
        self.left -= 1
        return Signal.OVER if self.left else Signal.END

    def go(self, turn: int) -> None:
        if self.left:
            self.seen.append((turn, self.benchmark, self.name))
        else:
            self.left = None


def played(*scripts: Any, seed: str = "0", **options: Any) -> list[tuple[int, str, str]]:
    seen: list[tuple[int, str, str]] = []
    conduct([Process(str(number), script, seen, **options) for number, script in enumerate(scripts)], seed)
    return seen


def test_in_each_turn_everybody_has_one_slice_of_the_same_benchmark() -> None:
    seen = played(*[{"a": 3, "b": 2}] * 3)
    assert [turn for turn, _, _ in seen] == [turn for turn in range(5) for _ in range(3)]
    assert [each for _, each, _ in seen] == ["a"] * 9 + ["b"] * 6
    assert all({who for at, _, who in seen if at == turn} == {"0", "1", "2"} for turn in range(5))


def test_every_order_of_turns_is_as_likely() -> None:
    orders: Counter[str] = Counter()
    for seed in range(20):
        seen = played(*[{"a": 30}] * 3, seed=str(seed))
        orders.update("".join(who for at, _, who in seen if at == turn) for turn in range(30))
    assert len(orders) == 6
    assert all(60 <= count <= 140 for count in orders.values())


def test_the_order_follows_from_the_seed_alone() -> None:
    assert played(*[{"a": 9}] * 2, seed="x") == played(*[{"a": 9}] * 2, seed="x")
    assert played(*[{"a": 9}] * 2, seed="x") != played(*[{"a": 9}] * 2, seed="y")


def test_who_needs_fewer_slices_waits_for_the_others() -> None:
    seen = played({"a": 1, "b": 1}, {"a": 4, "b": 1})
    assert [each for _, each, _ in seen] == ["a"] * 5 + ["b"] * 2


def test_what_only_some_have_is_measured_by_those_alone() -> None:
    seen = played({"a": 1, "new": 2, "b": 1}, {"a": 1, "b": 1})
    assert [(each, who) for _, each, who in seen if each == "new"] == [("new", "0")] * 2
    assert Counter(each for _, each, _ in seen) == {"a": 2, "new": 2, "b": 2}


def test_a_process_that_dies_does_not_stop_the_others() -> None:
    seen: list[tuple[int, str, str]] = []
    conduct([Process("0", {"a": 2, "b": 2}, seen, dies_in="a"), Process("1", {"a": 2, "b": 2}, seen)], "0")
    assert [(each, who) for _, each, who in seen if who == "1"] == [("a", "1")] * 2 + [("b", "1")] * 2


def test_different_orders_of_benchmarks_end_all_the_same() -> None:
    assert Counter(each for _, each, _ in played({"a": 1, "b": 1}, {"b": 1, "a": 1})) == {"a": 2, "b": 2}
    assert due([Announcement("a", ["b"]), Announcement("b", ["a"])]) == "a"


def test_random_suites_are_measured_to_the_end() -> None:
    draw = random.Random(3)
    for _ in range(50):
        scripts = [{name: draw.randint(1, 4) for name in draw.sample("abcdef", 4)} for _ in range(3)]
        measured = Counter((who, each) for _, each, who in played(*scripts))
        assert measured == {(str(n), name): slices for n, own in enumerate(scripts) for name, slices in own.items()}


def test_a_line_says_what_it_hears_and_who_is_silent() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        line = Line(ours, 0.01, lambda: RuntimeError("it hangs"))
        theirs.sendall(b'suite ["a", "b", "c"]\nbegin "b"\nover\nend\n')
        assert [line.receive() for _ in range(3)] == [Announcement("b", ("c",)), Signal.OVER, Signal.END]
        line.go(7)
        assert TURN.unpack(theirs.recv(TURN.size)) == (7,)
        with pytest.raises(RuntimeError, match="it hangs"):
            line.receive()
        theirs.close()
        line.go(8)


def test_a_line_that_was_closed_says_nothing() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours:
        assert Line(ours, 1.0, RuntimeError).receive() is Signal.GONE


def test_a_process_that_was_killed_while_we_spoke_is_gone() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        line = Line(ours, 1.0, RuntimeError)
        line.go(1)
        theirs.close()  # with what we said unread: the kernel answers with a reset
        assert line.receive() is Signal.GONE
