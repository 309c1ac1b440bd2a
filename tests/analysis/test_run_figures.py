"""The figures of a run, of blocks that are made by hand."""

from dataclasses import astuple, replace

import numpy as np
import pandas as pd
import pytest

from heartbench.analysis.run_figures import FiguresSink, HubFigures, RunFigures
from heartbench.analysis.tally import Judged, quantiles
from heartbench.hub import HubSettings
from heartbench.mesh.kinds import Kind
from heartbench.simulator.engines.contract import Block, Conditions
from heartbench.simulator.scenario import Scenario, load_scenario
from heartbench.simulator.trace import Messages, Truth, TruthEvent

HUB = HubSettings.of(stale_after_s=3.0)
DAY_S = 86_400.0


def groups(**nodes: int) -> Scenario:
    lan = load_scenario("lan")
    members = [lan.group[0].model_copy(update={"name": name, "nodes": count}) for name, count in nodes.items()]
    return lan.model_copy(update={"group": tuple(members)})


def events(node: int, event: TruthEvent, *spans: tuple[float, float]) -> Truth:
    start_s, end_s = np.array(spans, float).reshape(-1, 2).T
    return Truth(np.full(len(start_s), node, np.int32), np.full(len(start_s), event, np.int8), start_s, end_s)


def heartbeats(node: list[int], sent_s: list[float], arrived_s: list[float]) -> Messages:
    n = len(sent_s)
    ones, kind = np.ones(n, np.int32), np.full(n, Kind.HEARTBEAT, np.int8)
    columns = np.array(node, np.int32), ones, ones, np.arange(n), kind
    return Messages(*columns, np.array(sent_s, float), np.array(arrived_s, float))


def a_block(sent_s: list[float], arrived_s: list[float], crash_s: float | None = None) -> Block:
    """One node's heartbeats, and perhaps its power loss."""
    losses = [] if crash_s is None else [(crash_s, np.nan)]
    messages = heartbeats([0] * len(sent_s), sent_s, arrived_s)
    return Block(0, "edge", 0, 1, messages, events(0, TruthEvent.CRASH, *losses))


def a_fleet() -> list[Block]:
    """Two groups: `lte` is silent for 4 s twice, `wired` speaks every second, one of it never."""
    lte = heartbeats([0] * 3, [0.0, 4.0, 8.0], [0.5, 4.5, 8.5])
    times = [float(at) for at in range(11)]
    wired = heartbeats([1] * 11, times, times)
    nothing = events(0, TruthEvent.CRASH)
    return [Block(0, "lte", 0, 1, lte, nothing), Block(1, "wired", 1, 2, wired, nothing)]


def figures_of(
    blocks: list[Block],
    duration_s: float,
    scenario: Scenario | None = None,
    hub_truth: Truth | None = None,
    transitions: pd.DataFrame | None = None,
) -> RunFigures:
    sink = FiguresSink(scenario or groups(edge=1))
    sink.begin(Conditions(duration_s, HUB, hub_truth))
    for block in blocks:
        sink.add(sink.extract(block))
    if transitions is not None:
        sink.add_transitions(transitions)
    return sink.figures()


def judged(blocks: list[Block], duration_s: float, hub_truth: Truth | None = None) -> Judged:
    return figures_of(blocks, duration_s, hub_truth=hub_truth).whole.judged


def reported(block: Block, duration_s: float, *changes: tuple[float, str, bool, str]) -> HubFigures:
    transitions = pd.DataFrame(changes, columns=["at_s", "status", "flapping", "reason"]).assign(node=0, connected=True)
    hub = figures_of([block], duration_s, transitions=transitions).hub
    assert hub is not None
    return hub


def test_latency_is_of_the_heartbeats_that_were_received() -> None:
    figures = figures_of([a_block([0.0, 1.0, 2.0, 3.0], [0.1, 1.1, np.nan, 3.3])], 10.0)
    assert figures.whole.latency_s == {"p50": pytest.approx(0.1), "p99": pytest.approx(0.3, rel=0.02)}


def test_rates_are_per_node_and_time() -> None:
    found = judged([a_block([0.0, 4.0, 5.0], [0.0, 4.0, 5.0])], 6.0)
    assert found.false_stale_per_node_day == pytest.approx(DAY_S / 6.0)
    assert found.flaps_per_node_hour == pytest.approx(2 * 3600 / 6.0)


@pytest.mark.parametrize("event", [TruthEvent.HUB_STOP, TruthEvent.HUB_PAUSE])
def test_time_in_which_the_hub_was_away_is_not_a_false_stale(event: TruthEvent) -> None:
    blocks = [a_block([0.0, 1.0, 9.0, 10.0], [0.0, 1.0, 9.0, 10.0])]
    assert judged(blocks, 11.0).false_stale_per_node_day == pytest.approx(DAY_S / 11.0)
    found = judged(blocks, 11.0, events(-1, event, (2.0, 8.0)))
    assert (found.false_stale_per_node_day, found.flashes_per_hour) == (0.0, 0.0)


def test_without_a_heartbeat_there_are_no_figures() -> None:
    figures = figures_of([a_block([], [])], 0.0)
    assert figures.groups == {"edge": figures.whole}
    assert (figures.whole.nodes, figures.whole.heartbeats) == (1, 0)
    assert figures.whole.latency_s == {"p50": None, "p99": None}
    assert set(astuple(figures.whole.judged)) == {None}


def test_a_run_that_did_not_begin_has_no_groups() -> None:
    figures = FiguresSink(groups(edge=1)).figures()
    assert (figures.whole.nodes, figures.groups, figures.hub) == (0, {}, None)


def test_each_group_has_its_own_figures() -> None:
    figures = figures_of(a_fleet(), 10.0, groups(lte=1, wired=2))
    lte, wired, whole = figures.groups["lte"], figures.groups["wired"], figures.whole.judged
    assert (lte.nodes, lte.heartbeats, lte.judged.false_stale) == (1, 3, 2)
    assert (wired.nodes, wired.heartbeats, wired.judged.false_stale) == (2, 11, 0)
    assert whole.false_stale == 2
    assert lte.judged.false_stale_per_node_day == pytest.approx(2 * DAY_S / 9.5)
    assert whole.false_stale_per_node_day == pytest.approx(2 * DAY_S / 19.5)
    assert lte.latency_s["p50"] == pytest.approx(0.5)
    assert wired.latency_s["p50"] == 0


def test_a_short_run_shows_how_little_it_knows() -> None:
    of_group = figures_of(a_fleet(), 10.0, groups(lte=1, wired=2)).groups
    wired, lte = of_group["wired"].judged, of_group["lte"].judged
    assert wired.false_stale_ci == [0, pytest.approx(3.69 * DAY_S / 10, rel=0.01)]
    assert lte.false_stale_ci is not None
    assert lte.false_stale_per_node_day is not None
    assert lte.false_stale_ci[0] < lte.false_stale_per_node_day / 5
    assert lte.false_stale_ci[1] > lte.false_stale_per_node_day * 3


def test_how_a_group_is_cut_into_blocks_does_not_change_its_figures() -> None:
    node = [0] * 3 + [1] * 11
    times = [0.0, 4.0, 8.0, *(float(at) for at in range(11))]
    whole = Block(0, "edge", 0, 2, heartbeats(node, times, times), events(0, TruthEvent.CRASH))
    halves = [
        replace(
            whole, index=number, first=number, count=1, messages=whole.messages.select(whole.messages.node == number)
        )
        for number in (0, 1)
    ]
    assert figures_of(halves, 10.0, groups(edge=2)) == figures_of([whole], 10.0, groups(edge=2))


def test_nodes_that_did_not_run_do_not_count() -> None:
    blocks = [a_block([0.0, 4.0], [0.0, 4.0])]
    assert figures_of(blocks, 10.0, groups(edge=3)) == figures_of(blocks, 10.0, groups(edge=1))


def test_a_node_without_power_is_rightly_stale() -> None:
    hub = reported(
        a_block([0.0, 4.0], [0.0, 4.0], crash_s=5.0),
        3600.0,
        (0.0, "online", False, "registered"),
        (3.0, "stale", False, "silence"),
        (4.0, "online", False, "heard"),
        (7.0, "stale", False, "silence"),
    )
    assert hub == HubFigures(stale=2, false_stale=1, flaps=3, flashes=3, flashes_per_hour=3.0)


def test_a_flapping_node_does_not_flash_and_a_return_from_offline_is_not_a_flap() -> None:
    hub = reported(
        a_block([0.0], [0.0]),
        3600.0,
        (3.0, "stale", False, "silence"),
        (3.0, "stale", True, "flaps_entry"),
        (4.0, "online", True, "heard"),
        (5.0, "offline", True, "goodbye"),
        (6.0, "online", False, "heard"),
    )
    assert (hub.flaps, hub.flashes) == (2, 2)


def test_the_return_of_a_node_that_was_stale_before_the_run_is_not_a_flap_of_the_run() -> None:
    changes = (0.0, "online", False, "heard"), (3.0, "stale", False, "silence"), (9.0, "online", False, "heard")
    assert reported(a_block([0.0, 9.0], [0.0, 9.0]), 3600.0, *changes).flaps == 2


def test_a_hub_that_reported_nothing_has_no_flaps() -> None:
    assert reported(a_block([0.0], [0.0]), 0.0) == HubFigures(0, 0, 0, 0, None)


def test_quantiles_go_by_their_names() -> None:
    assert quantiles(np.arange(101.0), ("p50", "p99", "max")) == {"p50": 50.0, "p99": 99.0, "max": 100.0}


def test_a_run_is_judged_by_the_detector_of_its_hub() -> None:
    times = [float(at) for at in range(0, 200, 10)]  # of the announced interval of 10 s, and then a gap of 20 s
    block = a_block([*times, 210.0], [*times, 210.0])
    scenario = groups(edge=1)
    every_10_s = scenario.group[0].model_copy(update={"heartbeat_interval_s": 10.0})
    scenario = scenario.model_copy(update={"group": (every_10_s,)})
    for detector, false_stales in (("chen margin=9s", 1), ("chen margin=11s", 0), ("phi threshold=3", 1)):
        sink = FiguresSink(scenario)
        sink.begin(Conditions(211.0, HubSettings.of(detector=detector), None))
        sink.add(sink.extract(block))
        assert sink.figures().whole.judged.false_stale == false_stales
