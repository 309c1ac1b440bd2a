import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from heartbench.cli import app
from heartbench.cli.resolved import share_of_at_least
from heartbench.simulator.link_records import OUTAGE_E
from heartbench.simulator.profile import PROFILES, Profile, load_profile
from heartbench.simulator.schema import profile_schema

SILENT = """
[up]
base_delay = "30ms"
loss = { good = 0.9999999 }
[down]
base_delay = "30ms"
[outage]
rates = [["1s", 20.0]]
rate_factor = 0
shape = 0.2
scale = "2s"
"""


def test_the_list_names_every_shipped_profile(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["profiles", "list"]) == 0
    table = capsys.readouterr().out
    assert app.invoke(["profiles", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["profiles"]

    assert all(f"  {name} " in table for name in PROFILES.names())
    assert [profile["name"] for profile in listed] == PROFILES.names()
    assert {profile["name"]: profile["rtt_s"]["p50"] for profile in listed}["wireguard-5g"] == pytest.approx(0.080)


def test_the_list_tells_for_which_profiles_outages_were_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["profiles", "list"]) == 0
    table = capsys.readouterr().out
    assert app.invoke(["profiles", "list", "--json"]) == 0
    observed = {each["name"]: each["observed"] for each in json.loads(capsys.readouterr().out)["profiles"]}

    assert re.search(r" wireguard-5g .* 68 in 7\.75 h ", table)
    assert re.search(r" starlink .* none ", table)
    assert "cannot be tuned" in table
    assert (observed["starlink"], observed["lte"]) == (None, {"hours": 2.63, "outages": 14})


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("lan", "#   outages observed           none: long thresholds cannot be tuned with this profile\n"),
        ("5g-standing", "#   outages observed           29 in 4.73 h\n"),
    ],
)
def test_the_figures_of_a_link_end_with_what_was_observed(
    name: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.invoke(["profiles", "show", name, "--full"]) == 0
    assert capsys.readouterr().out.endswith(line)


def test_a_profile_is_shown_with_its_sources(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["profiles", "show", "wireguard-5g"]) == 0
    assert capsys.readouterr().out == PROFILES.text("wireguard-5g")


def test_a_file_is_shown_resolved_and_loads_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(SILENT)
    assert app.invoke(["profiles", "show", str(mine)]) == 0
    shown = capsys.readouterr().out
    keys = {(field.alias or name) for name, field in Profile.model_fields.items() if field.default is not None}
    assert keys <= tomllib.loads(shown).keys()
    assert re.search(r"# +RTT +p5 60 ms · p50 60 ms", shown)
    mine.write_text(shown)
    assert load_profile(str(mine)).to_data() == tomllib.loads(shown)


def test_the_resolved_rates_are_the_stated_ones_and_fall_beyond_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["profiles", "show", "wireguard-5g", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    link = shown["link"]["outages_per_hour"]
    for length, rate in shown["stated"]["outages_per_hour"].items():
        assert link[length] == pytest.approx(rate, rel=0.02)
    rates = list(link.values())
    assert rates == sorted(rates, reverse=True)
    assert 0 < link["30"] < link["10"]
    assert app.invoke(["profiles", "show", "wireguard-5g", "--full"]) == 0
    assert "# Figures of the link:" in capsys.readouterr().out


def test_outages_of_one_length_are_all_at_least_that_long() -> None:
    table = np.full(len(OUTAGE_E), 20.0)
    assert [share_of_at_least(length, table) for length in (10.0, 20.0, 20.1)] == [1.0, 1.0, 0.0]


def test_a_profile_is_measured_beside_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["profiles", "show", "wireguard-5g", "--measure", "1h", "--nodes", "5"]) == 0
    table = capsys.readouterr().out
    assert app.invoke(["profiles", "show", "wireguard-5g", "--measure", "1h", "--nodes", "5", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)

    assert "RTT p50, ms" in table
    assert shown["measured"]["rtt_s"]["p50"] == pytest.approx(shown["stated"]["rtt_s"]["p50"], rel=0.1)
    assert shown["measured"]["link_hours"] == 5
    assert shown["profile"]["outage"]["lengths"] == "drawn"


def test_round_trips_are_measured_without_the_pings_that_outages_held(capsys: pytest.CaptureFixture[str]) -> None:
    measure = ["profiles", "show", "5g-private", "--measure", "1h", "--nodes", "20"]
    assert app.invoke([*measure, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["measured"]["rtt_s"] == pytest.approx(shown["stated"]["rtt_s"], rel=0.03)
    assert shown["measured"]["lost"] == 0
    assert app.invoke(measure) == 0
    assert "without the pings that outages held" in capsys.readouterr().out


def test_what_was_not_measured_is_a_dash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("[bold].toml").write_text(SILENT)
    arguments = ["profiles", "show", "[bold].toml", "--measure", "10s", "--nodes", "1"]
    assert app.invoke(arguments) == 0
    table = capsys.readouterr().out
    assert app.invoke([*arguments, "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)["measured"]

    assert "[bold].toml: profile and model" in table
    assert re.search(r"RTT p50, ms +60 +– +–", table)
    assert re.search(r"outages of 1s or more, per hour +0 +0 +–", table)
    assert measured["rtt_s"] == dict.fromkeys(("p5", "p50", "p90", "p95", "p99"))
    assert (measured["lost"], measured["outages_per_hour"]) == (1, {"1": 0})


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["show", "wireguard5g"], "heartbench: profile: 'wireguard5g' is not known, did you mean wireguard-5g?"),
        (["show", "lan", "--measure", "10 parsecs"], 'heartbench: --measure: "10 parsecs" is not a duration'),
        (["show", "lan", "--measure", "1e15s"], "heartbench: --measure: 1e+15 s on 100 links are more pings than fit"),
        (
            ["show", "lan", "--measure", "1h", "--nodes", "1000000"],
            "heartbench: --measure: 3600 s on 1000000 links are",
        ),
        (["show", "lan", "--measure", "0s"], "heartbench: to measure a profile takes a second"),
        (["show", "lan", "--measure", "1h", "--seed", str(2**63)], "heartbench: Invalid value for '--seed': "),
        (["show", str(Path(__file__).parent)], f"heartbench: {Path(__file__).parent}: is a directory"),
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


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["profiles", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == profile_schema()
