from pathlib import Path
from typing import Any

import pytest

from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.gate.process import Order
from heartbench.benchmarks.gate.rounds import Arm, Phase, Rounds, silent, warm_up
from heartbench.benchmarks.gate.samples import Sample, Timing
from heartbench.benchmarks.gate.worktrees import Tree

ARMS = [Arm(name, Tree(Path(name), Path(name))) for name in ("base", "again", "head")]


class Measurer:
    """Measures one benchmark as 1 s; keeps the orders it was given, and in `seeds` what the turns were drawn from."""

    def __init__(self, python: str = "3.11", dies_at: int | None = None) -> None:
        self.orders: list[dict[str, Order]] = []
        self.seeds: list[str] = []
        self.python, self.dies_at = python, dies_at

    def measure(self, wanted: dict[str, Order], seed: str) -> dict[str, Sample]:
        if len(self.seeds) == self.dies_at:
            raise KeyboardInterrupt
        self.seeds.append(seed)
        self.orders.append(wanted)
        return {name: Sample({"a": Timing(1.0, 1.0, {0: 1.0})}, {}, ["a"], self.python, 1.0) for name in wanted}


def rounds(measurer: Any, folder: Path) -> Rounds:
    return Rounds(measurer, folder, seed=1)


def done(_: float) -> None:
    pass


def test_each_arm_runs_once_in_a_round_with_one_hash_seed(tmp_path: Path) -> None:
    measurer = Measurer()
    measured = rounds(measurer, tmp_path).measure(Phase([ARMS], 0, 4), done)
    assert [set(each) for each in measured] == [{"base", "again", "head"}] * 4
    assert [list(wanted) for wanted in measurer.orders] == [["base", "again", "head"]] * 4
    seeds = [{order.hash_seed for order in wanted.values()} for wanted in measurer.orders]
    assert all(len(each) == 1 for each in seeds)
    assert len(set.union(*seeds)) == len(set(measurer.seeds)) == 4


def test_groups_of_a_round_are_measured_one_after_the_other(tmp_path: Path) -> None:
    measurer = Measurer()
    measured = rounds(measurer, tmp_path).measure(Phase([ARMS[:2], ARMS[2:]], 0, 2), done)
    assert [set(each) for each in measured] == [{"base", "again", "head"}] * 2
    assert [list(wanted) for wanted in measurer.orders] == [["base", "again"], ["head"]] * 2


def test_what_was_measured_before_a_kill_is_not_measured_again(tmp_path: Path) -> None:
    killed = Measurer(dies_at=2)
    with pytest.raises(KeyboardInterrupt):
        rounds(killed, tmp_path).measure(Phase([ARMS], 0, 4), done)
    second = Measurer()
    rounds(second, tmp_path).measure(Phase([ARMS], 0, 4), done)
    assert (len(killed.orders), len(second.orders)) == (2, 2)
    whole = Measurer()
    (tmp_path / "other").mkdir()
    rounds(whole, tmp_path / "other").measure(Phase([ARMS], 0, 4), done)
    assert [*killed.orders, *second.orders] == whole.orders
    assert [*killed.seeds, *second.seeds] == whole.seeds


def test_two_pythons_are_not_compared(tmp_path: Path) -> None:
    rounds(Measurer(python="3.11"), tmp_path).measure(Phase([ARMS], 0, 1), done)
    with pytest.raises(BenchmarkError, match="processes ran 2 versions of Python"):
        rounds(Measurer(python="3.12"), tmp_path).measure(Phase([ARMS], 0, 2), done)


def test_warming_up_keeps_nothing(tmp_path: Path) -> None:
    measurer = Measurer()
    assert set(warm_up(rounds(measurer, tmp_path), ARMS, silent)) == {"base", "again", "head"}
    assert all(order.warm_up for wanted in measurer.orders for order in wanted.values())
    assert list(tmp_path.iterdir()) == []
