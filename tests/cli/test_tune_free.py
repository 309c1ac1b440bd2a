"""`heartbench tune --free`, as a user calls it."""

import json
import tomllib
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from heartbench.analysis import workers
from heartbench.analysis.joint import knobs
from heartbench.analysis.joint.knobs import Knob
from heartbench.cli.app import invoke
from heartbench.cli.errors import CommandError
from heartbench.cli.output import write_together
from heartbench.hub.config import HubSettings

EASY = ["--max-false-stale", "2000/node-day", "--max-detection", "60s"]


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate in this process, and try two values of each knob."""

    @contextmanager
    def threads(scheduler: str | None) -> Iterator[Executor]:
        with ThreadPoolExecutor(1) as executor:
            yield executor

    monkeypatch.setattr(workers, "workers", threads)
    monkeypatch.setitem(knobs.TRIED_S, Knob.USER_TIMEOUT, (0.0, 2.0))


def test_it_writes_what_the_hub_starts_with_and_what_the_nodes_set(
    run_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["tune", "--free", "threshold,user-timeout", *EASY, "--json"]) == 0
    printed = capsys.readouterr().out
    result = json.loads(printed)
    assert printed.count("\n") == 1
    assert (result["schema"], result["hub_env"], result["node_toml"]) == (
        "heartbench.tune-free/1",
        "hub.env",
        "node.toml",
    )
    recommended = result["recommended"]
    assert HubSettings.load(Path("hub.env")).stale_after_s == recommended["hub"]["stale_after_s"]
    assert tomllib.loads(Path("node.toml").read_text())["heartbeat_interval"] == "1s"
    assert recommended["bytes_per_node_day"] > 0
    assert invoke(["tune", "--free", "threshold,user-timeout", *EASY]) == 0
    out = capsys.readouterr().out
    assert out.endswith("Wrote hub.env and node.toml\n")
    assert "Searched 2 of 2 settings of the nodes" in " ".join(out.split())


def test_a_goal_that_is_not_met_writes_neither_file(run_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["tune", "--free", "threshold,user-timeout", "--max-detection", "2s"]) == 1
    assert "No setting meets the goal" in capsys.readouterr().out
    assert not Path("hub.env").exists()
    assert not Path("node.toml").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--free", "treshold"], "--free: treshold: expected some of threshold"),
        (["--free", "threshold", "--max-traffic", "fast"], '--max-traffic: "fast" is not a number of bytes'),
        (["--free", "threshold", "--node-out", "hub.env"], "--node-out: hub.env: is the file of --out too"),
        (
            ["--free", "threshold", "--scheduler", "tcp://127.0.0.1:8786"],
            "--scheduler: expected only with settings to simulate; --free threshold has none",
        ),
        (["--max-traffic", "2MB"], "--max-traffic: expected only with --free"),
        (["--permitted-pings", "5m"], "--permitted-pings: expected only with --free"),
    ],
)
def test_bad_input_is_one_line(
    run_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert invoke(["tune", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert message in printed.err


def test_a_log_is_refused_before_it_is_read(run_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("hub.log").write_text("no log at all\n")
    for source in (str(run_path / "trace"), "hub.log"):
        assert invoke(["tune", source, "--free", "threshold"]) == 2
        assert "says nothing of the nodes' settings" in capsys.readouterr().err


def test_settings_of_the_hub_alone_write_its_file_alone(run_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["tune", "--free", "threshold", *EASY]) == 0
    assert capsys.readouterr().out.endswith("Wrote hub.env\n")
    assert "set both" not in Path("hub.env").read_text()
    assert not Path("node.toml").exists()


@pytest.mark.parametrize("later", [["tune", *EASY], ["tune", "--free", "threshold", *EASY]])
def test_settings_of_nodes_that_an_earlier_search_left_are_named(
    run_path: Path, capsys: pytest.CaptureFixture[str], later: list[str]
) -> None:
    named = "node.toml is from an earlier run: do not use it with hub.env\n"
    Path("node.toml").write_text("# my own file\n")
    assert invoke(later) == 0
    assert capsys.readouterr().out.endswith("Wrote hub.env\n")
    assert invoke(["tune", "--free", "threshold,user-timeout", *EASY]) == 0
    assert capsys.readouterr().out.endswith("Wrote hub.env and node.toml\n")
    assert invoke(later) == 0
    assert capsys.readouterr().out.endswith("Wrote hub.env\n" + named)
    assert invoke([*later, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["hub_env"] == "hub.env"
    nodes = ["--node-out", str(Path("node.toml").absolute())]
    assert invoke(["tune", "--free", "threshold,user-timeout", *EASY, *nodes]) == 0
    assert "earlier run" not in capsys.readouterr().out


def test_files_that_belong_together_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be written"):
        write_together({tmp_path / "a": "1", tmp_path / "missing" / "b": "2"})
    assert list(tmp_path.iterdir()) == []
    write_together({tmp_path / "a": "1", tmp_path / "b": "2"})
    assert [each.read_text() for each in sorted(tmp_path.iterdir())] == ["1", "2"]
