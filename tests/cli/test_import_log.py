"""`heartbench import`, as a user calls it."""

import json
from pathlib import Path

import pytest

from heartbench.cli.app import invoke

T = 1_700_000_000


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a log of four nodes in which the hub was away for a minute and one node fell silent."""
    monkeypatch.chdir(tmp_path)
    rows = [
        f"{T + at},node-{place}\n"
        for at in range(0, 900, 10)
        for place in range(4)
        if not 300 < at < 360 and not (place == 3 and at > 500)
    ]
    Path("hub.csv").write_text("time,node\n" + "".join(rows), encoding="utf-8")
    return Path("hub.csv")


def test_as_json_it_is_one_object(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["import", str(log), "-o", "trace", "--interval", "15s", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    wanted = {"schema", "format", "nodes", "heartbeats", "hours", "restarts", "hub_down", "suspects", "trace"}
    assert wanted < result.keys()
    assert (result["schema"], result["format"], result["nodes"]) == ("heartbench.import/1", "csv", 4)
    assert result["suspects"] == [{"node": "node-3", "last_s": 500, "silent_s": 390}]
    assert (result["all_silent"], result["hub_down"], result["interval_s"]) == ([[300, 360]], [], 15)
    assert result == json.loads(Path("trace/import.json").read_text(encoding="utf-8"))
    assert Path(result["trace"]).is_dir()


def test_the_advice_that_it_prints_can_be_followed(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["import", str(log), "-o", "trace"]) == 0
    printed = capsys.readouterr().out
    advice = [
        word for line in printed.splitlines() if "? Then " in line for word in line.partition("? Then ")[2].split()
    ]
    assert advice == ["--dead", "node-3", "--hub-down", "300..360"]
    assert "how long messages travelled is not known" in printed
    assert "does not say which nodes died" in printed
    assert invoke(["import", str(log), "-o", "trace", *advice]) == 0
    printed = capsys.readouterr().out
    assert "?" not in printed
    assert "The hub was down from 300 to 360 s." in printed


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["no.csv"], "heartbench: no.csv: no such file; expected the files of a log"),
        (
            ["hub.csv", "--format", "syslog"],
            "heartbench: --format: 'syslog' is not known; allowed: hub-trace, observer, ",
        ),
        (["hub.csv", "--time", "when"], "heartbench: hub.csv:1: --time: no column 'when'; it has 'time, node'"),
        (["hub.csv", "--time-unit", "min"], "heartbench: --time-unit: 'min' is not a unit; allowed: s, ms, us, ns"),
        (["hub.csv", "--hub-down", "9..3"], "heartbench: --hub-down: '9..3'; expected FROM..TO with FROM before TO"),
        (["hub.csv", "--hub-down", "3"], "heartbench: --hub-down: '3'; expected FROM..TO"),
        (["hub.csv", "--dead", "node-3@noon"], "heartbench: --dead: 'noon' is not a time; expected ISO 8601 (2026-"),
        (["hub.csv", "--restart", "node-3"], "heartbench: --restart: 'node-3': expected NAME@TIME"),
        (["hub.csv", "--interval", "0"], "heartbench: --interval: 0: must be longer than 0"),
        (["hub.csv", "--format", "nomad"], "heartbench: hub.csv:1: this log has changes of status, not heartbeats; "),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing_behind(
    arguments: list[str], line: str, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["import", *arguments, "-o", "trace"]) == 2
    out, error = capsys.readouterr()
    assert (out, error.count("\n")) == ("", 1)
    assert error.startswith(line)
    assert [path.name for path in Path().iterdir()] == ["hub.csv"]
