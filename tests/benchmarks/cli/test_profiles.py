import json
from pathlib import Path

import pytest

from heartbench.benchmarks.cli import app
from heartbench.simulator.profile import PROFILES


def test_the_list_names_every_shipped_profile(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["profiles", "list"]) == 0
    table = capsys.readouterr().out
    assert app.invoke(["profiles", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["profiles"]

    assert all(f"  {name} " in table for name in PROFILES.names())
    assert [profile["name"] for profile in listed] == PROFILES.names()
    assert listed[1]["rtt_s"]["p50"] == pytest.approx(0.080)


def test_a_profile_is_shown_with_its_sources(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["profiles", "show", "wireguard-5g"]) == 0
    assert capsys.readouterr().out == PROFILES.text("wireguard-5g")


def test_a_profile_is_measured_beside_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["profiles", "show", "wireguard-5g", "--measure", "1h", "--nodes", "5"]) == 0
    table = capsys.readouterr().out
    assert app.invoke(["profiles", "show", "wireguard-5g", "--measure", "1h", "--nodes", "5", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)

    assert "RTT p50, ms" in table
    assert shown["measured"]["rtt_s"]["p50"] == pytest.approx(shown["stated"]["rtt_s"]["p50"], rel=0.1)
    assert shown["measured"]["link_hours"] == 5
    assert shown["profile"]["outage"]["tail"] == "exponential"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["show", "wireguard5g"], "heartbench: profile: 'wireguard5g' is not known, did you mean wireguard-5g?"),
        (["show", "lan", "--measure", "10 parsecs"], 'heartbench: --measure: "10 parsecs" is no duration'),
        (["show", "lan", "--measure", "0s"], "heartbench: to measure a profile takes a second"),
        (["show", str(Path(__file__).parent)], f"heartbench: {Path(__file__).parent}: a directory"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.invoke(["profiles", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(line)
    assert err.count("\n") == 1
