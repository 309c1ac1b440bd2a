"""`heartbench ladder`, as a user calls it."""

import json
from pathlib import Path

import pytest

from heartbench.cli import app

SHORT = ["ladder", "--outages", "2s,6s", "--phases", "0.2,0.5", "--interval", "1s"]


def test_the_table_has_a_row_an_outage_and_a_column_a_phase(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(SHORT) == 0
    lines = capsys.readouterr().out.splitlines()
    (two,) = [line.split() for line in lines if line.startswith("  2 s ")]
    (six,) = [line.split() for line in lines if line.startswith("  6 s ")]
    assert (len(two), len(six)) == (6, 6)
    assert float(two[2]) < float(two[4]) < float(six[2])
    assert any("RTO before the outage: 0.288 s" in line for line in lines)


def test_as_json_it_is_one_object_with_a_row_a_cell(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke([*SHORT, "--json"]) == 0
    printed = capsys.readouterr().out
    result = json.loads(printed)
    assert printed.count("\n") == 1
    assert result.keys() == {"schema", "rto_s", "rows"}
    assert (result["schema"], result["rto_s"]) == ("heartbench.ladder/1", pytest.approx(0.288))
    assert [(row["outage_s"], row["phase"]) for row in result["rows"]] == [(2, 0.2), (2, 0.5), (6, 0.2), (6, 0.5)]
    assert all(row.keys() == {"outage_s", "phase", "gap_s"} for row in result["rows"])
    assert [row["gap_s"] for row in result["rows"]] == pytest.approx([2.2, 3.4, 10.8, 10.8], rel=0.07)


def test_what_is_asked_twice_is_answered_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["ladder", "--outages", "2s,2s", "--phases", "0.5,.5", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["rows"]) == 1


@pytest.mark.parametrize(("name", "begin"), [("a.svg", b"<?xml"), ("a.PNG", b"\x89PNG"), ("a.pdf", b"%PDF")])
def test_the_plot_is_a_file_of_the_kind_that_its_name_says(
    name: str, begin: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    assert app.invoke(["ladder", "--outages", "2s", "--phases", "0.5", "--plot", str(path)]) == 0
    assert path.read_bytes().startswith(begin)
    assert capsys.readouterr().out.splitlines()[-1] == str(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--plot", "pic"], "heartbench: --plot: pic: must be a file that ends in .svg, .png or .pdf"),
        (["--plot", "pic.bmp"], "heartbench: --plot: pic.bmp: must be a file that ends in .svg, .png or .pdf"),
        (["--plot", "[/x].jpg"], "heartbench: --plot: [/x].jpg: must be a file that ends in"),
        (["--plot", "nowhere/a.svg"], "heartbench: --plot: nowhere/a.svg: must be a file in a folder that exists"),
        (["--plot", "a.svg", "--stale-after", "0s"], "heartbench: --stale-after: 0 s: must be longer than 0"),
        (["--stale-after", "soon"], 'heartbench: --stale-after: "soon" is not a duration'),
        (["--outages", "2s,"], 'heartbench: --outages: "" is not a duration'),
        (["--outages", "1e15s"], "heartbench: --outages: 1e+15 s: must not be negative, nor longer than 86400 s"),
        (["--outages", "2h", "--interval", "1ms"], "heartbench: --interval: 0.001 s: expected 0.01 s to 86400 s"),
        (["--outages", "20000s", "--interval", "10ms"], "heartbench: --outages: 20000 s: must not be negative, nor"),
        (["--interval", "1e15s"], "heartbench: --interval: 1e+15 s: expected 0.01 s to 86400 s"),
        (["--interval", "0s"], "heartbench: --interval: 0 s: must be more than 0 s"),
        (["--phases", "late"], "heartbench: --phases: 'late': must be a number between 0 and 1"),
        (["--phases", "1.5"], "heartbench: --phases: 1.5: must lie between 0 and 1"),
        (["--phases", "nan"], "heartbench: --phases: nan: must lie between 0 and 1"),
        (["--rtt", "11s"], "heartbench: --rtt: 11 s: too slow to connect"),
        (["--warmup", "0"], "heartbench: --warmup: 0: must be at least 1"),
        (["--warmup", "1000000000000"], "heartbench: --warmup: 1000000000000: must be at least 1 and at most"),
        (["--warmup", "1", "--interval", "10ms"], "heartbench: --warmup: 1: nothing arrived before the outage"),
    ],
)
def test_a_mistake_is_one_line_and_status_2_and_leaves_nothing(
    arguments: list[str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert app.invoke(["ladder", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(line)
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
