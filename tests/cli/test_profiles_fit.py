"""`profiles fit` and `profiles compare`: from a log to a profile, and two networks side by side."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

from heartbench.cli import app
from heartbench.simulator.profile import load_profile

FIT_KEYS = {"schema", "profile", "probes", "lost", "hours", "outages", "parameters", "warnings"}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return a log of `ping -D` in which five probes are missing."""
    rtt = 20 + np.random.default_rng(1).exponential(2, 1200)
    lines = ["PING hub (192.0.2.1) 56(84) bytes of data."]
    for i in (i for i in range(1200) if not 400 <= i < 405):
        answered = 1_700_000_000 + i + rtt[i] / 1000
        lines.append(f"[{answered:.6f}] 64 bytes from 192.0.2.1: icmp_seq={i + 1} ttl=60 time={rtt[i]:.1f} ms")
    path = tmp_path / "ping.log"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_fit_prints_one_json_object(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["profiles", "fit", str(log), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.keys() == FIT_KEYS
    assert (found["schema"], found["probes"], found["lost"]) == ("heartbench.fit/1", 1200, 5)
    assert found["outages"] == [
        {"at_s": pytest.approx(400, abs=0.1), "length_s": pytest.approx(5, abs=0.1), "kind": "drop", "cut": False}
    ]
    assert all(each.keys() == {"value", "ci"} for each in found["parameters"].values())
    low, high = found["parameters"]["rtt_p50"]["ci"]
    assert low < 0.0214 < high
    assert found["warnings"]


def test_a_fit_prints_what_it_found_and_what_it_cannot_know(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["profiles", "fit", str(log)]) == 0
    shown = capsys.readouterr().out
    assert "round trip, p50, ms" in shown
    assert "- round trips do not tell the direction" in shown
    assert "-o FILE" in shown


def test_a_profile_is_written_that_loads_with_its_intervals_beside_it(log: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    assert app.invoke(["profiles", "fit", str(log), "-o", str(mine)]) == 0
    text = mine.read_text()
    assert tomllib.loads(text)["outage"]["observed"]["lengths"] == pytest.approx([4.5], abs=0.1)
    assert load_profile(str(mine)).rtt_s == pytest.approx(0.0214, rel=0.03)
    assert "# round trip, p50: " in text
    assert "1,200 probes 1s apart, 5 lost" in text
    assert not list(tmp_path.glob("*.unfinished*"))


def test_a_file_that_exists_is_not_overwritten(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option, name in (("--out", "mine.toml"), ("--plot", "mine.png"), ("--recording", "mine.parquet")):
        kept = tmp_path / name
        kept.write_text("mine")
        assert app.invoke(["profiles", "fit", str(log), option, str(kept)]) == 2
        refused = capsys.readouterr()
        assert (
            refused.err
            == f"heartbench: {option}: {kept}: exists; choose another name, or add --force to overwrite it\n"
        )
        assert (refused.out, kept.read_text()) == ("", "mine")
    assert app.invoke(["profiles", "fit", str(log), "-o", str(tmp_path / "mine.toml"), "--force"]) == 0
    assert load_profile(str(tmp_path / "mine.toml"))


def test_a_log_is_not_overwritten_and_two_outputs_are_two_files(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, both = log.read_text(), str(tmp_path / "both.png")
    link = tmp_path / "link.png"
    link.symlink_to(log)
    for arguments, refusal in (
        (["-o", str(log)], f"--out: {log}: is an input too"),
        (["--plot", str(link)], f"--plot: {link}: is an input too"),
        (["-o", both, "--plot", both], f"--plot: {both}: is the file of --out too"),
    ):
        assert app.invoke(["profiles", "fit", str(log), *arguments, "--force"]) == 2
        assert capsys.readouterr().err == f"heartbench: {refusal}; choose another name\n"
    assert log.read_text() == before


def test_a_plot_is_written(log: Path, tmp_path: Path) -> None:
    plot = tmp_path / "mine.svg"
    assert app.invoke(["profiles", "fit", str(log), "--plot", str(plot)]) == 0
    assert "<svg" in plot.read_text()
    assert [path.name for path in tmp_path.iterdir() if "unfinished" in path.name] == []


def test_rows_that_stand_for_several_probes_are_lost_if_all_of_these_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rounds = tmp_path / "rounds.csv"
    rows = [
        f"{second},{'' if second % 10 == 0 else 20 + second % 7},{100 * (second % 20 == 0)}" for second in range(400)
    ]
    rounds.write_text("\n".join(["t,ms,lost", *rows, ""]))
    named = ["--time-column", "t", "--rtt-column", "ms", "--loss-column", "lost"]
    assert app.invoke(["profiles", "fit", str(rounds), *named, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["probes"], found["lost"]) == (380, 20)


def test_a_recording_fits_with_the_assumptions_of_its_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rounds, recording = tmp_path / "rounds.csv", str(tmp_path / "mine.parquet")
    rounds.write_text("\n".join(["t,ms,lost", *(f"{second},{20 + second % 7},0" for second in range(400)), ""]))
    named = ["--time-column", "t", "--rtt-column", "ms", "--loss-column", "lost"]
    assert app.invoke(["profiles", "fit", str(rounds), *named, "--recording", recording, "--json"]) == 0
    warnings = json.loads(capsys.readouterr().out)["warnings"]
    assert any("a row is a round of several probes" in each for each in warnings)
    assert app.invoke(["profiles", "fit", recording, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == warnings


def test_a_csv_is_written_as_a_recording_that_check_compare_and_a_scenario_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{second},{'' if 200 <= second < 212 else 20 + second % 7}" for second in range(400)]
    mine = tmp_path / "mine.csv"
    mine.write_text("\n".join(["when,answer", *rows, ""]))
    profile, recording, run = (str(tmp_path / name) for name in ("mine.toml", "mine.parquet", "run"))
    uses = {
        log: (
            ["profiles", "check", "lan", log, "--nodes", "2", "--duration", "30m"],
            ["profiles", "compare", "lan", log, "--json"],
            ["run", "lan", "--set", f"group.*.link={log}", "--nodes", "2", "--duration", "5m", "--out", run],
        )
        for log in (str(mine), recording)
    }
    for use in uses[str(mine)]:
        assert app.invoke(use) == 2
        refused = capsys.readouterr().err
        assert "'when,answer': name them with --time-column and --rtt-column of `heartbench profiles fit`" in refused
        assert "--recording FILE.parquet" in refused

    named = ["--time-column", "when", "--rtt-column", "answer"]
    assert app.invoke(["profiles", "fit", str(mine), *named, "-o", profile, "--recording", recording]) == 0
    capsys.readouterr()
    for use in uses[recording]:
        assert app.invoke(use) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.csv", "mine.parquet", "mine.toml", "run"]


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (
            ["--rtt-column", "ms"],
            "--time-column: is missing; a CSV log needs it with the names of other columns",
        ),
        (["--time-column", "t"], "--time-column: needs either --rtt-column or --answered-column"),
        (["--plot", "mine.txt"], "--plot: mine.txt: must end in .png, .svg or .pdf"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    arguments: list[str], refusal: str, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.invoke(["profiles", "fit", str(log), *arguments]) == 2
    assert capsys.readouterr().err == f"heartbench: {refusal}\n"


def test_a_missing_log_and_one_without_answers_are_refused_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = tmp_path / "short.log"
    short.write_text(
        "PING hub (192.0.2.1) 56(84) bytes of data.\n64 bytes from 192.0.2.1: icmp_seq=1 ttl=60 time=20 ms\n"
    )
    for path, problem in ((tmp_path / "none.log", "none.log"), (short, "1 of 1 probes were answered")):
        assert app.invoke(["profiles", "fit", str(path), "-o", str(tmp_path / "mine.toml")]) == 2
        refused = capsys.readouterr()
        assert problem in refused.err
        assert refused.err.count("\n") == 1
        assert not (tmp_path / "mine.toml").exists()


def test_a_log_of_a_moment_is_refused_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flood = tmp_path / "flood.log"
    rows = (f"[{1_700_000_000 + i * 8e-6:.6f}] 64 bytes from hub: icmp_seq={i + 1} ttl=64 time=0.003 ms\n"
            for i in range(500))  # fmt: skip
    flood.write_text("PING hub (192.0.2.1) 56(84) bytes of data.\n" + "".join(rows))
    assert app.invoke(["profiles", "fit", str(flood)]) == 2
    refused = capsys.readouterr().err
    assert refused.startswith(f"heartbench: {flood}: 0.004 s were observed; a fit needs at least 10 s")
    assert refused.count("\n") == 1


def test_two_networks_are_laid_side_by_side(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["profiles", "compare", "lan", str(log), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    median = found["parameters"]["rtt_p50"]
    assert (found["schema"], found["a"], found["b"]) == ("heartbench.comparison/1", "lan", str(log))
    assert median["a"] == {"value": pytest.approx(0.0003), "ci": None}
    assert median["differ"] is True
    assert app.invoke(["profiles", "compare", "lan", "wireguard-5g"]) == 0
    assert "round trip, p50, ms" in capsys.readouterr().out
