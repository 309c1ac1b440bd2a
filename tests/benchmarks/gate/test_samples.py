import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from heartbench.benchmarks.gate import samples
from heartbench.benchmarks.gate.samples import Sample, Timing, log_ratio


def once(median_s: float) -> Timing:
    return Timing(median_s, median_s, {0: median_s})


def entry(name: str, median: float, slices: Sequence[tuple[int, float]] = ((0, 1.0),), **more: Any) -> dict[str, Any]:
    seen = {"heartbench_slices": [list(each) for each in slices], **more}
    return {"fullname": name, "stats": {"median": median, "mean": median * 1.1}, "extra_info": seen}


def test_a_benchmark_has_its_slices_by_turn() -> None:
    found = samples.from_pytest_benchmark({"benchmarks": [entry("a", 3.0, [(4, 2.9), (5, 3.1)])]}, {})["a"]
    assert found.slices == {4: 2.9, 5: 3.1}
    assert (found.median_s, found.mean_s) == pytest.approx((3.0, 3.3))
    assert math.isnan(found.spin_s)


def test_two_processes_are_compared_where_they_took_the_same_turns() -> None:
    base = Timing(9.0, 9.0, {1: 1.0, 2: 2.0, 3: 4.0, 4: 1.0})
    head = Timing(9.0, 9.0, {2: 2.2, 3: 4.4, 4: 9.0, 5: 1.0})
    assert log_ratio(base, head) == pytest.approx(math.log(1.1))


def test_a_disturbance_of_both_sides_is_none() -> None:
    weather = [1.0, 1.8, 1.8, 1.0, 1.7, 1.0]
    base, head = ({turn: x * factor for turn, x in enumerate(weather)} for factor in (1.0, 1.05))
    assert log_ratio(Timing(1.0, 1.0, base), Timing(1.6, 1.6, head)) == pytest.approx(math.log(1.05))


def test_processes_that_never_took_the_same_turn_are_compared_as_wholes() -> None:
    assert log_ratio(Timing(2.0, 2.0, {1: 2.0}), Timing(3.0, 3.0, {2: 3.0})) == pytest.approx(math.log(1.5))


def test_a_benchmark_that_failed_after_it_was_measured_has_no_time() -> None:
    document = {"benchmarks": [entry("a", 3.0), entry("b", 1.0), entry("c", 0.0), entry("d", 1.0, [(0, 0.0)])]}
    assert set(samples.from_pytest_benchmark(document, {"a": "assert 0"})) == {"b"}


def test_a_document_without_benchmarks_has_no_times() -> None:
    assert samples.from_pytest_benchmark({}, {}) == {}


def test_a_kept_sample_is_read_back(tmp_path: Path) -> None:
    sample = Sample({"a": Timing(2.0, 2.1, {0: 2.0, 7: 3.0}, 5e-9)}, {"b": "boom"}, ["a", "b"], "3.11", 1.5)
    samples.write(sample, tmp_path / "x.json")
    assert samples.read(tmp_path / "x.json") == sample
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]


def test_pairs_are_log_ratios_by_round() -> None:
    rounds = [{"base": Sample({"a": once(2.0)}), "head": Sample({"a": once(2.0 * factor)})} for factor in (1.0, 1.5)]
    assert samples.pairs(rounds, "base", "head")["a"] == pytest.approx([0.0, math.log(1.5)])


def test_processes_that_never_lay_side_by_side_are_named() -> None:
    one, other = Sample({"a": Timing(1.0, 1.0, {1: 1.0}), "b": once(1.0)}), Sample({"a": once(1.0), "b": once(1.0)})
    assert samples.apart([{"base": one, "head": other}], "base", "head") == ["a"]


def test_a_benchmark_that_is_missing_once_has_no_pairs() -> None:
    full = {"base": Sample({"a": once(1.0), "b": once(1.0)}), "head": Sample({"a": once(1.0), "b": once(1.0)})}
    holed = {"base": Sample({"a": once(1.0), "b": once(1.0)}), "head": Sample({"a": once(1.0)})}
    assert set(samples.pairs([full, holed], "base", "head")) == {"a"}


def test_later_rounds_of_some_benchmarks_take_no_pairs_from_the_others() -> None:
    full = {"base": Sample({"a": once(1.0), "b": once(1.0)}), "head": Sample({"a": once(1.0), "b": once(1.0)})}
    part = {"base": Sample({"a": once(1.0)}), "head": Sample({"a": once(1.0)})}
    assert {name: len(x) for name, x in samples.pairs([full, part], "base", "head").items()} == {"a": 2, "b": 1}


def test_failures_are_counted_with_their_first_reason() -> None:
    rounds = [{"head": Sample({}, {"a": "first"})}, {"head": Sample({}, {"a": "second"})}, {"head": Sample({})}]
    assert samples.failures(rounds, "head") == {"a": (2, "first")}
