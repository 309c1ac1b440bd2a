import json
from pathlib import Path
from typing import Any

import pytest

from heartbench.benchmarks.errors import BenchmarkError
from heartbench.benchmarks.gate import history, plots


def store(folder: Path, number: int, median: float, machine: str = "m", **more: Any) -> None:
    document = {
        "machine_info": {"node": machine},
        "commit_info": {"id": f"{number:040x}", "time": f"2026-01-{number + 1:02d}"},
        "benchmarks": [{"fullname": "t.py::test_a", "stats": {"median": median}}],
        **more,
    }
    (folder / f"{machine}-{number:02d}.json").write_text(json.dumps(document), "utf-8")


def test_a_lasting_change_is_named_by_its_first_revision(tmp_path: Path) -> None:
    for number in range(24):
        store(tmp_path, number, 1e-3 * (1.0 if number < 14 else 1.2) * (1 + 0.002 * (number % 3)))
    (series,) = history.read(tmp_path)
    (change,) = series.changes
    assert change.revision == f"{14:040x}"
    assert change.ratio == pytest.approx(1.2, abs=0.01)


def test_order_is_that_of_the_commits(tmp_path: Path) -> None:
    store(tmp_path, 2, 1.0)
    store(tmp_path, 0, 3.0)
    assert [result.median_s for result in history.read(tmp_path)[0].results] == [3.0, 1.0]


def test_machines_are_not_compared_with_each_other(tmp_path: Path) -> None:
    for number in range(20):
        store(tmp_path, number, 1.0 + number % 2 * 0.01, machine="old" if number < 10 else "new")
    assert [(series.machine, series.changes) for series in history.read(tmp_path)] == [("new", ()), ("old", ())]


def test_other_files_are_passed_over(tmp_path: Path) -> None:
    store(tmp_path, 0, 1.0)
    (tmp_path / "broken.json").write_text("{", "utf-8")
    (tmp_path / "list.json").write_text("[1]", "utf-8")
    (tmp_path / "other.json").write_text('{"schema": 1}', "utf-8")
    assert len(history.read(tmp_path)) == 1


@pytest.mark.parametrize(
    "text",
    [
        '{"benchmarks": [3]}',
        '{"benchmarks": [{"fullname": "a"}]}',
        '{"benchmarks": [{"fullname": "a", "stats": {"median": "soon"}}]}',
        '{"benchmarks": [], "commit_info": 3}',
        '{"benchmarks": [], "machine_info": "x"}',
        '{"benchmarks": [], "machine_info": {"cpu": "x"}}',
    ],
)
def test_a_result_that_is_damaged_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.json").write_text(text, "utf-8")
    with pytest.raises(BenchmarkError, match=r"bad\.json: not a valid result of pytest-benchmark"):
        history.read(tmp_path)


def test_a_name_that_is_a_number_is_a_name(tmp_path: Path) -> None:
    store(tmp_path, 0, 1.0, benchmarks=[{"fullname": 3, "stats": {"median": 1.0}}])
    assert [series.benchmark for series in history.read(tmp_path)] == ["3"]


def test_folders_and_nested_lists_are_passed_over(tmp_path: Path) -> None:
    store(tmp_path, 0, 1.0)
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "deep.json").write_text("[" * 100_000, "utf-8")
    assert len(history.read(tmp_path)) == 1


def test_a_folder_without_results_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="no results of pytest-benchmark"):
        history.read(tmp_path)
    with pytest.raises(BenchmarkError, match="no such directory"):
        history.read(tmp_path / "nowhere")


def test_a_series_is_drawn_with_its_changes(tmp_path: Path) -> None:
    for number in range(24):
        store(tmp_path, number, 1e-3 * (1.0 if number < 14 else 1.2))
    ax = plots.through_time(history.read(tmp_path)[0])
    assert ax.get_title("left") == "test_a: 1 lasting change"
    assert ax.get_ylabel().endswith("ms")
