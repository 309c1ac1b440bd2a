"""`heartbench watch` on logs; on a running hub see `test_inspection`."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.analysis.imported_logs import every
from tests.analysis.imports.fleet import fleet, hub_trace

from heartbench.cli.app import invoke

BEGIN, DAY_S = 1_790_000_000, 86_400.0


def write_log(path: Path, silences_on_the_last_day: int) -> Path:
    """Write a log of two nodes over two days: a silence of 50 s every 6 h, and more of them on the last day."""
    rows = []
    for name, first in (("a", 0.5), ("b", 5.25)):
        usual = [first + at * 3600.0 for at in range(3, 48, 6)]
        more = [first + DAY_S + 1800 + each * 1800 for each in range(silences_on_the_last_day)]
        life = every(30.0, first, 2 * DAY_S, [(at, at + 140.0) for at in (*usual, *more)])
        rows += [(at, name) for at in life]
    path.write_text("\n".join(["time,node", *(f"{BEGIN + at:.3f},{name}" for at, name in sorted(rows)), ""]))
    return path


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_log(tmp_path_factory.mktemp("logs") / "quiet.csv", 0)


@pytest.fixture(scope="module")
def worse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_log(tmp_path_factory.mktemp("logs") / "worse.csv", 40)


def watched(capsys: pytest.CaptureFixture[str], *arguments: str | Path, status: int) -> dict[str, Any]:
    assert invoke(["watch", *map(str, arguments), "--json"]) == status
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found["schema"] == "heartbench.watch/1"
    return found


def test_an_unchanged_log_ends_with_status_0(quiet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = watched(capsys, quiet, "--now", "100s", "--max-false-stale", "20/node-day", status=0)
    assert found["good"]
    assert (found["promise"]["verdict"], found["fleet"]["verdict"]) == ("kept", "unchanged")
    assert found["recent"]["to_unix_s"] == pytest.approx(BEGIN + 2 * DAY_S, abs=60)


def test_a_broken_goal_and_a_changed_network_end_with_status_1(worse: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = watched(capsys, worse, "--now", "100s", "--max-false-stale", "5/node-day", status=1)
    assert (found["promise"]["verdict"], found["network"]["verdict"]) == ("broken", "changed")
    change = found["network"]["changes"][0]
    assert (change["of"], change["direction"], change["without"]) == ("long gaps", "more", None)
    assert change["from_unix_s"] == pytest.approx(BEGIN + DAY_S, abs=2 * 3600)
    assert invoke(["watch", str(worse), "--now", "100s", "--max-false-stale", "5/node-day"]) == 1
    assert "network: changed" in capsys.readouterr().out


def test_the_record_of_a_hub_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hub_trace(fleet(), tmp_path)
    found = watched(capsys, tmp_path / "trace", "--since", "2h", "--max-false-stale", "100/node-day", status=0)
    assert (found["stale_after_s"], found["fleet"]["nodes"]) == (90.0, 50)
    assert found["promise"]["verdict"] == "kept"
    assert found["fleet"]["left"] == ["node-07"]  # as the recent part began


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "--now: is missing"),
        (["--now", "100s", "--since", "10m"], "--since: 600s: must be at least 48m"),
        (["--now", "100s", "--for", "1m"], "is not an address"),
        (["--now", "100s", "--profile", "lan"], "--profile lan: has no outage.observed"),
        (["--now", "100s", "--profile", "nosuch"], "heartbench: profile: 'nosuch' is not known; allowed: 5g-private"),
        (["--now", "100s", "--max-false-stale", "often"], "--max-false-stale"),
    ],
)
def test_bad_input_is_one_line(
    quiet: Path, arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["watch", str(quiet), *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert line in printed.err
    assert printed.err.count("\n") == 1


@pytest.fixture(scope="module")
def edges(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the events of a hub that marks nodes after 90 s: two nodes over two days, each silent twice."""
    turns = [("registered", 0.0), ("silence", 40_000.0), ("heard", 40_100.0), ("silence", 130_000.0)]
    rows = [
        {"seq": 1, "epoch": 1, "at_unix_s": BEGIN + at, "changed": {"node_id": node, "reason": reason}}
        for reason, at in (*turns, ("heard", 130_100.0), ("connected", 2 * DAY_S))
        for node in "ab"
    ]
    path = tmp_path_factory.mktemp("edges") / "events.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_log_of_changes_of_status_is_judged_with_the_timeout_of_its_hub(
    edges: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = watched(capsys, edges, "--now", "95s", "--marked-after", "90s", status=0)
    assert found["promise"]["groups"][0]["false_stale"] == 2
    assert any("silences of less than 90 s are not in it" in line for line in found["assumptions"])


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--now", "95s"], "--marked-after"),
        (["--now", "60s", "--marked-after", "90s"], "shows no shorter silence than 90s"),
        (
            ["--now", "95s", "--marked-after", "90s", "--profile", "wireguard-5g"],
            "does not show the heartbeat interval",
        ),
    ],
)
def test_what_a_log_of_changes_of_status_does_not_show_is_one_line(
    edges: Path, arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["watch", str(edges), *arguments]) == 2
    printed = capsys.readouterr()
    assert line in printed.err
    assert (printed.out, printed.err.count("\n")) == ("", 1)


def test_nodes_that_were_silent_at_the_end_are_said_to_be_dead_only_if_there_are_some(
    quiet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = watched(capsys, quiet, "--now", "100s", "--max-false-stale", "20/node-day", status=0)
    assert not [line for line in found["assumptions"] if "taken as" in line]
    hub_trace(fleet(), tmp_path)
    for options, taken in (([], "dead"), (["--silent-at-end", "alive"], "alive")):
        found = watched(
            capsys, tmp_path / "trace", "--since", "2h", "--max-false-stale", "9/node-day", *options, status=0
        )
        (line,) = [line for line in found["assumptions"] if line.startswith("silent at the end")]
        assert line.startswith("silent at the end: node-07 (for ")
        assert line.endswith(f"; taken as {taken}; --silent-at-end")


def test_an_address_needs_the_threshold_of_its_hub(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["watch", "127.0.0.1:1"]) == 2
    assert "--now: is missing" in capsys.readouterr().err
