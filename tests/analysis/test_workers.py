import os
import time
from pathlib import Path

import pytest
from distributed import LocalCluster

from heartbench.analysis import AnalysisError
from heartbench.analysis import workers as module
from heartbench.analysis.workers import workers

pytestmark = pytest.mark.slow


def test_workers_of_this_machine_are_processes_that_an_error_ends(tmp_path: Path) -> None:
    started = tmp_path / "started"
    with pytest.raises(KeyboardInterrupt), workers(count=1) as executor:  # noqa: PT012
        pid = executor.submit(os.getpid).result()
        sleeper = executor.submit(_touch_and_sleep, started)
        while not started.exists():
            time.sleep(0.01)
        raise KeyboardInterrupt
    assert sleeper.exception() is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def _touch_and_sleep(path: Path) -> None:
    path.touch()
    time.sleep(600)


def test_a_cluster_runs_jobs_once_it_has_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalCluster(n_workers=0, threads_per_worker=1, dashboard_address=":0") as cluster:
        address = cluster.scheduler_address
        with monkeypatch.context() as patch:
            patch.setattr(module, "ANSWERS_WITHIN_S", 0.5)
            with pytest.raises(AnalysisError, match=f"start one with `dask worker {address}`"):
                workers(address).__enter__()
        cluster.scale(1)
        with workers(address) as executor:
            assert executor.submit(os.getpid).result() != os.getpid()


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("tcp://127.0.0.1:9", "no Dask scheduler answers within 0.5 s"),
        ("127.0.0.1:8786", "expected the address of a Dask scheduler, tcp://HOST:PORT"),
        ("tcp://127.0.0.1", "expected the address of a Dask scheduler"),
    ],
)
def test_an_address_where_nobody_answers_is_an_error(
    address: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWERS_WITHIN_S", 0.5)
    with pytest.raises(AnalysisError, match=f"^--scheduler: '?{address}'?: {reason}"):
        workers(address).__enter__()
