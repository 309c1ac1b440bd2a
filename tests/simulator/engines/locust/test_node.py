"""The modelled node with a wire that only takes notes."""

import time

import numpy as np
import pytest

from heartbench.simulator.engines.locust.fleet import Fleet
from heartbench.simulator.engines.locust.node import Node, world_of
from heartbench.simulator.node import CRASH, START
from heartbench.simulator.scenario import load_scenario


class Wires(list):
    def __call__(self, node_id, lost, report):
        self.append(Notes(node_id, lost))
        return self[-1]


class Notes:
    def __init__(self, node_id, lost):
        self.node_id, self.lost, self.said, self.closed = node_id, lost, [], False

    def say(self, message):
        self.said.append(message.WhichOneof("body"))

    def close(self, goodbye=False):
        self.closed = True

    def join(self):
        pass


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


# Cut off from 5 to 20 s, the node gives its first connection up at 7.5 s, and makes its next one from then on.
CUT = [
    "group.rack.user_timeout=2s",
    "group.rack.start_spread=0s",
    "fault=[{kind='partition', group='rack', at='5s', for='15s', fraction=1.0}]",
]


@pytest.fixture
def overrides():
    return []


@pytest.fixture
def lived(clock, overrides):
    """A node, its wires, what it reported, and a way to let it live for so many seconds."""
    fleet, wires, reports = Fleet(load_scenario("lan", overrides)), Wires(), []
    node = Node(fleet.take(), fleet.scenario.nodes, clock[0], wires, lambda *report: reports.append(report))

    def live(seconds):
        end = clock[0] + seconds
        while clock[0] < end:
            clock[0] += 0.01
            node.step()

    return node, wires, reports, live


def test_a_node_says_hello_and_then_heartbeats_on_its_schedule(lived):
    _, wires, reports, live = lived
    live(10.0)
    (wire,) = wires
    assert wire.said[0] == "hello"
    assert set(wire.said[1:]) == {"heartbeat"}
    assert len(wire.said) in range(8, 13)
    assert [report[:2] for report in reports] == [("link", "heartbeat")] * (len(wire.said) - 1)


def test_a_node_whose_stream_was_ended_connects_again_after_its_backoff(lived):
    _, wires, _, live = lived
    live(5.0)
    wires[0].lost(3.0, False)
    live(2.5)
    assert len(wires) == 1
    live(10.0)
    assert len(wires) == 2
    assert wires[1].said[:2] == ["hello", "heartbeat"]


@pytest.mark.parametrize("overrides", [CUT])
def test_the_end_of_a_stream_that_the_node_has_left_does_not_touch_the_connection_that_it_makes(lived):
    _, wires, _, live = lived
    live(12.0)
    assert len(wires) == 1
    wires[0].lost(0.0, False)
    live(48.0)
    assert len(wires) == 2
    assert wires[1].said[:2] == ["hello", "heartbeat"]
    assert not wires[1].closed


def test_a_node_that_leaves_closes_its_connection(lived):
    node, wires, _, live = lived
    live(5.0)
    node.leave()
    assert wires[0].closed


def test_what_would_have_happened_before_a_node_joined_has_not():
    crash = "fault=[{kind='crash', group='rack', fraction=1.0, at='20s', for='5s'}]"
    fleet = Fleet(load_scenario("lan", [crash]))
    member, nodes = fleet.take(), fleet.scenario.nodes
    late, down, after = (world_of(member, nodes, at_s) for at_s in (10.0, 22.0, 60.0))
    assert np.array_equal(late.what, [START, CRASH, START])
    assert late.at_s[0] == 10.0
    assert np.array_equal(down.at_s, [25.0])
    assert np.array_equal(after.at_s, [60.0])
