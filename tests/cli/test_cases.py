import json
from pathlib import Path

import pytest

from heartbench.analysis.cases import CASES, load_case
from heartbench.cli import app
from heartbench.simulator.scenario import load_scenario

QUICK = "spark-2784"


def test_the_list_names_every_case(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["cases", "list"]) == 0
    table = capsys.readouterr().out
    assert all(f"  {name} " in table for name in CASES.names())
    assert app.invoke(["cases", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["schema"] == "heartbench.cases/1"
    assert [case["name"] for case in listed["cases"]] == CASES.names()
    assert all({"name", "source", "finding"} == set(case) for case in listed["cases"])


def test_a_case_ends_with_1_if_its_finding_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["cases", "run", QUICK, "--json"]) == 0
    broken = json.loads(capsys.readouterr().out)
    assert (broken["name"], broken["shown"], broken["settings"]) == (QUICK, True, {"hub.stale_after_s": 600.0})
    assert app.invoke(["cases", "run", QUICK, "--mended", "--json"]) == 1
    mended = json.loads(capsys.readouterr().out)
    assert (mended["shown"], mended["figure"]) == (False, 0.0)


def test_a_case_is_told_to_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["cases", "run", QUICK]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "apache/spark#2784" in told
    assert "(limit: at least 0.9): the finding is shown" in told
    assert "Mended by: hub.stale_after_s = 6000.0." in told


def test_the_scenario_of_a_case_loads_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["cases", "show", "ray-16945", "--mended", "--set", "seed=9"]) == 0
    mine = tmp_path / "mine.toml"
    mine.write_text(capsys.readouterr().out)
    assert load_scenario(str(mine)) == load_case("ray-16945").scenario_with(mended=True, overrides=["seed=9"])


def test_a_match_of_regular_heartbeats_says_first_that_there_is_nothing_to_explain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = load_case(QUICK)
    monkeypatch.setattr("heartbench.analysis.cases.match.load_case", lambda _: shipped)
    log = tmp_path / "hub.csv"
    log.write_text("time,node\n" + "".join(f"{1_790_000_000 + at},n{at % 10}\n" for at in range(1000)))
    assert app.invoke(["cases", "match", str(log), "--now", "30s"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert out.startswith("No gap that ended exceeds the threshold: there is no false stale to explain.")
    assert "shows what mends it" not in out
    assert app.invoke(["cases", "match", str(log), "--now", "30s", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["nothing_to_explain"].startswith("No gap that ended exceeds")
    assert app.invoke(["cases", "match", str(log), "--now", "9s", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["nothing_to_explain"] is None


def test_an_empty_case_file_is_said_to_be_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("", " \n"):
        (tmp_path / "mine.toml").write_text(text)
        assert app.invoke(["cases", "run", str(tmp_path / "mine.toml")]) == 2
        said = capsys.readouterr().err
        assert said == f"heartbench: {tmp_path / 'mine.toml'}: the file is empty; expected a case in TOML\n"


@pytest.mark.parametrize("wrong", [["run", "nothing"], ["show", "evcc-33099", "--set", "x"], ["match", "nowhere"]])
def test_what_is_wrong_is_said_in_one_line(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["cases", *wrong]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1


def test_the_page_tells_each_case_as_its_file_does() -> None:
    page = " ".join((Path(__file__).parents[2] / "docs" / "casebook.md").read_text(encoding="utf-8").split())
    for name in CASES.names():
        case = load_case(name)
        texts = (f"## {name} ", case.title, case.happened, case.finding, case.mended_by, case.assumed, case.source)
        assert all(" ".join(text.split()) in page for text in texts), name
