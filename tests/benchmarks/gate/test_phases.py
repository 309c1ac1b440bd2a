import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.gate.phases import AGAIN, BASE, HEAD, Comparison
from heartbench.benchmarks.gate.process import Order
from heartbench.benchmarks.gate.report import Outcome, Report
from heartbench.benchmarks.gate.rounds import Arm, Rounds, silent
from heartbench.benchmarks.gate.samples import Sample, Timing
from heartbench.benchmarks.gate.settings import Settings
from heartbench.benchmarks.gate.verdict import Verdict
from heartbench.benchmarks.gate.worktrees import Tree

ARMS = [Arm(name, Tree(Path(name), Path(name))) for name in (BASE, AGAIN, HEAD)]


class World:
    """A machine whose processes scatter by `sd`, where head differs from base as `effects` say, and some things fail.

    `effects` may be a function of how many processes ran before.
    """

    def __init__(
        self,
        effects: Callable[..., Any] | dict[str, float],
        sd: float = 0.01,
        failing: Sequence[tuple[str, str]] = (),
        missing: Sequence[tuple[str, str]] = (),
        wall_s: float = 1.0,
    ) -> None:
        self.effects, self.sd, self.wall_s = effects, sd, wall_s
        self.failing, self.missing = set(failing), set(missing)
        self.rng = np.random.default_rng(5)
        self.processes = 0

    def measure(self, wanted: dict[str, Order], seed: str) -> dict[str, Sample]:
        return {name: self.sample(order) for name, order in wanted.items()}

    def sample(self, order: Order) -> Sample:
        arm = order.tree.path.name
        effects = self.effects(self.processes) if callable(self.effects) else self.effects
        self.processes += not order.warm_up
        here = [each for each in effects if (arm, each) not in self.missing]
        times = {
            each: once(math.exp(self.rng.normal(0, self.sd)) * (1 + effects[each] * (arm == HEAD)))
            for each in here
            if (not order.benchmarks or each in order.benchmarks) and (arm, each) not in self.failing
        }
        failures = {each: "AssertionError" for where, each in self.failing if where == arm}
        return Sample(times, failures, here, "3.11", self.wall_s)


def once(time_s: float) -> Timing:
    return Timing(time_s, time_s, {0: time_s})


def report(tmp_path: Path, world: Any, own: Sequence[str] = (), hidden: Sequence[str] = (), **settings: Any) -> Report:
    tmp_path.mkdir(exist_ok=True)
    rounds = Rounds(world, tmp_path, seed=1)

    def why_not(name: str) -> str:
        return "may use helper.py" if name in hidden else ""

    return Comparison(("suite",), Settings(**settings), ARMS, rounds, own, silent, why_not).report()


def verdicts(found: Report) -> dict[str, Verdict]:
    return {judgement.name: judgement.verdict for judgement in found.judgements}


def test_a_slowdown_is_red_and_confirmed(tmp_path: Path) -> None:
    found = report(tmp_path, World({"a": 0.06, "b": 0.0, "c": -0.06}))
    assert verdicts(found) == {"a": Verdict.SLOWER, "b": Verdict.SAME, "c": Verdict.FASTER}
    assert found.judgements[0].note.startswith("confirmed: 1.0")
    assert found.measured == {"first": 16, "more": 0, "confirming": 16}
    assert (found.outcome, found.status) == (Outcome.SLOWER, 1)


def test_a_red_that_is_gone_in_fresh_processes_is_none(tmp_path: Path) -> None:
    found = report(tmp_path, World(lambda processes: {"a": 0.06 if processes < 48 else 0.0}))
    assert verdicts(found) == {"a": Verdict.INCONCLUSIVE}
    assert "not confirmed" in found.judgements[0].note
    assert found.status == 0


def test_what_is_undecided_gets_more_rounds_and_only_that(tmp_path: Path) -> None:
    world = World({"a": 0.0, "b": 0.0}, sd=0.05)
    found = report(tmp_path, world)
    assert found.measured["more"] == 16
    assert {judgement.pairs for judgement in found.judgements} == {32}
    assert all(judgement.smallest_visible > 0.05 for judgement in found.judgements)


def test_no_more_rounds_are_begun_that_would_not_fit_the_budget(tmp_path: Path) -> None:
    found = report(tmp_path, World({"a": 0.0}, sd=0.05, wall_s=10.0), budget=600)
    assert found.measured["more"] == 0
    assert verdicts(found) == {"a": Verdict.INCONCLUSIVE}
    assert found.status == 0


def test_a_benchmark_that_fails_on_the_head_is_failed_and_not_faster(tmp_path: Path) -> None:
    found = report(tmp_path, World({"a": 0.0, "b": -0.5}, failing=[(HEAD, "b")]), own=["a", "b"])
    assert verdicts(found) == {"a": Verdict.SAME, "b": Verdict.FAILED}
    assert found.judgements[1].note == "fails on head in 16 of 16 processes: AssertionError"
    assert (found.outcome, found.status) == (Outcome.FAILED, 2)


def test_one_that_fails_on_base_is_failed_if_base_had_it_and_new_if_not(tmp_path: Path) -> None:
    world = World({"a": 0.0, "b": 0.0}, failing=[(BASE, "b"), (AGAIN, "b")])
    assert verdicts(report(tmp_path / "1", world, own=["a", "b"]))["b"] is Verdict.FAILED
    found = report(tmp_path / "2", world, own=["a"])
    assert verdicts(found)["b"] is Verdict.NEW
    assert found.status == 0


def test_new_and_gone_benchmarks_are_named(tmp_path: Path) -> None:
    world = World({"a": 0.0, "b": 0.0, "c": 0.0}, missing=[(BASE, "b"), (AGAIN, "b"), (HEAD, "c")])
    found = report(tmp_path, world, own=["a", "c", "d"])
    assert verdicts(found) == {"a": Verdict.SAME, "b": Verdict.NEW, "c": Verdict.GONE, "d": Verdict.GONE}


def test_nothing_measured_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="no benchmark was measured: no test in it uses"):
        report(tmp_path, World({}))
    with pytest.raises(BenchmarkError, match="no benchmark was measured; a fails on head: AssertionError"):
        report(tmp_path, World({"a": 0.0}, failing=[(HEAD, "a"), (BASE, "a")]))


def test_rounds_that_cannot_turn_red_are_refused_before_they_are_measured(tmp_path: Path) -> None:
    world = World({str(number): 0.0 for number in range(20)})
    with pytest.raises(BenchmarkError, match="at least 12 rounds"):
        report(tmp_path, world, rounds=8)
    assert world.processes == 0


def test_a_gate_that_would_not_see_a_slowdown_says_so(tmp_path: Path) -> None:
    found = report(tmp_path, World({str(number): 0.0 for number in range(3)}, sd=0.2))
    assert (found.outcome, found.status) == (Outcome.UNDERPOWERED, 0)


def test_a_gate_that_cries_wolf_is_not_believed(tmp_path: Path) -> None:
    class Unequal(World):
        def sample(self, order: Order) -> Sample:
            sample = super().sample(order)
            factor = 1.2 if order.tree.path.name == AGAIN else 1.0
            times = {each: once(timing.median_s * factor) for each, timing in sample.times.items()}
            return Sample(times, {}, sample.benchmarks, sample.python, sample.wall_s)

    found = report(tmp_path, Unequal({"a": 0.06, "b": 0.0}))
    assert (found.outcome, found.status) == (Outcome.TOO_MANY_FALSE_ALARMS, 0)


def test_a_comparison_that_goes_on_says_the_same_as_one_in_one_go(tmp_path: Path) -> None:
    whole = report(tmp_path, World({"a": 0.06, "b": 0.0}))
    again = report(tmp_path, World({"a": 0.0, "b": 0.0}))
    assert again.judgements == whole.judgements
    assert (whole.kept, again.kept) == (0, 80)


def test_what_may_use_overlaid_code_is_not_compared_and_has_no_figures(tmp_path: Path) -> None:
    found = report(tmp_path, World({"a": 0.0, "b": -0.06, "c": 0.0}), hidden=["a", "b"])
    assert verdicts(found) == {"a": Verdict.NOT_COMPARED, "b": Verdict.NOT_COMPARED, "c": Verdict.SAME}
    assert found.judgements[0].note == "may use helper.py"
    assert math.isnan(found.judgements[0].ratio)
    assert set(found.base_s) == set(found.means) == {"c"}
    assert (found.outcome, found.status) == (Outcome.NOTHING_SLOWER, 0)


def test_it_gets_no_more_rounds(tmp_path: Path) -> None:
    assert report(tmp_path, World({"a": 0.0}, sd=0.05), hidden=["a"]).measured["more"] == 0


def test_it_is_slower_nonetheless_if_what_was_compared_made_it_so(tmp_path: Path) -> None:
    found = report(tmp_path, World({"a": 0.06, "b": 0.0}), hidden=["a", "b"])
    assert verdicts(found) == {"a": Verdict.SLOWER, "b": Verdict.NOT_COMPARED}
    assert found.status == 1


def test_a_comparison_of_nothing_is_no_success(tmp_path: Path) -> None:
    found = report(tmp_path, World({"a": 0.0}), hidden=["a"])
    assert (found.outcome, found.status) == (Outcome.NOTHING_COMPARED, 2)


def test_rare_slow_calls_show_in_the_means_alone(tmp_path: Path) -> None:
    class Rare(World):
        """On the head one call in ten takes six times as long."""

        def sample(self, order: Order) -> Sample:
            sample = super().sample(order)
            factor = 1.5 if order.tree.path.name == HEAD else 1.0
            times = {name: replace(timing, mean_s=factor * timing.mean_s) for name, timing in sample.times.items()}
            return replace(sample, times=times)

    found = report(tmp_path, Rare({"a": 0.0}))
    assert verdicts(found) == {"a": Verdict.SAME}
    assert found.means["a"].ratio == pytest.approx(1.5, rel=0.02)
    assert found.means["a"].low < 1.5 < found.means["a"].high
