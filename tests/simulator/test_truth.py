"""The truth: what was ordered and drawn, sorted, and nothing that the run did not live to see."""

from pathlib import Path

import numpy as np
import pytest

from heartbench.simulator.fleet import squads
from heartbench.simulator.profile import load_profile
from heartbench.simulator.scenario import load_scenario
from heartbench.simulator.trace import TruthEvent
from heartbench.simulator.truth import truth_of

FAULTS = """
seed = 5
duration = "1h"
[[group]]
name = "edge"
nodes = 20
profile = "wireguard-5g"
[[fault]]
kind = "crash"
group = "edge"
at = "10m"
for = "5m"
fraction = 0.5
[[fault]]
kind = "partition"
group = "edge"
at = "20m"
for = "1m"
nodes = 3
"""


def test_truth_holds_what_happened_before_the_end(tmp_path: Path) -> None:
    path = tmp_path / "faults.toml"
    path.write_text(FAULTS)
    squad = next(iter(squads(load_scenario(str(path)))))
    closes = np.array([[4.0, 700.0, np.nan], [4.0, 4000.0, 4001.0]])
    truth = truth_of(squad, 5, range(20), closes, 3600.0)
    count = {event: int((truth.event == event).sum()) for event in TruthEvent}
    assert count[TruthEvent.CRASH] == count[TruthEvent.RESTART] == 10
    assert count[TruthEvent.PARTITION] == 3
    assert count[TruthEvent.CLOSE] == 1
    assert count[TruthEvent.OUTAGE] > 100
    keys = list(zip(truth.node, truth.start_s, strict=True))
    assert keys == sorted(keys)


def test_a_node_that_a_fault_kept_from_starting_neither_crashed_nor_restarted(tmp_path: Path) -> None:
    path = tmp_path / "early.toml"
    path.write_text(FAULTS.replace('at = "10m"\nfor = "5m"\nfraction = 0.5', 'at = "5s"\nfor = "5m"'))
    scenario = load_scenario(str(path))
    squad = next(squads(scenario))
    unharmed = next(squads(scenario.model_copy(update={"fault": ()})))
    begun = np.flatnonzero(unharmed.at_s < 5.0)  # one event a node: its start

    truth = truth_of(squad, 5, range(20), np.zeros((0, 3)), 3600.0)

    assert 0 < len(begun) < 20
    for event, at_s in ((TruthEvent.CRASH, 5.0), (TruthEvent.RESTART, 305.0)):
        of_event = truth.event == event
        assert truth.node[of_event].tolist() == begun.tolist()
        assert set(truth.start_s[of_event]) == {at_s}


def test_a_node_that_never_starts_has_no_history_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "never.toml"
    path.write_text(FAULTS.replace('at = "10m"\nfor = "5m"\nfraction = 0.5', 'at = "0s"'))
    truth = truth_of(next(squads(load_scenario(str(path)))), 5, range(20), np.zeros((0, 3)), 3600.0)

    assert set(truth.event) == {TruthEvent.OUTAGE, TruthEvent.OUTAGE_UP, TruthEvent.PARTITION}


SITES = """
seed = 5
duration = "100h"
[[group]]
name = "wired"
nodes = 3
profile = "lan"
[[group]]
name = "edge"
nodes = 25
profile = "wireguard-5g"
site = { nodes = 10, share = SHARE }
[group.link.outage]
directions = { up = 0.25, down = 0.1 }
hold = 0.4
"""
DAY_S = 86_400.0


def outages_of_each(tmp_path: Path, share: float, until: float) -> list[set[tuple[int, float, float]]]:
    """What happens to each of the 25 nodes behind sites of ten: (event, from, to)."""
    path = tmp_path / "sites.toml"
    path.write_text(SITES.replace("SHARE", str(share)))
    _, squad = squads(load_scenario(str(path)))
    truth = truth_of(squad, 5, range(3, 28), np.zeros((0, 3)), until)
    rows = list(zip(truth.event.tolist(), truth.start_s.tolist(), truth.end_s.tolist(), strict=True))
    return [{row for row, node in zip(rows, truth.node, strict=True) if node == number} for number in range(3, 28)]


def test_nodes_of_a_site_share_its_outages_and_no_other(tmp_path: Path) -> None:
    each = outages_of_each(tmp_path, 0.3, DAY_S)
    sites = [each[:10], each[10:20], each[20:]]
    shared = [set.intersection(*site) for site in sites]
    assert all(len(outages) > 100 for outages in shared)
    assert not set.intersection(*shared)
    own = [outages - shared[i] for i, site in enumerate(sites) for outages in site]
    assert len(set.union(*own)) == sum(map(len, own))


@pytest.mark.parametrize("share", [0.01, 0.3, 1.0])
def test_a_node_has_as_many_outages_as_its_profile_says_whatever_its_site_shares(tmp_path: Path, share: float) -> None:
    each = outages_of_each(tmp_path, share, 15 * DAY_S)
    counts = np.array([len(outages) for outages in each])
    by_site = np.array([counts[:10].mean(), counts[10:20].mean(), counts[20:].mean()])
    per_hour = load_profile("wireguard-5g").outage.per_hour
    assert by_site / (15 * 24) == pytest.approx([per_hour] * 3, rel=0.06)


def test_truth_tells_direction_and_kind_of_each_outage(tmp_path: Path) -> None:
    each = outages_of_each(tmp_path, 0.01, 5 * DAY_S)
    events = np.array([event for outages in each for event, _, _ in outages])
    expected = {
        TruthEvent.OUTAGE: 0.65 * 0.6,
        TruthEvent.OUTAGE_UP: 0.25 * 0.6,
        TruthEvent.OUTAGE_DOWN: 0.1 * 0.6,
        TruthEvent.HOLD: 0.65 * 0.4,
        TruthEvent.HOLD_UP: 0.25 * 0.4,
        TruthEvent.HOLD_DOWN: 0.1 * 0.4,
    }
    assert {event: (events == event).mean() for event in expected} == pytest.approx(expected, abs=0.01)
