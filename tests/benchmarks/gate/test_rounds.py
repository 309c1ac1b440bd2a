from pathlib import Path

import pytest

from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.gate.progress import silent
from heartbench.benchmarks.gate.rounds import REPEATS, Arm, Phase, Rounds, order, warm_up
from heartbench.benchmarks.gate.samples import Pass, Sample
from heartbench.benchmarks.gate.worktrees import Tree

ARMS = [Arm(name, Tree(Path(name), Path(name))) for name in ("base", "again", "head")]


class Measurer:
    """Measures one benchmark as 1 s with a quiet loop, or as it is told to; keeps the orders it was given."""

    def __init__(self, turn_s=5e-9, python="3.11", dies_at=None):
        self.orders = []
        self.turn_s, self.python, self.dies_at = turn_s, python, dies_at

    def measure(self, wanted, name):
        if len(self.orders) == self.dies_at:
            raise KeyboardInterrupt
        self.orders.append(wanted)
        return Sample({"a": [Pass(1.0, 1.0, 1.0, 1.0, self.turn_s)]}, {}, ["a"], self.python, 1.0)


def done(_):
    pass


def test_each_arm_runs_once_in_a_round_with_one_hash_seed(tmp_path):
    measurer = Measurer()
    measured = Rounds(measurer, tmp_path, seed=1).measure(Phase(ARMS, 0, 4), done)
    assert [set(each) for each in measured] == [{"base", "again", "head"}] * 4
    seeds = [{wanted.hash_seed for wanted in measurer.orders[at : at + 3]} for at in range(0, 12, 3)]
    assert all(len(each) == 1 for each in seeds)
    assert len(set.union(*seeds)) == 4


def test_the_order_is_shuffled_and_every_order_is_as_likely():
    seen = [tuple(arm.name for arm in order(ARMS, 7, number)) for number in range(600)]
    assert len(set(seen)) == 6
    assert all(60 <= seen.count(each) <= 140 for each in set(seen))


def test_what_was_measured_before_a_kill_is_not_measured_again(tmp_path):
    killed = Measurer(dies_at=5)
    with pytest.raises(KeyboardInterrupt):
        Rounds(killed, tmp_path, seed=1).measure(Phase(ARMS, 0, 4), done)
    second = Measurer()
    Rounds(second, tmp_path, seed=1).measure(Phase(ARMS, 0, 4), done)
    assert (len(killed.orders), len(second.orders)) == (5, 7)
    whole = Measurer()
    (tmp_path / "other").mkdir()
    Rounds(whole, tmp_path / "other", seed=1).measure(Phase(ARMS, 0, 4), done)
    assert [*killed.orders, *second.orders] == whole.orders


def test_a_disturbed_benchmark_is_measured_again_but_not_for_ever(tmp_path):
    measurer = Measurer(turn_s=9e-9)
    rounds = Rounds(measurer, tmp_path, seed=1, quiet_turn_s=5e-9)
    measured = rounds.measure(Phase(ARMS[:1], 0, 1), done)
    assert len(measurer.orders) == 1 + REPEATS
    assert measurer.orders[1].benchmarks == ["a"]
    assert len(measured[0]["base"].times["a"]) == 1 + REPEATS


def test_two_pythons_are_not_compared(tmp_path):
    Rounds(Measurer(python="3.11"), tmp_path, seed=1).measure(Phase(ARMS, 0, 1), done)
    with pytest.raises(BenchmarkError, match="not one Python but 2"):
        Rounds(Measurer(python="3.12"), tmp_path, seed=1).measure(Phase(ARMS, 0, 2), done)


def test_warming_up_keeps_nothing(tmp_path):
    measurer = Measurer()
    assert set(warm_up(Rounds(measurer, tmp_path, seed=1), ARMS, silent)) == {"base", "again", "head"}
    assert all(wanted.warm_up for wanted in measurer.orders)
    assert list(tmp_path.iterdir()) == []
