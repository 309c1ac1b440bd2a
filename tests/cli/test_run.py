"""`heartbench run`: what it prints and writes, what it refuses, and how it ends."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, contextmanager
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heartbench.analysis.agreement import Agreement
from heartbench.analysis.run_figures import FiguresSink
from heartbench.cli import app
from heartbench.cli.run import too_short
from heartbench.cli.run_output import missing, unexplained
from heartbench.hub.program import warn
from heartbench.simulator.engines.contract import LiveSummary
from heartbench.simulator.engines.live.hub import HubProcess, HubRecord
from heartbench.simulator.engines.sinks import ParquetSink, TruthWriter
from heartbench.simulator.run_directory import RunDirectory
from heartbench.simulator.scenario import load_scenario, scenario_of
from heartbench.simulator.trace import read_trace, read_transitions

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-c", "from heartbench.cli.app import main; main()", "run"]
CUT = """
[[fault]]
kind = "partition"
group = "rack"
at = "1s"
for = "1s"
"""
SEVENTEEN_CUTS = (
    'duration = "9s"\n[[group]]\nname = "rack"\nnodes = 1\nprofile = "lan"\nheartbeat_interval = "1s"\n' + 17 * CUT
)
KEYS = {
    "schema",
    "engine",
    "nodes",
    "duration_s",
    "heartbeats",
    "wall_s",
    "simulate_s",
    "heartbeats_per_s",
    "latency_s",
    "sim_lag_s",
    "node_days",
    "false_stale",
    "false_stale_per_node_day",
    "false_stale_ci",
    "groups",
    "flaps",
    "flaps_per_node_hour",
    "flashes",
    "flashes_per_hour",
    "interrupted",
    "run_dir",
}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def result_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert app.invoke(["run", *arguments, "--json"]) == 0
    output = capsys.readouterr().out
    assert output.count("\n") == 1
    result: dict[str, Any] = json.loads(output)
    return result


def test_a_virtual_run_has_the_contracts_figures_and_its_record_holds_them(capsys: pytest.CaptureFixture[str]) -> None:
    result = result_of(capsys, "wireguard-5g-fast", "--nodes", "20", "--duration", "5m", "--seed", "4")
    assert result.keys() >= KEYS
    assert (result["schema"], result["engine"], result["nodes"]) == ("heartbench.run/1", "virtual", 20)
    assert (result["duration_s"], result["interrupted"], result["run_dir"]) == (
        300.0,
        False,
        "results/runs/wireguard-5g-fast-virtual-1",
    )
    assert result["heartbeats"] == (read_trace(Path(result["run_dir"])).kind == 1).sum()
    assert result["heartbeats_per_s"] == pytest.approx(result["heartbeats"] / result["simulate_s"])
    assert 0.03 < result["latency_s"]["p50"] < result["latency_s"]["p99"]
    assert result["sim_lag_s"] == {"p50": None, "p99": None, "max": None}
    assert result["false_stale_per_node_day"] > 0
    run = RunDirectory.open(Path(result["run_dir"]))
    record = run.read_record()
    assert {key: record[key] for key in result} == result
    assert record["command"] == "heartbench run wireguard-5g-fast --nodes 20 --duration 5m --seed 4 --json"
    assert record["seed"] == scenario_of(record["settings"]["scenario"]).seed == 4
    assert {"machine", "revision", "versions"} <= record.keys()


def test_for_people_there_is_a_table_and_last_the_directory(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["run", "lan", "--nodes", "3", "--out", "a/b"]) == 0
    output = capsys.readouterr().out
    assert re.search(r"at 30 s: false stales +0 in [\d.]+ node-days +\n", output)
    assert re.search(r"false stales per node-day +95% 0 to \S+ +\n", output)
    assert "each group" not in output
    assert output.splitlines()[-1] == "a/b"


def test_a_rate_that_a_short_run_cannot_know_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    scenario = ["wireguard-5g-fast", "--nodes", "2", "--set", "hub.stale_after_s=3"]
    assert app.invoke(["run", *scenario, "--duration", "1m"]) == 0
    short = capsys.readouterr().out
    assert re.search(r": false stales +[1-9]\d* in 0\.00\d+ node-days", short)
    assert re.search(r"per node-day +95% [\d.,]+ to [\d.,]+ +\n +flaps +\d+ +\n +visible flaps +\d+ +\n", short)
    assert app.invoke(["run", *scenario, "--duration", "2h"]) == 0
    long = capsys.readouterr().out
    assert re.search(r"per node-day +[\d.,]+, 95% [\d.,]+ to [\d.,]+ +\n", long)
    assert re.search(r"\n +flaps +[\d,]+ \([\d.,]+ per node-hour\) +\n", long)


def test_several_groups_have_a_row_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    group = '[[group]]\nname = "{0}"\nnodes = {1}\nprofile = "{2}"\nheartbeat_interval = "2s"\n'
    (tmp_path / "two.toml").write_text(
        'duration = "10m"\n[hub]\nstale_after_s = 6\n'
        + group.format("lte", 5, "wireguard-5g")
        + group.format("wired", 20, "lan")
    )
    result = result_of(capsys, "two.toml")
    assert {name: each["nodes"] for name, each in result["groups"].items()} == {"lte": 5, "wired": 20}
    assert sum(each["heartbeats"] for each in result["groups"].values()) == result["heartbeats"]
    lte, wired = result["groups"]["lte"], result["groups"]["wired"]
    assert lte["false_stale"] == result["false_stale"] > wired["false_stale"] == 0
    low, high = lte["false_stale_ci"]
    assert low < lte["false_stale_per_node_day"] < high
    assert app.invoke(["run", "two.toml"]) == 0
    output = capsys.readouterr().out
    assert re.search(rf"\n +lte +5 .* {lte['false_stale']} in [\d.]+ node-days +", output)
    assert re.search(r"\n +wired +20 .* 0 in [\d.]+ node-days +95% 0 to ", output)


def test_settings_of_a_hub_env_go_before_the_scenarios_and_set_before_both(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_STALE_AFTER_S", "99")
    (tmp_path / "hub.env").write_text(
        "HUB_STALE_AFTER_S=20\nHUB_KEEPALIVE_TIMEOUT_S=7\nHUB_FORGET_AFTER=1h\nHUB_STORE_URL=memory:\nHUB_FILES_DIR=\n"
    )
    arguments = ["wireguard-5g", "--nodes", "2", "--duration", "1m", "--hub-env", "hub.env", "--set"]
    settings = RunDirectory.open(Path(result_of(capsys, *arguments, "hub.flap_window_s=50")["run_dir"])).read_record()[
        "settings"
    ]
    hub = settings["hub"]
    assert (hub["stale_after_s"], hub["flap_window_s"], hub["forget_after"]) == (20.0, 50.0, 3600.0)
    assert (hub["store_url"], hub["files_dir"]) == ("memory:", None)
    assert settings["scenario"]["group"][0]["hub_user_timeout"] == "7s"


def test_a_value_of_a_hub_env_is_what_the_hub_takes_it_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "hub.env").write_text(
        "HUB_FILES_DIR=2024\nHUB_STORE_URL='sqlite:///a \"b\".db'\nHUB_INSECURE=yes\nHUB_FORGET_AFTER=1h\n"
    )
    result = result_of(capsys, "lan", "--nodes", "2", "--duration", "5s", "--hub-env", "hub.env")
    hub = RunDirectory.open(Path(result["run_dir"])).read_record()["settings"]["hub"]
    assert (hub["files_dir"], hub["store_url"]) == ("2024", 'sqlite:///a "b".db')
    assert (hub["insecure"], hub["forget_after"]) == (True, 3600.0)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["lam"], "heartbench: scenario: 'lam' is not known, did you mean lan?"),
        (["missing.toml"], "heartbench: "),
        (["."], "heartbench: .: is a directory; expected a TOML file"),
        (["binary.toml"], "heartbench: binary.toml: "),
        (["lan", "--engine", "vitual"], "heartbench: Invalid value for '--engine': "),
        (["lan", "--nodes", "0"], "heartbench: Invalid value for '--nodes': "),
        (["lan", "--workers", "0"], "heartbench: Invalid value for '--workers'"),
        (["lan", "--seed", "-1"], "heartbench: Invalid value for '--seed'"),
        (["lan", "--duration", "10 parsecs"], 'heartbench: --duration: "10 parsecs" is not a duration'),
        (["lan", "--duration", "0s"], 'heartbench: --duration: "0s": must be longer than 0'),
        (["lan", "--duration", "-5s"], "heartbench: "),
        (["lan", "--set", "group.rack.link.loss=-1"], "heartbench: "),
        (
            ["lan", "--set", "group.rack.profile=moon"],
            "heartbench: scenario lan: group.rack.profile: 'moon'",
        ),
        (["lan", "--set", "colour=red"], "heartbench: scenario lan: unknown key colour"),
        (["lan", "--set", "nonsense"], "heartbench: --set: 'nonsense': must be KEY=VALUE"),
        (["lan", "--hub-env", "missing.env"], "heartbench: missing.env: cannot be read as an env file"),
        (["lan", "--hub-env", "binary.toml"], "heartbench: binary.toml: cannot be read as an env file"),
        (["lan", "--hub-env", "."], "heartbench: .: cannot be read as an env file"),
        (["lan", "--hub-env", "wrong.env"], "heartbench: wrong.env: HUB_STALE_AFTER_S='-3': must be greater"),
        (["lan", "--hub-env", "unknown.env"], "heartbench: unknown.env: HUB_STALE='3': no such setting"),
        (["lan", "--hub", "127.0.0.1:1"], "heartbench: --hub: 127.0.0.1:1: the engine virtual has no hub"),
        (["lan", "--engine", "live", "--hub", "here"], 'heartbench: --hub: "here": must be HOST:PORT'),
        (["lan", "--engine", "live", "--hub", "127.0.0.1:1"], "heartbench: --hub: 127.0.0.1:1: no hub answers there"),
        (["lan", "--out", "a" * 300], f"heartbench: {'a' * 300}: File name too long"),
        (["lan", "--out", "full"], "heartbench: full: is not empty"),
        (["lan", "--out", "wrong.env"], "heartbench: wrong.env: cannot be used as a run directory"),
        ([], "heartbench: Missing argument"),
        (["cut.toml"], "heartbench: group rack: 17 partitions; at most 16 are allowed"),
        (["lan", "--nodez", "3"], "heartbench: No such option: --nodez"),
    ],
)
def test_a_mistake_is_one_line_and_status_2_and_leaves_nothing(
    arguments: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\x00\xff\xfe\x80")
    (tmp_path / "wrong.env").write_text("HUB_STALE_AFTER_S=-3\n")
    (tmp_path / "unknown.env").write_text("HUB_STALE=3\n")
    (tmp_path / "cut.toml").write_text(SEVENTEEN_CUTS)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    before = sorted(tmp_path.rglob("*"))
    assert app.invoke(["run", *arguments]) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith(line)
    assert errors.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


# No memory holds a node of so many heartbeats: the engine refuses it, when the folder is made already.
TOO_MUCH = ("lan", "--duration", "30d", "--set", "group.rack.heartbeat_interval=1ms")


def test_what_the_engine_refuses_leaves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["run", *TOO_MUCH]) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith("heartbench: group rack: about ")
    assert list(Path().iterdir()) == []


def test_faults_of_the_hub_run_in_the_virtual_engine_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert result_of(capsys, "hub-faults")["false_stale_per_node_day"] == 0


def test_the_mixed_fleet_runs(capsys: pytest.CaptureFixture[str]) -> None:
    result = result_of(capsys, "mixed-fleet", "--nodes", "18", "--duration", "4h30m")
    assert (result["nodes"], result["heartbeats"] > 20_000) == (18, True)


@pytest.mark.parametrize("out", [".", "folder", "link", "folder/new/newer"])
def test_a_folder_that_was_there_is_left_as_it_was(out: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("folder")
    cwd = tmp_path / "folder" if out == "." else tmp_path
    before = (tmp_path / "folder").stat()
    with chdir(cwd):
        assert app.invoke(["run", *TOO_MUCH, "--out", out]) == 2
    after = (tmp_path / "folder").stat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "folder", tmp_path / "link"]
    assert (tmp_path / "link").is_symlink()


def test_other_runs_stay_where_one_fails(tmp_path: Path) -> None:
    other = tmp_path / "results/runs/lan-virtual-1"
    other.mkdir(parents=True)
    assert app.invoke(["run", *TOO_MUCH]) == 2
    assert list((tmp_path / "results/runs").iterdir()) == [other]


def test_what_was_measured_stays_where_it_cannot_be_recorded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(RunDirectory, "write_record", full)
    assert app.invoke(["run", "lan", "--nodes", "2", "--duration", "5s", "--out", "run"]) == 2
    assert capsys.readouterr() == (
        "",
        "heartbench: run: the run failed; what was measured until then is there, without a run.json\n"
        "heartbench: No space left on device\n",
    )
    assert len(read_trace(Path("run"))) > 0


@pytest.mark.parametrize("options", [[], ["--engine", "live", "--workers", "1"]])
def test_without_a_trace_there_are_the_same_figures_and_only_the_record(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = result_of(capsys, "lan", "--nodes", "2", "--duration", "3s", "--no-trace", "--out", "run", *options)
    assert result.pop("trace") is False
    assert result["heartbeats"] > 0
    assert list(Path("run").rglob("*.parquet")) == []
    assert RunDirectory.open(Path("run")).read_record()["trace"] is False
    traced = result_of(capsys, "lan", "--nodes", "2", "--duration", "3s", *options)
    assert traced.keys() == result.keys()
    if not options:
        assert (Path("run/run.json").stat().st_size > 0) == (len(list(Path("run").iterdir())) == 1)
        same = ("nodes", "heartbeats", "messages", "latency_s", "false_stale_ci", "flashes_per_hour", "groups")
        assert {name: traced[name] for name in same} == {name: result[name] for name in same}


@pytest.mark.parametrize("command", ["tune", "report"])
def test_what_needs_a_trace_says_so_in_one_line(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    result_of(capsys, "lan", "--nodes", "2", "--duration", "5s", "--no-trace", "--out", "run")
    assert app.invoke([command, "run"]) == 2
    assert capsys.readouterr() == (
        "",
        "heartbench: run: it was run with --no-trace, so there are no gaps; run it without\n",
    )


def test_what_was_measured_stays_where_it_cannot_be_judged(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_memory(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(FiguresSink, "figures", without_memory)
    with pytest.raises(MemoryError):
        app.invoke(["run", "lan", "--nodes", "2", "--duration", "5s"])
    assert capsys.readouterr().err.startswith("heartbench: results/runs/lan-virtual-1: the run failed; ")
    assert len(read_trace(Path("results/runs/lan-virtual-1"))) > 0


@contextmanager
def meanwhile(act: Callable[[], None]) -> Iterator[None]:
    """Call it in another thread; what fails there fails here."""
    with ThreadPoolExecutor(1) as pool:
        acting = pool.submit(act)
        yield
        acting.result()


def test_of_a_hub_that_ends_by_itself_what_it_heard_and_its_log_stay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["lan", "--engine", "live", "--nodes", "2", "--duration", "60s", "--workers", "1", "--out", "run"]
    observer = tmp_path / "run/observer.jsonl"
    others = children_of(os.getpid())

    def kill_the_hub() -> None:
        wait_for(lambda: observer.exists() and "heartbeat" in observer.read_text())
        (hub,) = (
            pid
            for pid in children_of(os.getpid()) - others
            if b"heartbench.hub" in Path(f"/proc/{pid}/cmdline").read_bytes()
        )
        os.kill(hub, signal.SIGKILL)

    with meanwhile(kill_the_hub):
        assert app.invoke(["run", *arguments]) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.startswith(
        "heartbench: run: the run failed; what was measured until then is there, without a run.json\n"
        "heartbench: the hub ended by itself: "
    )
    assert errors.count("\n") == 2
    assert "heartbeat" in observer.read_text()
    assert (tmp_path / "run/hub.log").exists()


def test_a_run_that_fails_leaves_nothing_half_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "out").mkdir()
    arguments = ["lan", "--engine", "live", "--out", "out", "--set", f"hub.files_dir={tmp_path / 'file' / 'dir'}"]
    assert app.invoke(["run", *arguments]) == 2
    assert capsys.readouterr().err.startswith("heartbench: the hub did not start: ")
    assert list((tmp_path / "out").iterdir()) == []


def tampered(directory: RunDirectory) -> None:
    """Change the record: the hub registered a node ten seconds before its first message."""
    lines = [json.loads(line) for line in directory.observer.read_text().splitlines()]
    first = next(line for line in lines if line[0] == "change" and line[-1] == "registered")
    first[1] -= 10.0
    directory.observer.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_hub_whose_changes_do_not_follow_from_what_it_heard_fails_the_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    record = HubProcess.record

    def tamper_before(hub: HubProcess) -> HubRecord:
        tampered(hub._directory)
        return record(hub)

    monkeypatch.setattr(HubProcess, "record", tamper_before)
    arguments = ["lan", "--engine", "live", "--nodes", "2", "--duration", "2s", "--workers", "1", "--out", "run"]
    assert app.invoke(["run", *arguments, "--json"]) == 1
    output, errors = capsys.readouterr()
    said = json.loads(output)["hub_said"]
    assert (said["changes_that_do_not_follow"], said["changes_missing"]) == (1, 1)
    assert errors == (
        "heartbench: unexplained status changes of the hub: 1; expected and missing: 1; "
        f"the first: {said['first_of_them']}\n"
    )
    assert "the hub reported online (registered) at" in errors
    assert RunDirectory.open(Path("run")).read_record()["hub_said"] == said


def test_a_live_run_of_a_hub_that_keeps_its_rules_says_so_and_how_many_files_came(
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = ["group.rack.file_bytes=70000", "group.rack.file_every=1s", "group.rack.start_spread=0.2s"]
    settings = [word for setting in files for word in ("--set", setting)]
    arguments = ["lan", "--engine", "live", "--nodes", "2", "--duration", "4s", "--workers", "1", *settings]
    result = result_of(capsys, *arguments)
    assert result["hub_said"]["changes"] >= 2
    assert result["hub_said"]["changes_that_do_not_follow"] == result["hub_said"]["changes_missing"] == 0
    assert result["hub_said"]["events_lost"] == 0
    assert result["hub_said"]["events_heard_s"] == result["duration_s"] == 4.0
    assert result["files"] >= 2
    assert RunDirectory.open(Path(result["run_dir"])).read_record()["files"] == result["files"]


@pytest.mark.parametrize(("left_out", "row"), [(2, "0 of 0 · 2"), (1, "1 of 1 · 1")])
def test_a_hub_that_does_not_say_what_follows_fails_the_run(
    left_out: int, row: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    record = HubProcess.record

    def leave_out_before(hub: HubProcess) -> HubRecord:
        observer = hub._directory.observer
        lines = observer.read_text().splitlines(keepends=True)
        gone = [line for line in lines if line.startswith('["change"') and "registered" in line][-left_out:]
        observer.write_text("".join(line for line in lines if line not in gone))
        return record(hub)

    monkeypatch.setattr(HubProcess, "record", leave_out_before)
    arguments = ["--engine", "live", "--nodes", "2", "--duration", "2s", "--workers", "1", "--out", "run"]
    assert app.invoke(["run", "lan", *arguments, "--set", "group.rack.start_spread=0.1s"]) == 1
    output, errors = capsys.readouterr()
    assert re.search(rf"verified status changes · missing ones +{row} *\n", output)
    said = RunDirectory.open(Path("run")).read_record()["hub_said"]
    assert (said["changes_that_do_not_follow"], said["changes_missing"]) == (0, left_out)
    assert "the hub reported nothing, its record implies online (registered) at" in errors


AGREEING = Agreement(changes=10, stale=1, not_following=0, missing=0, first="")


def live_summary(events_lost: int, events_heard_s: float) -> LiveSummary:
    return LiveSummary("node", np.zeros(0), 0, 0, events_lost, events_heard_s, 0.0, inf, None)


def test_events_of_a_running_hub_that_were_lost_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    warn(*missing(live_summary(events_lost=1234, events_heard_s=600.0), 600.0), *unexplained(AGREEING))
    assert capsys.readouterr().err == (
        "heartbench: 1,234 events of the hub were lost; counts of its changes are too low\n"
    )


def test_events_of_a_running_hub_that_ended_before_the_run_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    live = live_summary(events_lost=0, events_heard_s=10.04)
    warn(*missing(live, 600.0))
    assert capsys.readouterr().err == (
        "heartbench: the hub's events ended after the first 10.0 s of 600 s; later changes are not counted\n"
    )
    warn(*missing(live, 10.04))
    assert capsys.readouterr().err == ""


def test_a_run_in_which_no_node_sends_a_heartbeat_is_done_with_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["group.edge.heartbeat_interval=9s", "group.edge.heartbeat_jitter=0.1", "group.edge.start_spread=0s"]
    arguments = ["wireguard-5g", "--nodes", "20", *(word for setting in settings for word in ("--set", setting))]
    assert app.invoke(["run", *arguments, "--duration", "8s", "--json"]) == 0
    output, errors = capsys.readouterr()
    assert json.loads(output)["heartbeats"] == 0
    assert errors == (
        "heartbench: no node sends a heartbeat: duration=8s is shorter than 8.1s, the shortest that "
        "group.edge.heartbeat_interval=9s and group.edge.heartbeat_jitter=0.1 allow\n"
    )
    assert app.invoke(["run", *arguments, "--duration", "8.5s", "--json"]) == 0
    output, errors = capsys.readouterr()
    assert json.loads(output)["heartbeats"] > 0
    assert errors == ""


def test_the_group_that_can_send_first_is_the_one_that_counts(tmp_path: Path) -> None:
    group = '[[group]]\nname = "{}"\nnodes = 1\nprofile = "lan"\nheartbeat_interval = "{}"\nheartbeat_jitter = {}\n'
    steady, loose = group.format("steady", "8s", 0.0), group.format("loose", "10s", 0.5)
    (tmp_path / "two.toml").write_text('duration = "4s"\n' + steady + loose)
    scenario = load_scenario("two.toml")
    assert list(too_short(scenario)) == [
        "no node sends a heartbeat: duration=4s is shorter than 5s, the shortest that "
        "group.loose.heartbeat_interval=10s and group.loose.heartbeat_jitter=0.5 allow"
    ]
    assert list(too_short(scenario.model_copy(update={"duration_s": 5.0}))) == []


def test_a_fault_after_the_end_of_the_run_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["run", "hub-cut", "--nodes", "2", "--duration", "40s", "--json"]) == 0
    assert capsys.readouterr().err == (
        "heartbench: fault.0: partition at 40 s never happens: the run ends after 40 s\n"
    )
    assert app.invoke(["run", "hub-cut", "--nodes", "2", "--duration", "41s", "--json"]) == 0
    assert capsys.readouterr().err == ""


def test_what_is_wrong_with_an_option_is_said_before_anything_heavy_is_loaded() -> None:
    program = (
        "import sys; from heartbench.cli.app import invoke\n"
        "for words in (['lan', '--duration', '0s'], ['lan', '--engine', 'live', '--hub', 'here']):\n"
        "    assert invoke(['run', *words]) == 2\n"
        "assert not {'numpy', 'numba', 'pandas', 'pyarrow', 'scipy', 'grpc'} & sys.modules.keys(), sys.modules.keys()\n"
        "for words in (['lam'], ['lan', '--set', 'colour=red'], ['lan', '--nodes', '1', '--out', '/proc']):\n"
        "    assert invoke(['run', *words]) == 2\n"
        "assert not {'pandas', 'pyarrow', 'grpc'} & sys.modules.keys(), sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, stderr=subprocess.DEVNULL)


def press_ctrl_c(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(
    ("options", "writes", "name"),
    [
        ([], TruthWriter, "__exit__"),
        ([], RunDirectory, "write_record"),
        (["--engine", "live", "--workers", "1"], ParquetSink, "add"),
        (["--engine", "live", "--workers", "1"], RunDirectory, "write_record"),
    ],
)
def test_an_interrupt_while_a_finished_run_is_written_takes_nothing_away(
    options: list[str], writes: Any, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = getattr(writes, name)

    def interrupted(*arguments: Any) -> Any:
        press_ctrl_c()
        done = write(*arguments)
        press_ctrl_c()
        return done

    monkeypatch.setattr(writes, name, interrupted)
    result = result_of(capsys, "lan", "--nodes", "2", "--duration", "3s", *options)
    assert (result["nodes"], result["duration_s"], result["interrupted"]) == (2, 3.0, False)
    run = RunDirectory.open(Path(result["run_dir"]))
    assert run.read_record()["heartbeats"] == (read_trace(run.path).kind == 1).sum() > 0


def test_a_virtual_run_that_is_interrupted_again_and_again_keeps_what_was_measured(tmp_path: Path) -> None:
    arguments = ["wireguard-5g", "--nodes", "20000", "--workers", "1", "--out", "run"]
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        wait_for(lambda: list(tmp_path.glob("run/trace/*.parquet")))
        while run.poll() is None and not (tmp_path / "run/run.json").exists():
            run.send_signal(signal.SIGINT)
            time.sleep(0.01)
    written = RunDirectory.open(tmp_path / "run").read_record()
    assert written["interrupted"] is True
    assert 0 < written["nodes"] < 20_000
    assert read_trace(tmp_path / "run").node.nunique() == written["nodes"]


def test_a_live_run_that_is_interrupted_again_and_again_keeps_what_was_measured(tmp_path: Path) -> None:
    arguments = ["wireguard-5g-fast", "--engine", "live", "--nodes", "10", "--workers", "1", "--out", "run"]
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        observer = tmp_path / "run/observer.jsonl"
        wait_for(lambda: observer.exists() and observer.read_text().count("heartbeat") > 30)
        while run.poll() is None and not (tmp_path / "run/run.json").exists():
            run.send_signal(signal.SIGINT)
            time.sleep(0.01)
    written = RunDirectory.open(tmp_path / "run").read_record()
    assert written["interrupted"] is True
    assert written["heartbeats"] > 10
    assert written["hub_said"]["changes_that_do_not_follow"] == written["hub_said"]["changes_missing"] == 0


def children_of(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def wait_for(condition: Any, within_s: float = 120.0) -> None:
    until = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize(("number", "workers"), [(signal.SIGINT, "2"), (signal.SIGTERM, "1")])
def test_an_interrupted_live_run_ends_soon_and_keeps_what_was_measured(
    number: signal.Signals, workers: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--engine", "live", "--nodes", "20", "--duration", "100s", "--workers", workers, "--out", "run"]
    observer = tmp_path / "run/observer.jsonl"
    others = children_of(os.getpid())

    def interrupt() -> None:
        wait_for(lambda: observer.exists() and observer.read_text().count("heartbeat") > 60)
        children = children_of(os.getpid()) - others
        assert len(children) == 1 + int(workers)
        os.kill(os.getpid(), number)
        wait_for(lambda: not any(Path(f"/proc/{child}").exists() for child in children), within_s=5.0)

    with meanwhile(interrupt):
        assert app.invoke(["run", "wireguard-5g-fast", *options, "--json"]) == 130
    output, errors = capsys.readouterr()
    assert errors == ""
    result = json.loads(output)
    assert result["interrupted"] is True
    assert 1.0 < result["duration_s"] < 100.0
    assert result["heartbeats"] > 20
    transitions = read_transitions(tmp_path / "run/transitions.parquet")
    assert transitions.at_s.max() <= result["duration_s"]
    arrived = read_trace(tmp_path / "run").dropna()
    for stale in transitions[transitions.reason == "silence"].itertuples():
        heard = arrived[(arrived.node == stale.node) & (arrived.arrived_s < stale.at_s)]
        assert stale.at_s == pytest.approx(heard.arrived_s.max() + 3.0, abs=0.001)
    assert RunDirectory.open(tmp_path / "run").read_record()["interrupted"] is True


def test_an_interrupt_before_anything_was_measured_is_recorded_too(tmp_path: Path) -> None:
    arguments = ["lan", "--engine", "live", "--workers", "1", "--out", "run", "--json"]
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        wait_for((tmp_path / "run/hub.log").exists)
        run.send_signal(signal.SIGINT)
        output, errors = run.communicate(timeout=60)
    assert (run.returncode, errors) == (130, "")
    result = json.loads(output)
    assert (result["interrupted"], result["heartbeats"], result["latency_s"]["p99"]) == (True, 0, None)
    assert len(read_trace(tmp_path / "run")) == 0


def test_the_hub_dies_with_a_command_that_is_killed(tmp_path: Path) -> None:
    arguments = ["lan", "--engine", "live", "--nodes", "2", "--workers", "1", "--out", "run"]
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        observer = tmp_path / "run/observer.jsonl"
        wait_for(lambda: observer.exists() and "heartbeat" in observer.read_text())
        children = children_of(run.pid)
        os.kill(run.pid, signal.SIGKILL)
    wait_for(lambda: not any(Path(f"/proc/{child}").exists() for child in children), 10.0)
