"""`heartbench sweep`, as a user calls it; in most tests cells run in threads of this process, which start at once."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from heartbench.analysis.sweep import running
from heartbench.analysis.sweep.cell import FIGURES, Finished, run_cell
from heartbench.cli import app
from heartbench.simulator.scenario import Scenario

TINY = ["sweep", "wireguard-5g-fast", "--set", "duration=10m", "--set", "group.*.nodes=4"]
FULL = [*TINY, "--vary", "group.*.keepalive_time=0s,10s", "--seeds", "1..2", "--stale-after", "5s,10s"]


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "workers", lambda count: ThreadPoolExecutor(max_workers=count))


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the seeds of the cells that are run."""
    seeds: list[int] = []

    def noted(scenario: Scenario, stale_after_s: tuple[float, ...]) -> Finished:
        seeds.append(scenario.seed)
        return run_cell(scenario, stale_after_s)

    monkeypatch.setattr(running, "run_cell", noted)
    return seeds


def test_a_sweep_writes_one_tidy_table_a_plot_and_what_it_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "folder"
    assert app.invoke([*FULL, "-o", str(out)]) == 0
    printed, told = capsys.readouterr()
    table = pq.read_table(out / "sweep.parquet")
    assert table.column_names == ["group.*.keepalive_time_s", "seed", *FIGURES.names]
    assert table["stale_after_s"].to_pylist() == [5.0, 10.0] * 4
    assert table.to_pandas().gaps.min() > 1000
    assert (out / "sweep.svg").read_text().startswith("<svg")
    assert "finished already" not in told
    assert "lowest and" in printed
    rows = [line.split()[:3] for line in printed.splitlines() if line.startswith(("  0s", "  10s"))]
    assert rows == [["0s", "5", "s"], ["0s", "10", "s"], ["10s", "5", "s"], ["10s", "10", "s"]]
    assert "false stales per node-day in these runs, fewest with keepalive_time" in " ".join(printed.split())
    record = json.loads((out / "sweep.json").read_text())
    assert record["command"].startswith("heartbench sweep")


def test_json_names_the_table_and_a_resumed_sweep_says_how_many_runs_it_found(
    ran: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = [*TINY, "--json", "--workers", "1", "-o"]
    assert app.invoke([*common, str(tmp_path), "--seeds", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"] == 1
    assert app.invoke([*common, str(tmp_path), "--seeds", "2,1"]) == 0
    printed, told = capsys.readouterr()
    assert ran == [1, 2]
    assert told == f"heartbench: 1 of 2 runs are finished already; {tmp_path / 'cells'} has them\n"
    result = json.loads(printed)
    assert (result["schema"], result["runs"], result["found"], result["failed"]) == ("heartbench.sweep/1", 2, 1, [])
    assert pq.read_table(result["table"])["seed"].to_pylist() == [2, 1]
    resumed = Path(result["table"]).read_bytes()
    assert app.invoke([*common, str(tmp_path / "anew"), "--seeds", "2,1"]) == 0
    assert (tmp_path / "anew" / "sweep.parquet").read_bytes() == resumed


def test_a_run_that_fails_is_named_with_status_1_and_the_table_has_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(scenario: Scenario, stale_after_s: tuple[float, ...]) -> Finished:
        if scenario.seed == 2:
            raise MemoryError("too large")
        return run_cell(scenario, stale_after_s)

    monkeypatch.setattr(running, "run_cell", failing)
    assert app.invoke([*TINY, "--seeds", "1,2", "-o", str(tmp_path), "--json"]) == 1
    printed, told = capsys.readouterr()
    assert told.endswith("heartbench: 1 of 2 runs failed: MemoryError: too large; first: seed=2\n")
    assert json.loads(printed)["failed"] == [{"run": ["seed=2"], "reason": "MemoryError: too large"}]
    assert pq.read_table(tmp_path / "sweep.parquet")["seed"].to_pylist() == [1]
    assert app.invoke([*TINY, "--seeds", "2", "-o", str(tmp_path / "none"), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["table"] is None


def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(scenario: Scenario, stale_after_s: tuple[float, ...]) -> Finished:
        if scenario.seed == 2:
            raise KeyboardInterrupt
        return run_cell(scenario, stale_after_s)

    monkeypatch.setattr(running, "run_cell", interrupted)
    command = [*TINY, "--seeds", "1..3", "-o", str(tmp_path), "--workers", "1"]
    assert app.invoke(command) == 130
    cells = tmp_path / "cells"
    line = f"interrupted: 1 of 3 runs are finished, and kept in {cells}; the same command does the rest"
    printed, told = capsys.readouterr()
    assert printed == ""
    assert told.endswith(f"heartbench: {line}\n")
    assert len(list(cells.iterdir())) == 1
    assert list(tmp_path.iterdir()) == [cells]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--vary", "hub.stale_after=3,4"], "scenario wireguard-5g-fast: hub: unknown key stale_after, did you mean"),
        (
            ["--vary", "group.edge.nodes=3,x"],
            "scenario wireguard-5g-fast: group.edge.nodes: 'x': must be a valid integer",
        ),
        (["--vary", "nothing"], "--vary: 'nothing': expected KEY=V1,V2,... or KEY=FROM..TO:STEPS"),
        (["--seeds", "few"], "--seeds: 'few': expected different seeds"),
        (["--stale-after", "soon"], '--stale-after: "soon" is not a duration'),
        (["--set", "x"], "--set: 'x': must be KEY=VALUE"),
        (["--out", "taken"], "--out: taken: must be a folder, but taken is not"),
    ],
)
def test_a_mistake_is_one_line_and_status_2_and_leaves_nothing(
    arguments: list[str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("taken").touch()
    assert app.invoke([*TINY[:4], *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"heartbench: {line}")
    assert [each.name for each in tmp_path.iterdir()] == ["taken"]


def test_a_cluster_without_dask_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("heartbench.cli.scheduler_option.find_spec", lambda _: None)
    assert app.invoke([*TINY, "--scheduler", "tcp://127.0.0.1:8786"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("heartbench: --scheduler: Dask is not installed: pip install")
    assert "[dask]" in told
