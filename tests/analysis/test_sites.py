"""Where mistakes are counted: sites by blocks of time."""

import numpy as np
import pytest

from heartbench.analysis import sites
from heartbench.analysis.gaps import NO_LOSSES, find_gaps
from heartbench.analysis.qos import judge
from heartbench.analysis.sites import blocks_of, cells_of, sites_of
from heartbench.hub.config import HubSettings
from heartbench.mesh.kinds import Kind
from heartbench.simulator.group import Site
from heartbench.simulator.scenario import load_scenario
from heartbench.simulator.trace import Messages

DAY_S = 86_400.0


def beats(*nodes: list[float]) -> Messages:
    node = np.repeat(np.arange(len(nodes), dtype=np.int32), [len(each) for each in nodes])
    at = np.concatenate([np.array(each) for each in nodes])
    ones = np.ones(len(at), np.int32)
    return Messages(node, ones, ones, ones.astype(np.int64), np.full(len(at), Kind.HEARTBEAT, np.int8), at, at)


def test_mistakes_and_time_are_counted_by_site_and_block() -> None:
    lives = [0.0, 100.0, 3610.0, 3700.0], [0.0, 90.0, 7000.0], [3650.0]
    gaps = find_gaps(beats(*lives), NO_LOSSES, 7200.0)
    cells = cells_of(gaps.node, 7200.0, np.array([5, 5, 9]))
    qos = judge(gaps, [HubSettings.for_stale_after(each).policy for each in (80.0, 300.0)], 7200.0, cells)
    assert (cells.rows, cells.blocks) == (2, 20)
    assert qos.up_s.sum() == gaps.up_s.sum() == 7200 + 7200 + 3550
    counts = {(row, block): qos.mistakes[row, block].tolist() for row, block in np.argwhere(qos.mistakes.any(2))}
    assert counts == {(0, 0): [4, 2], (0, 10): [2, 1], (0, 19): [1, 0], (1, 10): [1, 1]}
    assert qos.up_s[1].nonzero()[0].tolist() == [10]
    assert qos.independent


@pytest.mark.parametrize(
    ("duration_s", "blocks"),
    [(0.0, 1), (100.0, 1), (1200.0, 10), (3600.0, 20), (DAY_S, 24), (2 * DAY_S, 48), (7 * DAY_S, 48)],
)
def test_a_block_is_about_an_hour(duration_s: float, blocks: int) -> None:
    assert blocks_of(duration_s) == blocks


def test_many_sites_are_counted_in_few_groups_of_nearly_equal_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sites, "LARGEST_SAMPLE", 8)
    cells = cells_of(np.arange(100), DAY_S, np.arange(100) // 2)
    assert cells.rows == 8
    assert set(np.bincount(cells.row)) <= {12, 14}
    assert np.array_equal(cells.row[::2], cells.row[1::2])  # a site stays whole


def test_nodes_of_a_group_follow_each_other_in_its_sites() -> None:
    scenario = load_scenario("lan").with_nodes(3)
    (group,) = scenario.group
    found = sites_of(scenario)
    assert found is not None
    assert found.tolist() == [0, 1, 2]
    shared = group.model_copy(update={"site": Site(nodes=2, share=0.5), "nodes": 5})
    two = scenario.model_copy(update={"group": (shared, group)})
    found = sites_of(two)
    assert found is not None
    assert found.tolist() == [0, 0, 1, 1, 2, 3, 4, 5]


def test_where_a_fault_strikes_many_at_once_nothing_is_known_of_sites() -> None:
    assert sites_of(load_scenario("hub-faults")) is None
    assert sites_of(load_scenario("hub-cut")) is None


def test_gaps_of_some_nodes_are_those_that_they_have() -> None:
    gaps = find_gaps(beats([0.0, 5.0], [1.0], [2.0, 4.0, 8.0]), NO_LOSSES, 10.0)
    some = gaps.of(np.array([2, 0, 7]))
    assert some.node.tolist() == [0, 2]
    assert some.first.tolist() == [0, 2, 5]
    assert some.start_s.tolist() == [0, 5, 2, 4, 8]
    assert gaps.of(np.arange(9)) is gaps
    assert len(gaps.of(np.array([7]))) == 0
