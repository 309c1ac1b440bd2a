import json
from pathlib import Path

import pytest

from heartbench.cli import app
from heartbench.simulator.scenario import SCENARIOS, load_scenario
from heartbench.simulator.schema import scenario_schema


def test_the_list_names_every_shipped_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["scenarios", "list"]) == 0
    table = capsys.readouterr().out
    assert app.invoke(["scenarios", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["scenarios"]

    assert all(f"  {name} " in table for name in SCENARIOS.names())
    assert [scenario["name"] for scenario in listed] == SCENARIOS.names()
    assert {s["name"]: s["duration_s"] for s in listed}["wireguard-5g"] == 86400


def test_every_shipped_scenario_runs_in_both_engines(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["scenarios", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["scenarios"]
    assert all(scenario["engines"] == ["virtual", "live"] for scenario in listed)


def test_a_scenario_is_shown_with_its_comments(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["scenarios", "show", "lan"]) == 0
    assert capsys.readouterr().out == SCENARIOS.text("lan")


@pytest.mark.parametrize("group", ["scenarios", "profiles"])
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_group_alone_lists(group: str, options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke([group, "list", *options]) == 0
    listed = capsys.readouterr().out
    assert app.invoke([group, *options]) == 0
    assert capsys.readouterr().out == listed


@pytest.mark.parametrize("group", ["scenarios", "profiles"])
def test_json_before_the_command_is_refused(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke([group, "--json", "list"]) == 2
    assert capsys.readouterr() == ("", "heartbench: --json: must follow list\n")


def test_a_file_is_shown_resolved_and_loads_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('duration = "1h"\n[[group]]\nname = "a"\nnodes = 3\nprofile = "lan"\nheartbeat_interval = "4s"\n')
    assert app.invoke(["scenarios", "show", str(mine)]) == 0
    shown = capsys.readouterr().out
    assert 'start_spread = "4s"' in shown  # a default that follows from another key
    assert "base_delay" in shown  # of the profile
    assert "#   stale_after_s = 30.0\n" in shown
    assert "# Figures of the link of group a:\n" in shown
    mine.with_name("shown.toml").write_text(shown)
    again = load_scenario(str(mine.with_name("shown.toml"))).model_copy(update={"name": "mine"})
    assert again == load_scenario(str(mine))


@pytest.mark.parametrize("options", [["--full"], ["--set", "seed=9", "--set", "hub.stale_after_s=5"], ["--nodes", "7"]])
def test_what_is_shown_loads_as_what_was_asked_for(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.invoke(["scenarios", "show", "wireguard-5g-fast", *options]) == 0
    (tmp_path / "shown.toml").write_text(capsys.readouterr().out)
    assert app.invoke(["scenarios", "show", "wireguard-5g-fast", *options, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)["scenario"]

    assert load_scenario(str(tmp_path / "shown.toml")).to_data() == data


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["show", "lam"], "heartbench: scenario: 'lam' is not known, did you mean lan?"),
        (["show", "."], "heartbench: .: is a directory; expected a TOML file"),
        (["show", "lan", "--set", "seeds=1"], "heartbench: scenario lan: unknown key seeds, did you mean seed?"),
        (["show", "lan", "--nodes", "0"], "heartbench: --nodes: 0: must be at least 1"),
        (["show", "lan", "--nodes", "10000001"], "heartbench: --nodes: 10000001: must be at most 10000000"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.invoke(["scenarios", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(line)
    assert err.count("\n") == 1


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["scenarios", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == scenario_schema()
