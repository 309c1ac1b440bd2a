"""`heartbench tune` and `heartbench report`, as a user calls them."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from heartbench.cli.app import invoke
from heartbench.hub.config import HubSettings

EASY = ["--max-false-stale", "1000/node-day", "--max-detection", "60s"]
FIGURES = {"stale_after_s", "false_stale_per_node_day", "false_stale_ci", "detection_p99_s", "flaps_per_node_hour"}


def test_tune_prints_one_object_and_writes_what_the_hub_starts_with(
    run_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["tune", str(run_path), *EASY, "--json"]) == 0
    printed = capsys.readouterr().out
    result = json.loads(printed)
    assert printed.count("\n") == 1
    assert (result["schema"], result["met"], result["hub_env"]) == ("heartbench.tune/2", True, "hub.env")
    assert all(set(row) >= FIGURES for row in (result["current"], result["recommended"], *result["frontier"]))
    assert len(result["recommended"]["false_stale_ci"]) == 2
    assert result["recommended"]["group"] == "edge"
    assert set(result["groups"]["edge"]) >= {"current", "recommended"}
    assert {each["name"] for each in result["assumptions"]} >= {"shape", "scale", "hours observed", "independence"}
    assert all(set(each) >= {"name", "value", "whence"} for each in result["assumptions"])
    assert (result["hours_watched"], result["hours_needed"]) == (None, None)
    assert HubSettings.load(Path("hub.env")).stale_after_s == result["recommended"]["stale_after_s"]
    assert json.loads((run_path / "tune.json").read_text()) == result


def test_a_goal_that_is_not_met_is_status_1_and_writes_no_settings(
    run_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["tune", "--max-detection", "2s"]) == 1
    out = capsys.readouterr().out
    assert (
        "No threshold meets the goal of at most 1 false stale per node-week and a detection time (p99) of at most 2 s."
        in " ".join(out.split())
    )
    assert re.search(r"^ +closest +", out, re.MULTILINE)
    assert "detection is fast enough" in " ".join(out.split())
    assert not Path("hub.env").exists()


def test_as_json_it_says_by_how_much_the_goal_is_missed(run_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["tune", "--max-detection", "2s", "--json"]) == 1
    missed = json.loads(capsys.readouterr().out)
    assert missed["misses_by"]["false_stale"] > 1
    assert missed["misses_by"]["detection"] == pytest.approx(missed["recommended"]["detection_p99_s"] / 2, rel=0.01)
    assert invoke(["tune", *EASY, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["misses_by"] is None


def test_a_name_in_brackets_is_printed_as_it_is(run_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("[bold]").mkdir()
    named = run_path.rename(Path("[bold]", "x]"))
    assert invoke(["tune", str(named), *EASY]) == 0
    assert capsys.readouterr().out.startswith("[bold]/x], seed 1")


def test_the_table_shows_both_settings_and_what_is_assumed(run_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["tune", *EASY]) == 0
    out = capsys.readouterr().out
    assert re.findall(r"^ +(current|recommended) +\S+ s +(\S+)", out, re.MULTILINE) == [
        ("current", "edge"),
        ("recommended", "edge"),
    ]
    assumed = re.findall(r"^  ([a-z ]+): ", out, re.MULTILINE)
    assert assumed == ["shape", "scale", "hours observed", "rate of outages", "directions", "kind", "independence"]
    assert out.endswith("Wrote hub.env\n")


def test_an_imported_trace_has_no_current_setting_without_now(
    run_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = str(run_path / "trace" / "part-00000.parquet")
    assert invoke(["tune", trace, *EASY, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["current"] is None
    assert invoke(["tune", trace, *EASY]) == 0
    out = capsys.readouterr().out
    assert "urrent" not in out
    assert "power losses: none; an imported trace does not record when a node was down" in " ".join(out.split())
    assert invoke(["tune", trace, *EASY, "--now", "20s", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["current"]["stale_after_s"] == 20


def test_each_group_has_a_row_and_the_worse_decides_unless_the_fleet_is_asked_for(
    run_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = pd.DataFrame({"node": np.arange(40, dtype=np.int32), "group": ["lte"] * 10 + ["wired"] * 30})
    nodes.assign(name=[f"n{each}" for each in range(40)]).to_parquet(run_path / "nodes.parquet")
    trace = str(run_path / "trace")
    assert invoke(["tune", trace, *EASY, "--json"]) == 0
    by_group = json.loads(capsys.readouterr().out)
    assert by_group["recommended"]["group"] in by_group["groups"]
    assert set(by_group["groups"]) == {"lte", "wired"}
    assert invoke(["tune", trace, *EASY, "--per", "fleet", "--json"]) == 0
    of_fleet = json.loads(capsys.readouterr().out)
    assert of_fleet["recommended"]["group"] is None
    assert of_fleet["recommended"]["stale_after_s"] <= by_group["recommended"]["stale_after_s"]
    assert invoke(["tune", trace, *EASY]) == 0
    assert re.findall(r"^ +recommended +\S+ s +(the fleet|\S+)", capsys.readouterr().out, re.MULTILINE) == [
        "lte",
        "wired",
        "the fleet",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["tune", "nowhere"],
        ["tune", "."],
        ["tune", "binary"],
        ["tune", "table.parquet"],
        ["tune", "--max-detection", "10 parsecs"],
        ["tune", "--max-detection", "0"],
        ["tune", "--max-false-stale", "often"],
        ["tune", "--max-false-stale", "0/node-day"],
        ["tune", "--out", "nowhere/hub.env"],
        ["tune", "--out", "results"],
        ["tune", "--now", "20s"],
        ["tune", "--per", "node"],
        ["report", "--max-detection", "soon"],
        ["report", "nowhere"],
        ["report", "--out", "nowhere/report.html"],
        ["report", "--plots", "binary"],
        ["report", "--plots", "binary/plots"],
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing_behind(
    arguments: list[str], run_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("binary").write_bytes(bytes(range(256)))
    pd.DataFrame({"a": [1]}).to_parquet("table.parquet")
    before = sorted(Path().rglob("*"))
    assert invoke(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize("command", [["tune"], ["report"], ["explain"], ["watch"], ["cases", "match"]])
@pytest.mark.parametrize("now", ["-5s", "0s"])
def test_a_threshold_that_is_not_above_0_is_out_of_range(
    command: list[str], now: str, run_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke([*command, str(run_path / "trace"), "--now", now]) == 2
    assert capsys.readouterr().err == f"heartbench: --now: {now}: must be longer than 0\n"


def test_without_a_run_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke(["tune"]) == 2
    assert "no run yet" in capsys.readouterr().err


def test_report_prints_its_path_alone_on_the_last_line(run_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["tune", *EASY]) == 0
    assert invoke(["report"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "results/runs/fast-virtual-1/report.html"
    page = (run_path / "report.html").read_text()
    assert page.count("<svg") == 3
    assert "at most 1,000 false stales per node-day" in page  # the goal that tune was given
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//|@import|<script""", page)
    assert "{{" not in page


def test_report_without_tune_judges_by_the_default_goal(run_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["report", "--json", "--out", "page.html"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["schema"], printed["report"]) == ("heartbench.report/1", "page.html")
    assert "at most 1 false stale per node-week" in Path("page.html").read_text()


def test_report_takes_a_goal_of_its_own(run_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["tune", *EASY]) == 0
    assert invoke(["report", "--max-false-stale", "2000/node-day"]) == 0
    page = (run_path / "report.html").read_text()
    assert "at most 2,000 false stales per node-day and a detection time (p99) of at most 60 s" in page
    assert invoke(["report", str(run_path / "trace"), *EASY, "--now", "20s", "--out", "page.html"]) == 0
    assert "at most 1,000 false stales per node-day" in Path("page.html").read_text()


def test_a_damaged_tune_json_is_named(run_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run_path / "tune.json").write_text("{}")
    assert invoke(["report"]) == 2
    assert "tune.json: is damaged" in capsys.readouterr().err
