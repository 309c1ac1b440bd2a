import math

import pytest

from heartbench.benchmarks.gate import samples
from heartbench.benchmarks.gate.samples import Pass, Sample


def once(median_s, turn_s=5e-9):
    return [Pass(median_s, median_s, median_s, median_s, turn_s)]


def entry(name, median, turn_s=5e-9):
    stats = {"median": median, "mean": median * 1.1, "q1": median, "min": median}
    return {"fullname": name, "stats": stats, "extra_info": {"heartbench_turn_s": turn_s}}


def test_the_quickest_pass_of_a_process_counts():
    document = {"benchmarks": [entry("a", 3.0), entry("a", 2.0), entry("b", 1.0), entry("a", 4.0)]}
    times = samples.from_pytest_benchmark(document, {})
    assert {name: samples.time_s(passes) for name, passes in times.items()} == {"a": 2.0, "b": 1.0}


def test_a_benchmark_that_failed_after_it_was_measured_has_no_time():
    document = {"benchmarks": [entry("a", 3.0), entry("b", 1.0), entry("c", 0.0)]}
    assert set(samples.from_pytest_benchmark(document, {"a": "assert 0"})) == {"b"}


def test_a_document_without_benchmarks_has_no_times():
    assert samples.from_pytest_benchmark({}, {}) == {}


def test_a_kept_sample_is_read_back(tmp_path):
    sample = Sample({"a": once(2.0)}, {"b": "boom"}, ["a", "b"], "3.11", 1.5)
    samples.write(sample, tmp_path / "x.json")
    assert samples.read(tmp_path / "x.json") == sample
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]


def test_pairs_are_log_ratios_by_round():
    rounds = [{"base": Sample({"a": once(2.0)}), "head": Sample({"a": once(2.0 * factor)})} for factor in (1.0, 1.5)]
    assert samples.pairs(rounds, "base", "head")["a"] == pytest.approx([0.0, math.log(1.5)])


def test_a_benchmark_that_is_missing_once_has_no_pairs():
    full = {"base": Sample({"a": once(1.0), "b": once(1.0)}), "head": Sample({"a": once(1.0), "b": once(1.0)})}
    holed = {"base": Sample({"a": once(1.0), "b": once(1.0)}), "head": Sample({"a": once(1.0)})}
    assert set(samples.pairs([full, holed], "base", "head")) == {"a"}


def test_later_rounds_of_some_benchmarks_take_no_pairs_from_the_others():
    full = {"base": Sample({"a": once(1.0), "b": once(1.0)}), "head": Sample({"a": once(1.0), "b": once(1.0)})}
    part = {"base": Sample({"a": once(1.0)}), "head": Sample({"a": once(1.0)})}
    assert {name: len(x) for name, x in samples.pairs([full, part], "base", "head").items()} == {"a": 2, "b": 1}


def test_failures_are_counted_with_their_first_reason():
    rounds = [{"head": Sample({}, {"a": "first"})}, {"head": Sample({}, {"a": "second"})}, {"head": Sample({})}]
    assert samples.failures(rounds, "head") == {"a": (2, "first")}


def test_disturbed_is_what_had_no_quiet_pass_whatever_its_own_time():
    quiet, loud = once(9.0, 5e-9), once(1.0, 9e-9)
    sample = Sample({"a": [*loud, *quiet], "b": [*loud, *loud], "c": once(1.0, math.nan)})
    assert samples.quiet_turn_s([sample]) == 5e-9
    assert samples.disturbed(sample, 5e-9) == ["b"]
    assert samples.disturbed(sample, math.nan) == []


def test_a_repeated_measurement_adds_its_passes():
    joined = samples.joined(
        Sample({"a": once(3.0), "b": once(1.0)}, wall_s=2.0), Sample({"a": once(2.0)}, {"b": "boom"}, wall_s=1.0)
    )
    assert samples.time_s(joined.times["a"]) == 2.0
    assert set(joined.times) == {"a"}
    assert joined.wall_s == 3.0
