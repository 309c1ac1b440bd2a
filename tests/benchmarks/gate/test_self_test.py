"""The self-test on made-up rounds, and once, small, on a real project."""

import csv
import gzip
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.benchmarks.gate.conftest import Project

from heartbench.benchmarks.gate import plots, self_test, self_test_report
from heartbench.benchmarks.gate.compare import Subject, subject
from heartbench.benchmarks.gate.error_rates import Share
from heartbench.benchmarks.gate.samples import Sample, Timing
from heartbench.benchmarks.gate.self_test import Length, SelfTest, run_self_test, verdicts_of
from heartbench.benchmarks.gate.settings import Settings, load

STEADY, WILD = "t.py::test_steady", "t.py::test_wild"
SCATTER = {STEADY: 0.01, WILD: 0.2}


def once(time_s: float, spin_s: float = 5e-9) -> Timing:
    return Timing(time_s, time_s, {0: time_s}, spin_s)


def sample(rng: np.random.Generator, slowdown: float) -> Sample:
    times = {}
    for name, pair_sd in SCATTER.items():
        time_s = (1 + slowdown) * math.exp(rng.normal(0, pair_sd / math.sqrt(2)))
        times[name] = once(time_s)
    return Sample(times, {}, list(times), "3.11.7 (main)", 2.0)


@pytest.fixture(scope="module")
def held() -> SelfTest:
    """Four repetitions of 16 rounds with two pairs, on a machine that scatters as SCATTER says."""
    rng = np.random.default_rng(6)
    arms = {f"{kind}-{pair}": 0.0 for pair in range(2) for kind in ("still", "again")}
    arms |= {f"slow-{slowdown:.0%}": slowdown for slowdown in self_test.SLOWDOWNS}
    rounds = [[{arm: sample(rng, x) for arm, x in arms.items()} for _ in range(16)] for _ in range(4)]
    verdicts = [each for number, found in enumerate(rounds) for each in verdicts_of(number, found, Settings())]
    revision = "f" * 40
    tested = Subject(Path("project"), ("t.py",), Settings(), Path(sys.executable), revision, revision, 0)
    return SelfTest(verdicts, rounds, tested, "3.11.7 (main)", 1, 2.0, 99.0)


def test_every_repetition_gives_all_kinds_of_verdicts(held: SelfTest) -> None:
    assert len(held.verdicts) == 4 * 2 * (2 + len(self_test.SLOWDOWNS))
    assert self_test_report.alarms(held).total == 16
    assert {each.pairs for each in held.verdicts} == {16}


def test_power_grows_with_the_slowdown_and_is_told_apart_by_scatter(held: SelfTest) -> None:
    steady = [self_test_report.power(held, slowdown, 0.02) for slowdown in self_test.SLOWDOWNS]
    assert [share.total for share in steady] == [4] * 4
    assert steady[2:] == [Share(4, 4)] * 2
    assert self_test_report.power(held, 0.05).total == 8
    assert self_test_report.scatters(held)[STEADY] == pytest.approx(0.01, rel=0.2)


def test_what_was_injected_was_attained(held: SelfTest) -> None:
    assert self_test_report.attained(held, 0.10) == pytest.approx(0.10, abs=0.03)


def test_scatter_is_shown_for_processes_that_took_no_turns_with_each_other_too(held: SelfTest) -> None:
    scatter = self_test_report.scatter_by_statistic(held)
    assert scatter["by their means"][1] > 0
    assert math.isnan(scatter["slice by slice"][1])


def test_spins_are_the_time_of_a_call_in_loops() -> None:
    rounds = [{"still": Sample({"a": once(1e-3, spin_s)})} for spin_s in (4e-9, 5e-9, 9e-9)]
    assert self_test.spins_for_all(rounds, "still") == pytest.approx({"a": 200_000})


def test_spins_are_corrected_by_what_they_did_if_that_makes_sense() -> None:
    def round_of(factor: float) -> dict[str, Sample]:
        return {"still": Sample({"a": once(1.0)}), "probed": Sample({"a": once(factor)})}

    assert self_test.corrected({"a": 100.0}, [round_of(1.08)] * 6)["a"] == pytest.approx(125.0, rel=1e-3)
    assert self_test.corrected({"a": 100.0}, [round_of(2.0)] * 6)["a"] == 100.0


def test_an_exam_is_written_so_that_it_can_be_computed_again(held: SelfTest, tmp_path: Path) -> None:
    files = {file.name: file for file in self_test_report.save(held, tmp_path)}
    summary = json.loads(files["gate-exam.json"].read_text())
    assert summary["alarms"]["total"] == 16
    assert summary["comparison_s"] == 2.0 * 3 * 16
    with files["gate-exam-verdicts.csv"].open() as table:
        assert len(list(csv.DictReader(table))) == len(held.verdicts)
    with gzip.open(files["gate-exam-samples.csv.gz"], "rt") as table:
        assert len(list(csv.DictReader(table))) == 4 * 16 * 8 * 2
    assert "| 5% | " in files["gate-exam.md"].read_text()
    assert files["gate-exam.svg"].read_text().lstrip().startswith("<?xml")


def test_the_power_curve_says_what_it_shows() -> None:
    series = {"the gate": [(0.0, Share(1, 300)), (0.03, Share(70, 100)), (0.05, Share(96, 100))]}
    title = plots.power_curve("measured here", series).get_title("left").replace("\n", " ")
    assert title == "The gate detects 5% nine times in ten, with 1 false alarm in 300 verdicts"


@pytest.mark.slow
def test_a_real_exam_really_slows_the_measured_function(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_test, "SLOWDOWNS", (0.10,))
    monkeypatch.setattr(self_test, "CALIBRATION_ROUNDS", 2)
    project.commit({"tiny.py": project.source + "\n\n# another revision\n"})
    chosen = subject(project.path, "HEAD", [], load(project.path, python=sys.executable))
    held = run_self_test(chosen, Length(repetitions=1, pairs=1))
    assert {each.slowdown for each in held.verdicts} == {0.0, *self_test.SLOWDOWNS}
    assert project.git("worktree", "list").count("\n") == 0
