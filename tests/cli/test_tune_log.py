"""`heartbench tune` on the log of a real hub."""

import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tests.analysis.imported_logs import every
from tests.analysis.imports.fleet import fleet, hub_trace

from heartbench.cli.app import invoke
from heartbench.hub.config import HubSettings

BEGIN = 1_790_000_000
EASY = ["--max-false-stale", "100/node-day", "--max-detection", "120s"]
CICV5G = Path(__file__).parents[3] / "shared/data/cicv5g/cicv5g-urban-arterial-w2s.zip"


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two hours of four nodes: silences of 50 s, the hub down for 5 min, b silent for the last hour."""
    lives = {
        "a": every(10.0, 0.5, 7200.0, [(1000.5, 1050.5), (4000.5, 4300.5)]),
        "b": every(10.0, 1.25, 3600.0),
        "c": every(10.0, 2.25, 7200.0, [(4000.0, 4300.0)]),
        "d": every(10.0, 3.25, 7200.0, [(4000.0, 4300.0), (5003.25, 5053.25)]),
    }
    monkeypatch.chdir(tmp_path)
    rows = sorted((at, name) for name, life in lives.items() for at in life)
    lines = [f"{BEGIN + at:.3f},{name}" for at, name in rows]
    Path("hub.csv").write_text("\n".join(["time,node", *lines, ""]))
    return Path("hub.csv")


def tuned(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> dict[str, Any]:
    assert invoke(["tune", *arguments, "--json"]) == status
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_log_is_judged_without_a_current_setting_and_leaves_nothing_behind(
    log: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(Path("temporary").resolve()))
    found = tuned(capsys, str(log), *EASY)
    assert (found["source"], found["current"], found["recorded"]) == ("hub.csv", None, True)
    assert HubSettings.load(Path("hub.env")).stale_after_s == found["recommended"]["stale_after_s"]
    assert sorted(each.name for each in Path().rglob("*")) == ["hub.csv", "hub.env", "temporary"]


def test_both_readings_of_a_silent_node_are_shown_and_the_worse_decides(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    down = ["--hub-down", f"{BEGIN + 4000}..{BEGIN + 4300}"]
    found = tuned(capsys, str(log), *EASY, "--now", "40s", *down)
    assert {name: each["current"]["false_stale"] for name, each in found["readings"].items()} == {"dead": 2, "alive": 3}
    worse = found["readings"][found["reading"]]
    assert found["recommended"] == worse["recommended"] == worse["at_recommended"]
    assert found["current"]["stale_after_s"] == 40
    assert invoke(["tune", str(log), *EASY, *down]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "If nodes that are silent at the end are dead: at " in out
    assert "silent at the end: b (for 60 min); judged as dead and as alive, and the worse reading decides" in out
    assert "# If nodes that are silent at the end are alive: at " in Path("hub.env").read_text()


def test_the_record_of_a_hub_is_judged_by_its_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hub_trace(fleet(), tmp_path)
    found = tuned(capsys, "trace", *EASY)
    assert (found["source"], found["recorded"], set(found["readings"])) == ("trace", True, {"dead", "alive"})


def test_what_the_user_knows_leaves_one_reading(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    down = ["--hub-down", f"{BEGIN + 4000}..{BEGIN + 4300}"]
    for said, mistakes in ((["--dead", "b"], 2), (["--silent-at-end", "dead"], 2), (["--silent-at-end", "alive"], 3)):
        found = tuned(capsys, str(log), *EASY, "--now", "40s", *down, *said)
        assert (found["readings"], found["current"]["false_stale"]) == (None, mistakes)
        found = tuned(capsys, str(log), *EASY, "--now", "40s", *said)
        assert [name.partition(",")[0] for name in found["readings"]] == ["hub-up", "hub-down"]
        assert found["reading"].startswith("hub-up")
        assert found["current"]["false_stale"] == mistakes + 3
    assert {each["name"] for each in found["assumptions"]} >= {"all silent at once", "transit times", "power losses"}


def test_an_import_is_judged_like_its_log(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["import", str(log), "-o", "imported"]) == 0
    capsys.readouterr()
    of_import, of_log = (tuned(capsys, name, *EASY) for name in ("imported", "hub.csv"))
    assert of_import["frontier"] == of_log["frontier"]
    assert invoke(["tune", "imported", "--dead", "b"]) == 2
    assert capsys.readouterr().err == (
        "heartbench: imported: is not a log; pass what is known about a log to `heartbench import`\n"
    )
    assert invoke(["tune", "imported", "--skip-sender-pauses"]) == 2
    assert "has no times of the senders" in capsys.readouterr().err


@pytest.mark.skipif(not CICV5G.exists(), reason="needs the logs in shared/data/cicv5g")
def test_heartbeats_of_a_car_are_judged_at_a_tenth_of_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Gaps of over 0.5 s in which the sender did not pause are rare; those in which it did are a hundred."""
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile(CICV5G) as whole, zipfile.ZipFile("some.zip", "w") as some:
        for name in sorted(whole.namelist())[::8]:
            some.writestr(name, whole.read(name))
    log = ["some.zip", "--time", "echoed_ms", "--sent", "sent_ms", "--node", "@file"]
    goal = ["--max-false-stale", "60/node-hour", "--max-detection", "1s"]
    found = tuned(capsys, *log, *goal, "--now", "100ms", "--skip-sender-pauses")
    assert found["current"]["stale_after_s"] == 0.1
    assert 0.1 < found["recommended"]["stale_after_s"] < 0.6
    assert HubSettings.load(Path("hub.env")).stale_after_s == found["recommended"]["stale_after_s"]
    paused = tuned(capsys, *log, *goal, "--now", "100ms", status=1)
    assert paused["current"]["false_stale"] > found["current"]["false_stale"]
