"""The commands of docs/kubernetes.md run, and its scenario is what the page says of it."""

import re
import shlex
from pathlib import Path

import pytest

from heartbench.analysis import networks
from heartbench.cli.app import invoke
from heartbench.simulator.scenario import load_scenario

PAGE = (Path(__file__).parents[1] / "docs" / "kubernetes.md").read_text(encoding="utf-8")
SMALL = ["--nodes", "8", "--duration", "30m"]


def runs() -> list[list[str]]:
    """What the page has the user type after `heartbench`, of the commands that simulate."""
    found = re.findall(r"^(?:\$ |    )heartbench (run .*)$", PAGE, re.MULTILINE)
    return [shlex.split(each) for each in found]


@pytest.mark.slow
@pytest.mark.parametrize("words", runs(), ids=" ".join)
def test_each_command_of_the_page_runs(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(networks, "SIMULATED_NODE_DAYS", 0.2)
    assert invoke([*words, *SMALL]) in (0, 1)
    said = " ".join(capsys.readouterr().out.split())
    for group in ("region", "site", "edge", "vehicle"):
        assert group in said
    if "--tune" in words:
        assert re.search(r"current 40 s region", said)
        assert "Assumptions:" in said


def test_the_page_runs_something() -> None:
    assert {tuple(words[:2]) for words in runs()} >= {("run", "kubernetes")}
    assert any("--tune" in words for words in runs())


def test_the_keys_that_the_page_names_are_those_of_the_scenario() -> None:
    for group in load_scenario("kubernetes").group:
        shortest_s, longest_s = (
            round(group.heartbeat_interval_s * (1 + sign * group.heartbeat_jitter), 2) for sign in (-1, 1)
        )
        assert (shortest_s, longest_s) == (10.0, 10.4)
        assert (group.user_timeout_s, group.reconnect.max_s, group.heartbeat_ack) == (20.0, 7.0, True)


def test_tuning_a_run_without_a_trace_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["run", "kubernetes", "--tune", "--no-trace"]) == 2
    assert "--tune: needs a trace" in capsys.readouterr().err
