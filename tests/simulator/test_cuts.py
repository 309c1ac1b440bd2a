"""Faults of links and connections: holds, flaps, one direction alone, RST, a path that forgets, another address."""

from math import isnan, nan
from pathlib import Path

import numpy as np
import pytest
from tests.simulator.test_link import link
from tests.simulator.test_node import Life
from tests.simulator.test_scenario import GROUPS, load

from heartbench.mesh.kinds import Kind
from heartbench.simulator.errors import SimulatorError
from heartbench.simulator.fleet import squads
from heartbench.simulator.link import DOWN, UP, transmit
from heartbench.simulator.node import HALF_OPEN, REBIND, RESET, RESET_AT_HUB, RESET_AT_NODE, START
from heartbench.simulator.trace import TruthEvent
from heartbench.simulator.truth import truth_of

DELAY_S, RTT_S = 0.01, 0.02  # of the link below


def test_a_hold_keeps_all_packets_and_releases_them_together() -> None:
    held = link([(10.0, 20.0, 0, 1)])
    arrivals = [transmit(held, UP, t) for t in (9.0, 10.0, 15.0, 19.9, 20.0)]
    assert arrivals == pytest.approx([9.0 + DELAY_S, *[20.0 + DELAY_S] * 4])


def test_a_flap_cuts_the_beginning_of_each_period() -> None:
    flapping = link([(10.0, 40.0, 0, 0, 10.0, 3.0)])
    times = (9.9, 10.0, 12.9, 13.0, 19.9, 20.0, 32.9, 33.0, 40.0)
    assert [isnan(transmit(flapping, UP, t)) for t in times] == [0, 1, 1, 0, 0, 1, 1, 0, 0]


@pytest.mark.parametrize(("only", "cut"), [(1 + UP, UP), (1 + DOWN, DOWN)])
def test_a_cut_of_one_direction_leaves_the_other_alone(only: int, cut: int) -> None:
    one_way = link([(10.0, 20.0, only)])
    assert [isnan(transmit(one_way, way, 15.0)) for way in (UP, DOWN)] == [cut == UP, cut == DOWN]


def test_a_hold_that_ends_in_a_partition_passes_nothing() -> None:
    arrivals = [transmit(link([(10.0, 20.0, 0, 1), (20.0, 30.0)]), UP, t) for t in (15.0, 25.0)]
    assert arrivals == pytest.approx([nan, nan], nan_ok=True)
    assert transmit(link([(10.0, 20.0, 0, 1), (15.0, 25.0, 0, 1)]), UP, 12.0) == pytest.approx(25.0 + DELAY_S)


def life(what: int, user_timeout_s: float = 5.0) -> Life:
    """A node with a heartbeat each second, whose connection meets an event at 4.5 s."""
    return Life(link(), 60.0, [(0.0, START), (4.5, what)], user_timeout_s)


def first_sent_after(at_s: float, of: Life) -> float:
    sent_s = of.column("sent_s")
    return float(sent_s[sent_s > at_s][0])


@pytest.mark.parametrize("what", [RESET, RESET_AT_NODE])
def test_a_reset_at_the_node_makes_it_dial_again_at_once(what: int) -> None:
    reset = life(what)
    assert reset.closes == [4.5]
    assert reset.hub_closes == ([4.5] if what == RESET else [pytest.approx(nan, nan_ok=True)])
    assert reset.column("sent_s", Kind.HELLO)[1] == pytest.approx(4.5 + 2 * RTT_S)


def test_a_reset_at_the_hub_reaches_the_node_when_it_next_sends() -> None:
    reset = life(RESET_AT_HUB)
    heartbeat_s = first_sent_after(4.5, reset)
    assert reset.hub_closes == [4.5]
    assert reset.closes == pytest.approx([heartbeat_s + RTT_S])
    assert reset.column("sent_s", Kind.HELLO)[1] == pytest.approx(heartbeat_s + 3 * RTT_S)


@pytest.mark.parametrize("what", [HALF_OPEN, REBIND])
def test_a_half_open_connection_passes_nothing_until_the_node_gives_it_up_and_a_new_one_works(what: int) -> None:
    lost = life(what, user_timeout_s=10.0)
    (close,) = lost.closes
    assert close - first_sent_after(4.5, lost) == pytest.approx(10.5, abs=0.2)  # counted from the first retransmission
    assert np.isnan(lost.hub_closes).all()
    assert lost.column("sent_s", Kind.HELLO)[1] == pytest.approx(close + 2 * RTT_S)
    sent_s, arrived_s = lost.column("sent_s"), lost.column("arrived_s")
    assert np.isnan(arrived_s[(sent_s > 4.5) & (sent_s < close)]).all()
    assert not np.isnan(arrived_s[(sent_s > close) & (sent_s < 59.0)]).any()


def test_events_of_a_connection_do_not_concern_a_node_without_one() -> None:
    assert Life(link(), 10.0, [(1.0, RESET), (2.0, START)]).closes == []


def test_the_whole_scenario_states_them_and_the_truth_has_them(tmp_path: Path) -> None:
    faults = [
        "{kind='hold', group='edge', at='10s', for='5s', direction='up'}",
        "{kind='flap', group='edge', at='20s', for='30s', every='10s', down='2s', direction='down'}",
        "{kind='reset', group='edge', at='30s', ends='hub', nodes=2}",
        "{kind='half_open', group='edge', at='31s'}",
        "{kind='rebind', group='edge', at='32s', sites=1}",
        "{kind='crash', group='edge', at='40s', nodes=1}",
    ]
    of = load(tmp_path, GROUPS, "group.edge.site={nodes=5, share=0.5}", f"fault=[{', '.join(faults)}]")
    edge = next(squads(of))
    assert edge.partitions_of(0).tolist() == [[10, 15, 1 + UP, 1, 0, 0], [20, 50, 1 + DOWN, 0, 10, 2]]
    truth = truth_of(edge, of.seed, range(30), np.zeros((0, 3)), 60.0)
    counts = {TruthEvent(event).name: int((truth.event == event).sum()) for event in np.unique(truth.event)}
    assert counts == {
        "PARTITION_HOLD_UP": 30,
        "FLAP_DOWN": 30,
        "RESET": 2,
        "HALF_OPEN": 30,
        "REBIND": 5,
        "CRASH": 1,
    }
    moved = truth.node[truth.event == TruthEvent.REBIND]
    assert len(set(moved // 5)) == 1
    assert load(tmp_path, of.to_toml()) == of


@pytest.mark.parametrize(
    ("fault", "refusal"),
    [
        ("kind='hold'", "for: is missing; a hold has to release its packets"),
        ("kind='flap', for='1m'", "every: is missing"),
        ("kind='flap', every='5s', down='5s'", "down: must be shorter than every"),
        ("kind='reset', for='5s'", "for: a reset happens at one moment; leave it out"),
        ("kind='crash', direction='up'", "direction: a crash has none; only partition, hold, flap may set it"),
        ("kind='rebind', ends='hub'", "ends: a rebind has none; only reset may set it"),
        ("kind='rebind', sites=2", "fault.0.sites: group edge has no sites"),
        ("kind='rebind', nodes=2, fraction=0.5", "fraction and nodes exclude each other"),
        ("kind='split'", "kind: 'split'"),
    ],
)
def test_a_fault_that_cannot_be_is_refused(fault: str, refusal: str, tmp_path: Path) -> None:
    with pytest.raises(SimulatorError, match=refusal):
        load(tmp_path, GROUPS, f"fault=[{{group='edge', at='5s', {fault}}}]")
