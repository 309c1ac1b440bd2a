"""Cells on two real Dask workers, one of which is killed; and on a pool that breaks, without its processes."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from io import BytesIO
from pathlib import Path
from typing import NoReturn

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed import LocalCluster

from heartbench.analysis import AnalysisError
from heartbench.analysis.sweep import Failure, parse_vary, plan_sweep, run_cell, run_cells, running, table_of
from heartbench.analysis.sweep.cell import FIGURES, Finished, made_by
from heartbench.analysis.sweep.plan import Sweep
from heartbench.simulator.scenario import Scenario

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as found:
        yield found


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    """Four cells, which carry a folder in their summary."""
    small = ["duration=10m", "group.*.nodes=4", f"summary={tmp_path}"]
    return plan_sweep("wireguard-5g", [parse_vary("group.*.keepalive_time=0s,10s")], (1, 2), small, (20.0, 30.0))


def bytes_of(table: pa.Table) -> bytes:
    out = BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


def table_by(sweep: Sweep, scheduler: str | None) -> pa.Table:
    figures = {}
    for cell, outcome in run_cells(sweep.cells, scheduler, 2):
        assert isinstance(outcome, Finished)
        figures[cell.number] = outcome.figures
    return table_of(sweep, figures)


def die_once(scenario: Scenario, stale_after_s: tuple[float, ...]) -> Finished:
    """Kill the worker of one cell, once."""
    if scenario.seed == 2 and not (died := Path(scenario.summary, "died")).exists():
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return run_cell(scenario, stale_after_s)


def break_pool(scenario: Scenario, _: tuple[float, ...]) -> Finished:
    """End as a cell does whose worker was killed, for each with seed 2."""
    folder = Path(scenario.summary)
    if scenario.seed == 2:
        (folder / f"{len(list(folder.iterdir()))}").touch()
        raise BrokenProcessPool
    return Finished(FIGURES.empty_table(), made_by())


def fail(scenario: Scenario, _: tuple[float, ...]) -> Finished:
    raise ValueError(f"{scenario.seed}\nmore")


def be_other(_: Scenario, __: tuple[float, ...]) -> Finished:
    return Finished(FIGURES.empty_table(), "elsewhere")


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    return lambda function: monkeypatch.setattr(running, "run_cell", function)


def test_two_dask_workers_make_the_bytes_of_one_process_even_if_one_of_them_is_killed(
    sweep: Sweep, cluster: LocalCluster, job: Callable[[object], None], tmp_path: Path
) -> None:
    here = table_of(sweep, {cell.number: run_cell(cell.scenario, cell.stale_after_s).figures for cell in sweep.cells})
    assert here["group.*.keepalive_time_s"].to_pylist() == [0.0] * 4 + [10.0] * 4
    assert here["seed"].to_pylist() == [1, 1, 2, 2] * 2
    job(die_once)
    assert bytes_of(table_by(sweep, cluster.scheduler_address)) == bytes_of(here)
    assert (tmp_path / "died").exists()


def test_a_cell_that_breaks_the_pool_three_times_has_failed_and_all_others_are_run(
    sweep: Sweep, job: Callable[[object], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "workers", lambda count: ThreadPoolExecutor(max_workers=count))
    job(break_pool)
    outcomes = [(cell.number, outcome) for cell, outcome in run_cells(sweep.cells, count=1)]
    failed = Failure("its worker died, 3 times")
    assert [(number, outcome == failed) for number, outcome in outcomes] == [
        (0, False),
        (1, True),
        (2, False),
        (3, True),
    ]
    assert all(isinstance(outcome, Finished) for _, outcome in outcomes[::2])
    assert len(list(tmp_path.iterdir())) == 2 * 3


def test_workers_that_end_as_they_begin_end_the_sweep(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(ThreadPoolExecutor):
        def __init__(self, count: int) -> None:
            super().__init__(count)

        def submit(self, *_: object, **__: object) -> NoReturn:
            raise BrokenProcessPool

    monkeypatch.setattr(running, "workers", Broken)
    with pytest.raises(AnalysisError, match="end as soon as they begin"):
        list(run_cells(sweep.cells, count=2))


def test_an_error_fails_its_cell_and_workers_of_another_version_end_the_sweep(
    sweep: Sweep, cluster: LocalCluster, job: Callable[[object], None]
) -> None:
    job(fail)
    outcomes = {outcome for _, outcome in run_cells(sweep.cells, cluster.scheduler_address)}
    assert outcomes == {Failure("ValueError: 1"), Failure("ValueError: 2")}
    job(be_other)
    with pytest.raises(AnalysisError, match=r"^a worker has other sources or packages than this process"):
        list(run_cells(sweep.cells, cluster.scheduler_address))
