"""What a recording tells about its network: as much as one passage of it, however many nodes replay it."""

from pathlib import Path

import numpy as np
import pytest
from tests.simulator.probes import recording

from heartbench.analysis.assumptions import assumptions_of
from heartbench.analysis.evidence import Evidence, policies_at, simulated
from heartbench.analysis.networks import NetworkRates, observed_groups, replayed_groups, replayed_rates
from heartbench.analysis.study import judge_nodes
from heartbench.simulator.recordings import write_recording
from heartbench.simulator.scenario import load_scenario

POLICIES_S = [30.0, 120.0]


def evidence(folder: Path, nodes: int, duration: str) -> Evidence:
    """Return the gaps of nodes that replay an hour with one outage of 40 s."""
    rtt_s = np.full(3600, 0.05)
    rtt_s[1000:1040] = np.nan
    write_recording(recording(rtt_s), folder / "hour.parquet")
    overrides = [f"group.edge.link={folder}/hour.parquet", f"duration={duration}"]
    return simulated(load_scenario("wireguard-5g", overrides).with_nodes(nodes))


def rates(of: Evidence) -> NetworkRates:
    policies = policies_at(POLICIES_S, of.hub)
    judged = {name: judge_nodes(of, nodes, policies) for name, nodes in of.groups.items()}
    return replayed_rates(of, judged)["edge"]


def test_nodes_that_replay_an_hour_know_an_hour(tmp_path: Path) -> None:
    few, many = (rates(evidence(tmp_path, nodes, "2h")) for nodes in (3, 20))
    for found in (few, many):
        low, high = found.interval()[:, 0]
        assert low < 24 < high  # one false stale an hour
        assert high > 4 * 24
        assert found.drawn[:, 1].mean() == pytest.approx(0.5 * 24, rel=0.15)  # none was seen at 120 s
    assert many.best[0] == pytest.approx(24, rel=0.3)


def test_a_run_that_is_shorter_than_the_recording_knows_what_it_ran(tmp_path: Path) -> None:
    found = rates(evidence(tmp_path, 1, "20m"))
    assert found.drawn[:, 1].mean() == pytest.approx(0.5 * 24 * 3, rel=0.15)


def test_a_recorded_group_is_named_with_its_hours_and_not_as_observed_by_its_profile(tmp_path: Path) -> None:
    of = evidence(tmp_path, 2, "20m")
    assert observed_groups(of) == {}
    assert replayed_groups(of) == {"edge": pytest.approx(1.0)}
    said = {each.name: each.line() for each in assumptions_of(of)}
    assert said["hours observed"].startswith("hours observed: 1 h, which count once, however many nodes replay them")
    assert said["outages"].endswith(f"recording {tmp_path}/hour.parquet")
    assert said["independence"].startswith("independence: each begins at a random place of the recording")
