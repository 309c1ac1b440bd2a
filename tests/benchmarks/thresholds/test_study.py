"""From a run or a trace to a recommendation."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.figures import figures_of
from heartbench.benchmarks.thresholds import evidence as evidences
from heartbench.benchmarks.thresholds.evidence import evidence_of, simulated
from heartbench.benchmarks.thresholds.study import study
from heartbench.benchmarks.thresholds.tune import Goal
from heartbench.hub.config import HubSettings
from heartbench.simulator.engines.virtual import VirtualResult
from heartbench.simulator.run_directory import RunDirectory
from heartbench.simulator.trace import read_trace

HARD = Goal(max_false_stale_per_node_day=1 / 7, max_detection_s=5.0)
EASY = Goal(max_false_stale_per_node_day=1000.0, max_detection_s=60.0)


def test_a_run_is_judged_under_both_tails(run_path: Path) -> None:
    done: list[int] = []
    evidence = evidence_of(run_path)
    found = study(evidence, EASY, done.append)
    assert list(found.frontiers) == ["exponential", "lognormal"]
    assert found.met
    assert found.current_s == 3.0
    assert sum(done) == evidence.nodes_to_simulate == 40
    assert all(row["false_stale_ci"][1] <= 1000 for row in found.rows(found.recommended_s).values())


def test_the_same_run_gives_the_same_recommendation(run_path: Path) -> None:
    first, second = (study(evidence_of(run_path), HARD) for _ in range(2))
    assert first.recommended_s == second.recommended_s
    assert all(first.frontiers[tail].equals(second.frontiers[tail]) for tail in first.frontiers)


def test_a_bare_trace_has_no_other_tail(run_path: Path) -> None:
    evidence = evidence_of(run_path / "trace")
    assert list(study(evidence, EASY).frontiers) == ["as recorded"]
    arrived = read_trace(run_path).arrived_s
    assert evidence.duration_s == pytest.approx(arrived.max() - arrived.min())
    with pytest.raises(BenchmarkError, match="a bare trace does not say what was run"):
        evidence.scenario_under(next(iter(evidences.Tail)))


def test_the_times_of_a_bare_trace_may_count_from_any_moment(run_path: Path) -> None:
    trace = read_trace(run_path)
    figures = []
    for origin_s in (0, 2**30, -(2**20)):  # whole powers, so that no digit is lost
        moved = trace.assign(sent_s=trace.sent_s + origin_s, arrived_s=trace.arrived_s + origin_s)
        moved.to_parquet("moved.parquet")
        evidence = evidence_of(Path("moved.parquet"))
        assert evidence.gaps.start_s.min() == 0
        figures.append(study(evidence, EASY).frontiers["as recorded"].iloc[::20].to_numpy(float))
    assert np.allclose(figures[0], figures[1], rtol=1e-3, equal_nan=True)
    assert np.allclose(figures[0], figures[2], rtol=1e-3, equal_nan=True)


def test_a_node_heard_of_only_at_the_end_leaves_the_interval_finite(run_path: Path) -> None:
    trace = read_trace(run_path)
    trace = trace[trace.node < 2]
    late = trace.nlargest(1, "arrived_s")
    pd.concat([trace, *(late.assign(node=number) for number in range(7, 40))]).to_parquet("late.parquet")
    frame = study(evidence_of(Path("late.parquet")), EASY).frontiers["as recorded"]
    assert np.isfinite(frame[["false_stale_low", "false_stale_high"]]).all(axis=None)


def test_messages_that_all_came_at_once_are_too_little(run_path: Path) -> None:
    trace = read_trace(run_path)
    trace.assign(arrived_s=5.0).to_parquet("at-once.parquet")
    with pytest.raises(BenchmarkError, match="no node was heard of twice"):
        evidence_of(Path("at-once.parquet"))


def test_false_stales_are_the_gaps_longer_than_the_threshold(run_path: Path) -> None:
    frame = study(evidence_of(run_path), HARD).frontiers["exponential"]
    trace = read_trace(run_path)
    trace = trace[trace.arrived_s <= 600].sort_values(["node", "arrived_s"])
    gaps = trace.groupby("node").arrived_s.diff().dropna()
    last = 600 - trace.groupby("node").arrived_s.max()
    longer = [np.count_nonzero(gaps > each) + np.count_nonzero(last > each) for each in frame.stale_after_s]
    assert frame.false_stale.tolist() == longer


def test_the_figures_of_a_run_are_those_of_its_threshold(run_path: Path) -> None:
    row = study(evidence_of(run_path), HARD).rows(3.0)["exponential"]
    figures = figures_of(RunDirectory(run_path), HubSettings.of(stale_after_s=3.0), 600.0)
    del figures["latency_s"], figures["groups"], figures["node_days"], figures["flaps"], figures["flashes"]
    assert figures.pop("false_stale_ci") == pytest.approx(row["false_stale_ci"])
    assert figures == pytest.approx({name: row[name] for name in figures})


def test_a_simulation_cut_short_is_no_evidence(run_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    halted = VirtualResult(0, 0, 0, 0.0, 0.0, 0.0, interrupted=True)
    monkeypatch.setattr("heartbench.simulator.engines.virtual.simulate", lambda *_, **__: halted)
    with pytest.raises(KeyboardInterrupt):
        study(evidence_of(run_path), EASY)


def test_a_damaged_record_is_named(run_path: Path) -> None:
    run = RunDirectory.open(run_path)
    record = run.read_record()
    del record["settings"]["hub"]
    run.write_record(record)
    with pytest.raises(BenchmarkError, match=r"run\.json: 'hub': missing or damaged"):
        evidence_of(run_path)


def test_a_trace_of_single_messages_is_too_little(run_path: Path) -> None:
    record = RunDirectory.open(run_path).read_record()
    RunDirectory(run_path).write_record({**record, "duration_s": 0.0})
    with pytest.raises(BenchmarkError, match="no node was heard of twice"):
        evidence_of(run_path)


def test_a_scenario_simulated_is_the_evidence_of_its_run(run_path: Path) -> None:
    ran = evidence_of(run_path)
    assert ran.scenario is not None
    anew = simulated(ran.scenario.model_copy(update={"duration_s": ran.duration_s}))
    assert np.array_equal(anew.gaps.length_s, ran.gaps.length_s)
    assert (anew.seed, anew.usual_gap_s, anew.own_tail) == (ran.seed, ran.usual_gap_s, ran.own_tail)
