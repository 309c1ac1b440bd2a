"""What outages of each length do to a fleet, and what that makes of other networks."""

import numpy as np
import pytest

from heartbench.analysis.evidence import policies_at
from heartbench.analysis.gaps import NO_LOSSES, Gaps, find_gaps
from heartbench.analysis.posterior import Networks
from heartbench.analysis.response import BEYOND, Response, edges_of, longest_outage_s, outages_watched, with_probes
from heartbench.analysis.simulated import SimulatedOutages, simulate_gaps
from heartbench.hub.config import HubSettings
from heartbench.simulator.fleet import squads
from heartbench.simulator.link_records import OUTAGE_E
from heartbench.simulator.scenario import load_scenario
from heartbench.simulator.tail import Tail
from heartbench.simulator.trace import Messages

THRESHOLDS = [15.0, 30.0, 60.0]
DAY_S = 86400.0
POLICIES = policies_at(THRESHOLDS, HubSettings.of())
EDGES_S = edges_of(3.0, BEYOND * 60.0)
ALWAYS_20 = Networks(20.0, np.array([2.0]), np.array([0.0]), np.array([1e-9]))
"""Two outages of 20 s per hour."""


def gaps_at(*nodes: list[float], end_s: float) -> Gaps:
    """Nodes that are heard at these times."""
    node = np.repeat(np.arange(len(nodes)), [len(times) for times in nodes]).astype(np.int32)
    at = np.concatenate([np.array(times, float) for times in nodes])
    ones = np.ones(len(at), np.int32)
    return find_gaps(
        Messages(node, ones, ones, ones.astype(np.int64), np.ones(len(at), np.int8), at, at), NO_LOSSES, end_s
    )


def outages(*spans: tuple[int, float, float]) -> SimulatedOutages:
    node, from_s, to_s = (np.array(column) for column in zip(*spans, strict=True))
    return SimulatedOutages(node.astype(np.int64), from_s.astype(float), to_s.astype(float))


def test_a_gap_is_put_down_to_the_longest_outage_in_it_or_shortly_before() -> None:
    gaps = gaps_at([0, 10, 50, 60, 900, 910], [0, 10], end_s=1000)
    out = outages((0, 12, 32), (0, 35, 40), (1, 2, 5))
    #        0-10 10-50 50-60 60-900 900-910 910-1000 | 0-10 10-1000 of the other node
    assert longest_outage_s(gaps, out).tolist() == [0, 20, 20, 20, 0, 0, 3, 3]


def test_outages_of_a_node_that_was_not_heard_yet_do_not_count() -> None:
    gaps = gaps_at([100, 200], end_s=300)
    seen = outages_watched(gaps, outages((0, 10, 50), (0, 120, 150), (7, 120, 150)), until_s=300)
    assert seen.from_s.tolist() == [120]


def test_false_stales_of_a_network_are_those_of_its_outages() -> None:
    # Two outages of 5 s do nothing; one of two of 20 s makes a gap of 40 s.
    gaps = gaps_at([*np.arange(0, 8000, 10.0), *np.arange(8030, 16000, 10.0)], end_s=16000)
    out = outages((0, 1000, 1005), (0, 2000, 2005), (0, 5000, 5020), (0, 8001, 8021))
    response = Response.of(gaps, out, EDGES_S, POLICIES)
    assert response.false_stale_per_node_day(ALWAYS_20)[0] == pytest.approx([2 * 24 / 2, 2 * 24 / 2, 0])
    always_5 = Networks(5.0, np.array([2.0]), np.array([0.0]), np.array([1e-9]))
    assert response.false_stale_per_node_day(always_5)[0] == pytest.approx([0, 0, 0])


def test_what_no_outage_made_stays_on_every_network() -> None:
    gaps = gaps_at([*np.arange(0, 8000, 10.0), *np.arange(8030, 16000, 10.0)], end_s=16000)
    response = Response.of(gaps, outages((0, 15990, 15995)), EDGES_S, POLICIES)
    none = Networks(3.0, np.array([0.0]), np.array([0.0]), np.array([1.0]))
    assert response.false_stale_per_node_day(none)[0] == pytest.approx([DAY_S / (16000 - 75), DAY_S / (16000 - 75), 0])


def test_an_outage_that_outlasts_the_run_makes_the_gap_that_the_end_cuts() -> None:
    gaps = gaps_at([*np.arange(0, 8000, 10.0), 8000], end_s=8200)
    response = Response.of(gaps, outages((0, 8005, 8500)), EDGES_S, POLICIES)
    assert response.without.tolist() == [0, 0, 0]
    assert response.per_outage[-1].tolist() == [1, 1, 1]


def test_the_end_of_the_run_hides_no_mistake() -> None:
    # Both outages of 20 s make a gap of 40 s; the run ends 27 s after the second began.
    gaps = gaps_at([*np.arange(0, 8000, 10.0), *np.arange(8030, 9000, 10.0)], end_s=9018)
    response = Response.of(gaps, outages((0, 7991, 8011), (0, 8991, 9011)), EDGES_S, POLICIES)
    assert response.false_stale_per_node_day(ALWAYS_20)[0] == pytest.approx([48, 48, 0])


def test_outages_that_are_added_leave_the_others_as_they_are() -> None:
    scenario = load_scenario("wireguard-5g")
    outage = scenario.group[0].link.outage
    (squad,) = squads(scenario)
    link = with_probes(squad, outage, 1.0, 3.0, 150.0).link[0]
    per_hour = 3600 / (link["outage_gap_mean_s"] + np.interp(np.random.default_rng(1).exponential(size=400_000),
                                                             OUTAGE_E, link["outage_s"]).mean())  # fmt: skip

    def rate(length_s: float) -> float:
        return float(per_hour * np.exp(-np.interp(length_s, link["outage_s"], OUTAGE_E)))

    own = {1.0: 27.8, 3.0: outage.tail_per_hour}
    added = 0.5
    assert rate(1.001) == pytest.approx(own[1.0] + added, rel=0.02)
    assert rate(3.0) == pytest.approx(own[3.0] + added, rel=0.02)
    assert rate(149.0) < rate(30.0) < own[3.0] + added


def test_the_network_of_best_estimate_gives_what_a_simulation_of_it_gives() -> None:
    scenario = load_scenario("wireguard-5g").with_nodes(150).model_copy(update={"duration_s": DAY_S})
    outage = scenario.group[0].link.outage
    fleet = [with_probes(squad, outage, 1.0, 3.0, 75.0) for squad in squads(scenario)]
    response = Response.of(*simulate_gaps(scenario, fleet), EDGES_S, POLICIES)
    tail: Tail = outage.tail
    same = Networks(3.0, *(np.array([each]) for each in (outage.tail_per_hour, tail.shape, tail.scale_s)))
    direct, _ = simulate_gaps(scenario.model_copy(update={"seed": 2}))
    days = direct.up_s.sum() / DAY_S
    expected = [np.count_nonzero(direct.up_s > each) / days for each in THRESHOLDS]
    assert response.false_stale_per_node_day(same)[0] == pytest.approx(expected, rel=0.12)
