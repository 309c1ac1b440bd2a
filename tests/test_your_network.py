"""The commands of docs/your-network.md lead from a log of pings to a threshold, or to the reason why there is none.

The figures are those of the page.
"""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from heartbench.cli.app import invoke
from heartbench.simulator.ping import record
from heartbench.simulator.profile import load_profile

PAGE = Path(__file__).parents[1] / "docs" / "your-network.md"
REAL = Path(__file__).parents[2] / "shared/data/deterministic6g/ping-MEC-ORAN.txt"
DAY_S = 86_400.0

pytestmark = pytest.mark.slow


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What the page has the user type after ping; the last one starts the hub."""
    monkeypatch.chdir(tmp_path)
    block = re.findall(r"```console\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]
    found = [shlex.split(line[2:]) for line in block.splitlines() if line.startswith("$ heartbench")]
    assert [words[1] for words in found] == ["profiles", "run", "tune", "hub"]
    return [words[1:] for words in found]


def figures(pattern: str, text: str) -> list[str]:
    """The numbers in a text, those marked by `#` in the pattern; white space is all alike."""
    found = re.search(re.escape(pattern).replace(r"\#", r"(\d+(?:\.\d+)?)"), " ".join(text.split()))
    assert found, (pattern, text)
    return list(found.groups())


def ping_log(profile: str) -> str:
    """What `ping -D` prints in a day on the model of a profile."""
    day = record(load_profile(profile), DAY_S)
    answered = np.flatnonzero(~np.isnan(day.rtt_s))
    arrived_s = (day.sent_s + day.rtt_s)[answered]
    lines = [
        f"[{1.7e9 + at_s:.6f}] 64 bytes from 192.0.2.1: icmp_seq={(probe + 1) % 65536} ttl=50 time={ms:.1f} ms"
        for at_s, probe, ms in sorted(zip(arrived_s, answered, day.rtt_s[answered] * 1000, strict=True))
    ]
    return "\n".join(["PING hub.example.org (192.0.2.1) 56(84) bytes of data.", *lines, ""])


def test_a_day_of_pings_leads_to_settings_of_the_hub(
    commands: list[list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = "| # outages of # s or more, the longest # s | # s: # to # false stales per node-day |"
    outages, least_s, longest_s, stale_s, *network = figures(row, PAGE.read_text(encoding="utf-8"))
    (tmp_path / "day.log").write_text(ping_log("5g-standing"), encoding="utf-8")
    fit, run, tune, hub = commands
    assert invoke(fit) == 0
    said = capsys.readouterr().out
    assert figures("Outages of # s or more: #.", said) == [least_s, outages]
    assert figures("the longest lasted #s", said) == [longest_s]
    assert (tmp_path / "mine.png").exists()
    assert (invoke(run), invoke(tune)) == (0, 0)
    shown = figures("false stales per node-day (95%: # to # for the network", capsys.readouterr().out)
    assert [f"{float(each):.2g}" for each in shown] == network
    assert invoke([*hub, "--print-config"]) == 0
    assert f"HUB_STALE_AFTER_S={stale_s}\n" in capsys.readouterr().out


@pytest.mark.skipif(not REAL.exists(), reason="needs the logs in shared/data/deterministic6g")
def test_a_quarter_of_an_hour_leads_to_the_reason_why_there_is_no_threshold(
    commands: list[list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "day.log").write_bytes(REAL.read_bytes())
    fit, run, tune, _ = commands
    assert (invoke(fit), invoke(run)) == (0, 0)
    capsys.readouterr()
    assert invoke(tune) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "No threshold meets the goal" in said
    row = "no threshold: at # s # to # false stales per node-day; about # node-hours of observation would show"
    at_s, low, high, hours = figures(row, PAGE.read_text(encoding="utf-8"))
    assert figures(f"detection time {at_s} s (p99). The network", said) == []
    assert figures("(95%: # to # for the network", said) == [low, high]
    (shown,) = figures(
        "about # node-hours (1 node for a day) of observing the network will show that the goal is met", said
    )
    assert f"{float(shown):.2g}" == hours
    assert not (tmp_path / "hub.env").exists()
