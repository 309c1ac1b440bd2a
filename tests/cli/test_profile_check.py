"""`heartbench profiles check`: a table, the same as JSON, several logs as one, and errors in one line."""

import json
from pathlib import Path

import pytest
from tests.simulator.probes import walk

from heartbench.cli import app
from heartbench.simulator.recordings import write_recording

SHORT = ["--nodes", "2", "--duration", "30m"]


@pytest.fixture
def log(tmp_path: Path) -> str:
    write_recording(walk(), tmp_path / "walk.parquet")
    return str(tmp_path / "walk.parquet")


def test_the_table_and_the_json_have_the_gaps_on_both_networks(
    log: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.invoke(["profiles", "check", "lan", log, *SHORT]) == 0
    table = capsys.readouterr().out
    assert "Gaps of 2 nodes for 30m, seed 1" in table
    assert "gaps over 30 s, per node-day" in table

    other = str(tmp_path / "other.parquet")
    write_recording(walk(2), Path(other))
    assert app.invoke(["profiles", "check", "lan", log, other, *SHORT, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "heartbench.profile-check/1"
    assert (found["profile"], found["recording"], found["seed"]) == ("lan", [log, other], 1)
    assert found["hours"] == pytest.approx(2 * 600 / 3600)  # both logs
    assert [row["over_s"] for row in found["gaps_per_node_day"]] == [10, 20, 30, 60, 90]


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (["lann", "LOG"], "profile: 'lann' is not known"),
        (["lan", "gone.log"], "gone.log: cannot be read: No such file or directory"),
        (["lan", "LOG", "gone.log"], "gone.log"),
        (["lan", "LOG", "--duration", "0s"], '--duration: "0s": must be longer than 0'),
    ],
)
def test_mistakes_are_reported_in_one_line(
    arguments: list[str], wrong: str, log: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.invoke(["profiles", "check", *(log if each == "LOG" else each for each in arguments)]) == 2
    said = capsys.readouterr().err
    assert wrong in said
    assert said.count("\n") == 1
