import os
from pathlib import Path

import pytest

from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.run_directory import RunDirectory


def test_runs_are_numbered_by_scenario_and_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    made = [RunDirectory.create(None, name, "virtual").path for name in ("lan", "lan", "my scenario")]

    names = ["lan-virtual-1", "lan-virtual-2", "my-scenario-virtual-1"]
    assert made == [Path("results/runs") / name for name in names]


def test_numbers_are_not_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results/runs/lan-live-7").mkdir(parents=True)

    assert RunDirectory.create(None, "lan", "live").path.name == "lan-live-8"


def test_a_directory_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "note").touch()

    with pytest.raises(SimulatorError, match="is not empty; use a new or empty directory"):
        RunDirectory.create(tmp_path, "lan", "live")
    with pytest.raises(SimulatorError, match="cannot be used as a run directory"):
        RunDirectory.create(tmp_path / "note", "lan", "live")


def test_an_empty_directory_serves(tmp_path: Path) -> None:
    assert RunDirectory.create(tmp_path, "lan", "live").path == tmp_path


def test_the_record_reads_back_with_its_schema(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "run", "lan", "live")
    run.write_record({"seed": 1, "settings": {"scenario": {}}})

    assert RunDirectory.open(run.path).read_record() == {
        "schema": "heartbench.run/1",
        "seed": 1,
        "settings": {"scenario": {}},
    }
    assert [file.name for file in run.path.iterdir()] == ["run.json"]


def test_the_newest_run_is_the_one_finished_last(tmp_path: Path) -> None:
    runs = [RunDirectory.create(tmp_path / name, "lan", "live") for name in ("b", "a", "c")]
    for age, run in enumerate(runs[:2]):
        run.write_record({})
        os.utime(run.record_file, (1000 - age, 1000 - age))

    assert RunDirectory.newest(tmp_path) == runs[0]
    with pytest.raises(SimulatorError, match="no run yet"):
        RunDirectory.newest(tmp_path / "elsewhere")


def test_what_is_no_run_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old/run.json").write_text('{"schema": "heartbench.run/0"}')
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut/run.json").write_text('{"schema": "heartbe')

    with pytest.raises(SimulatorError, match=r"no run\.json"):
        RunDirectory.open(tmp_path)
    with pytest.raises(SimulatorError, match="no such directory"):
        RunDirectory.open(tmp_path / "none")
    with pytest.raises(SimulatorError, match=r"schema: 'heartbench.run/0'; expected heartbench.run/1"):
        RunDirectory.open(tmp_path / "old").read_record()
    with pytest.raises(SimulatorError, match="cannot be read"):
        RunDirectory.open(tmp_path / "cut").read_record()
    (tmp_path / "cut/run.json").write_text("[" * 100_000)
    with pytest.raises(SimulatorError, match="cannot be read: it is not JSON"):
        RunDirectory.open(tmp_path / "cut").read_record()
    (tmp_path / "folder/run.json").mkdir(parents=True)
    with pytest.raises(SimulatorError, match=r"run\.json: cannot be read: Is a directory$"):
        RunDirectory(tmp_path / "folder").read_record()
