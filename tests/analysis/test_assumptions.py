"""Everything that a recommendation rests on is named, with where it comes from."""

from pathlib import Path

import pytest

from heartbench.analysis.assumptions import assumptions_of
from heartbench.analysis.evidence import simulated
from heartbench.simulator.scenario import Scenario, load_scenario

LINK = """
[up]
base_delay = "30ms"
[down]
base_delay = "30ms"
[outage]
"""


def fleet(*changes: str) -> Scenario:
    scenario = load_scenario("wireguard-5g", list(changes)).with_nodes(4)
    return scenario.model_copy(update={"duration_s": 120.0})


def said(scenario: Scenario) -> dict[str, str]:
    return {each.name: each.line() for each in assumptions_of(simulated(scenario))}


def test_a_profile_that_was_observed_says_so() -> None:
    lines = said(fleet())
    assert list(lines) == ["shape", "scale", "hours observed", "networks", "directions", "kind", "independence"]
    assert lines["scale"] == "scale: 2.05 s; profile wireguard-5g, stated"
    assert (
        lines["hours observed"]
        == "hours observed: 7.75 h, 68 outages of at least 3 s, resolution 1 s; profile wireguard-5g"
    )
    assert "9% up only, 91% both" in lines["directions"]
    assert "no outage hits two nodes at once" in lines["independence"]


def test_what_the_scenario_changed_is_not_said_to_be_the_profiles() -> None:
    lines = said(fleet("group.edge.link.outage.rate_factor=2", "group.edge.link.outage.hold=0.5"))
    assert "none for this network" in lines["hours observed"]
    assert lines["kind"].endswith("profile wireguard-5g, changed by the scenario")


def test_sites_are_said() -> None:
    lines = said(fleet("group.edge.site.nodes=4", "group.edge.site.share=0.25"))
    assert "25% of a node's outages hit all 4 nodes of its site" in lines["independence"]


def test_a_slow_way_up_is_said() -> None:
    own = said(fleet("group.edge.link.uplink={bit_rate=2e6, buffer_bytes=64000}"))["way up"]
    assert "2e+06 bit/s behind a queue of 64,000 bytes (drop tail), one per node" in own
    assert "files use the connection of the heartbeats" in own


@pytest.mark.parametrize(
    ("outage", "name", "value"),
    [
        ("rates = [['20s', 1]]\nlengths = 'fixed'", "outage lengths", "all of 20 s"),
        (
            "rates = [['3s', 1]]\nshape = 0.0\nscale = '2s'",
            "hours observed",
            "none; the uncertainty about the network is unknown, and long thresholds cannot be tuned for it",
        ),
        ("", "outages", "none"),
    ],
)
def test_other_kinds_of_profiles(outage: str, name: str, value: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(LINK + outage)
    lines = said(fleet(f"group.edge.profile={tmp_path / 'mine.toml'}"))
    assert lines[name].startswith(f"{name}: {value}; profile {tmp_path}")
