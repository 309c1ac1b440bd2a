"""The command line of the gate; what it measures is tested in tests/benchmarks/gate."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from heartbench.cli.app import invoke


def store(folder: Any, count: Any, change: Any) -> None:
    for number in range(count):
        document = {
            "commit_info": {"id": f"{number:040x}", "time": f"2026-01-{number + 1:02d}"},
            "benchmarks": [{"fullname": "t.py::test_a[x/y]", "stats": {"median": 1.0 if number < change else 1.5}}],
        }
        (folder / f"{number:02d}.json").write_text(json.dumps(document), "utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "exactly one of --against REV, --self-test and --history DIR"),
        (["--against", "HEAD", "--self-test"], "exactly one of"),
        (["--against", "HEAD", "--project", "nowhere"], "--project nowhere: no such directory"),
        (["--against", "HEAD", "--rounds", "1"], "--rounds = 1"),
        (["--against", "HEAD", "--budget", "10 parsecs"], "is not a duration"),
        (["--against", "HEAD"], "not a git repository"),
        (["--against", "HEAD", "--markdown", "nowhere/a.md"], "--markdown: nowhere/a.md: must be a file in a folder"),
        (["--against", "HEAD", "--junit", "."], "--junit: .: must be a file in a folder"),
        (["--against", ""], "--against: '': expected a revision"),
        (["--self-test", "--minutes", "nan"], "--minutes: nan: must be more than 0"),
        (["--self-test", "--minutes", "-1"], "--minutes: -1: must be more than 0"),
        (["--history", "nowhere"], "--history nowhere: no such directory"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: Any, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke(["bench", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert captured.err.count("\n") == 1


def test_history_prints_changes_and_draws_each_series(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store(tmp_path, 20, change=12)
    assert invoke(["bench", "--history", str(tmp_path), "--json", "--out", str(tmp_path / "drawn")]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "heartbench.history/1"
    assert document["series"][0]["changes"][0]["revision"] == f"{12:040x}"
    assert [file.name for file in (tmp_path / "drawn").iterdir()] == ["000-t.py-test_a-x-y-.svg"]
    assert invoke(["bench", "--history", str(tmp_path), "--out", str(tmp_path / "drawn")]) == 0
    assert "+50.0%" in capsys.readouterr().out


def test_importing_the_command_loads_nothing_heavy() -> None:
    loaded = "[name for name in ('numpy', 'scipy', 'matplotlib') if name in sys.modules]"
    script = f"import heartbench.cli.bench, sys; print({loaded})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
