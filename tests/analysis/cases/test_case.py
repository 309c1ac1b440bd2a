from pathlib import Path

import pytest

from heartbench.analysis.cases import load_case
from heartbench.simulator.errors import SimulatorError

MINE = """
source = "me/mine#1"
title = "Two heartbeats"
happened = "It happened."
finding = "It is found."
mended_by = "It is mended."
assumed = "Nothing."
figure = { measure = "late_share", at_least = 0.5 }

[[setting]]
key = "group.a.heartbeat_interval"
broken = "20s"
mending = "5s"

[scenario]
duration = "1m"
hub = { stale_after_s = 10.0 }

[[scenario.group]]
name = "a"
nodes = 2
profile = "lan"
"""


def written(folder: Path, text: str) -> str:
    file = folder / "mine.toml"
    file.write_text(text)
    return str(file)


def test_a_case_of_ones_own_is_read_from_a_path(tmp_path: Path) -> None:
    case = load_case(written(tmp_path, MINE))
    assert case.name == "mine"
    broken, mended = case.scenario_with(mended=False), case.scenario_with(mended=True, overrides=["seed=7"])
    assert (broken.group[0].heartbeat_interval_s, mended.group[0].heartbeat_interval_s) == (20.0, 5.0)
    assert (broken.seed, mended.seed) == (1, 7)
    assert broken.name == "mine"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"late_share"', '"late"', "mine.toml: figure.measure: 'late' is not a measure, did you mean late_share"),
        ('broken = "20s"', 'broken = "-1s"', "group.a.heartbeat_interval"),
        ("group.a.heart", "group.b.heart", "case mine: setting: there is no group 'b'; allowed: a, *"),
        ('assumed = "Nothing."', "", "mine.toml: assumed: is missing"),
        ("at_least = 0.5", "at_least = 0", "figure.at_least"),
    ],
)
def test_a_wrong_case_is_one_line_that_names_the_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(SimulatorError) as raised:
        load_case(written(tmp_path, MINE.replace(old, new)))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_unknown_case_names_those_there_are() -> None:
    with pytest.raises(SimulatorError, match="case: 'evcc' is not known, did you mean evcc-33099"):
        load_case("evcc")
