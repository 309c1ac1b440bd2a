"""`heartbench explain`, as a user calls it."""

import json
from pathlib import Path

import pytest

from heartbench.cli.app import invoke

CUT = """
duration = "200s"
[[group]]
name = "edge"
nodes = 1
profile = "lan"
heartbeat_interval = "10s"
heartbeat_jitter = 0
start_spread = "0s"
[[fault]]
kind = "partition"
group = "edge"
nodes = 1
at = "101s"
for = "25s"
"""


@pytest.fixture(scope="module")
def cut_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cut")
    (folder / "cut.toml").write_text(CUT, encoding="utf-8")
    assert invoke(["run", str(folder / "cut.toml"), "--out", str(folder / "run"), "--set", "hub.stale_after_s=30"]) == 0
    return folder / "run"


def test_as_json_it_lists_each_false_stale_and_the_sum(cut_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert invoke(["explain", str(cut_run), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    (flash,) = told["flashes"]
    assert told["schema"] == "heartbench.explain/1"
    assert (flash["node"], flash["name"], flash["kind"], flash["cause"]) == (0, "edge-00000", "hidden", "rto backoff")
    assert flash["mended_by"][0]["knob"] == "stale_after"
    assert (told["sum"]["false_stale"], told["sum"]["hidden"], told["sum"]["flashes"]) == (1, 1, 2)
    assert "story" not in told


def test_a_node_and_a_time_choose_a_story(cut_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["explain", str(cut_run), "--node", "edge-00000", "--at", "2m"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "edge-00000 was marked stale at 130.0 s (0:02:10) and heard again 6.8 s later: hidden, rto backoff." in out
    assert "+1.00 link partition of both ways begins" in out
    assert "retransmission 6 by timeout: it is lost" in out
    assert "+30.00 hub deadline: 30.0 s without a sign of life, stale" in out
    assert "A stale_after of 36.8 s would have covered this gap, 6.8 s more than now." in out


@pytest.mark.parametrize("name", ["story.png", "story.html", "sum.svg"])
def test_a_picture_is_written(name: str, cut_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = ["--node", "0"] if name.startswith("story") else []
    assert invoke(["explain", str(cut_run), *chosen, "-o", str(tmp_path / name)]) == 0
    assert capsys.readouterr().out.rstrip().endswith(name)
    assert (tmp_path / name).stat().st_size > 5_000


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--node", "7"], "--node: 7: no such node in {run}; expected a number or a name, such as edge-00000"),
        (["-o", "story.txt"], "--out: story.txt: must be a file that ends in .png, .svg, .pdf or .html"),
        (["--at", "soon"], '--at: "soon" is not a duration'),
        (["--now", "30s"], "--now 30s: {run} records the settings of its hub"),
    ],
)
def test_bad_input_is_one_line(
    options: list[str], said: str, cut_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["explain", str(cut_run), *options]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert said.format(run=cut_run) in printed.err


def test_a_run_without_false_stales_says_so(cut_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario = tmp_path / "quiet.toml"
    scenario.write_text(CUT.replace('for = "25s"', 'for = "1s"'), encoding="utf-8")
    assert invoke(["run", str(scenario), "--out", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    assert invoke(["explain", str(tmp_path / "run")]) == 0
    assert "no node was marked stale while it was up" in " ".join(capsys.readouterr().out.split())
    assert invoke(["explain", str(tmp_path / "run"), "--node", "0"]) == 2
    assert "the node was never marked stale while it was up" in capsys.readouterr().err


def test_a_log_is_imported_and_keeps_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    times_s = [10.0 * n for n in range(20) if not 5 <= n <= 8]
    log = tmp_path / "hub.csv"
    log.write_text("time,node\n" + "".join(f"{1.7e9 + at:.0f},edge-1\n" for at in times_s), encoding="utf-8")
    assert invoke(["explain", str(log), "--now", "30s", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["source"] == str(log)
    (flash,) = told["flashes"]
    assert (flash["name"], flash["kind"], flash["cause"], flash["inferred"]) == ("edge-1", None, "missing", True)
    assert invoke(["explain", str(log), "--now", "30s", "--node", "edge-1"]) == 0
    assert "edge-1 was marked stale at 70.0 s" in " ".join(capsys.readouterr().out.split())


def test_options_about_a_log_are_those_of_tune(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Node a pauses by its own clock from 190 to 260 s, a message of b is late, and c is silent at the end."""
    monkeypatch.chdir(tmp_path)
    sent = [("a", 10.0 * n) for n in range(100) if not 20 <= n < 26]
    sent += [("b", 10.0 * n) for n in range(100)] + [("c", 10.0 * n) for n in range(30)]
    came = [(name, at, 290.0 if name == "b" and 200 <= at < 290 else at) for name, at in sent]
    rows = [f"{1.7e9 + arrived:.0f},{name},{1.7e9 + at:.0f}" for name, at, arrived in came]
    Path("hub.csv").write_text("\n".join(["came,who,left", *rows, ""]), encoding="utf-8")
    log = ["hub.csv", "--now", "40s", "--time", "came", "--sent", "left"]

    def marked(*options: str) -> tuple[list[str], int]:
        assert invoke(["explain", *log, "--node-column", "who", *options, "--json"]) == 0
        explained = [flash["name"] for flash in json.loads(capsys.readouterr().out)["flashes"]]
        goal = ["--max-false-stale", "1000/node-day", "--max-detection", "5m"]
        assert invoke(["tune", *log, "--node", "who", *options, *goal, "--json"]) == 0
        return explained, json.loads(capsys.readouterr().out)["current"]["false_stale"]

    assert marked("--silent-at-end", "dead") == (["a", "b"], 2)
    assert marked("--silent-at-end", "alive", "--skip-sender-pauses") == (["b", "c"], 2)
    assert marked("--dead", "c", "--hub-down", "200..290") == ([], 0)
    assert invoke(["explain", *log, "--node-column", "who", "--node", "a"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Nodes silent at the end (1) are taken as dead; --silent-at-end alive takes them as alive." in out
    assert "Gaps in which the node itself sent nothing count too; --skip-sender-pauses leaves them out." in out
