"""The modelled node with a connection that only records."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from heartbench.simulator.engines.live.world import Loss
from heartbench.simulator.engines.locust.fleet import Fleet
from heartbench.simulator.engines.locust.node import Node, world_of
from heartbench.simulator.node import CRASH, START
from heartbench.simulator.scenario import load_scenario


class Connections(list[Any]):
    def __call__(self, node_id: str, lost: Callable[..., Any], report: Callable[..., Any]) -> "Recorder":
        self.append(Recorder(node_id, lost))
        return self[-1]


class Recorder:
    def __init__(self, node_id: str, lost: Callable[..., Any]) -> None:
        self.node_id, self.lost, self.closed = node_id, lost, False
        self.sent: list[str] = []

    def send(self, message: Any) -> None:
        self.sent.append(message.WhichOneof("body"))

    def close(self) -> None:
        self.closed = True

    leave = close


Lived = tuple[Node, Connections, list[Any], Callable[..., Any]]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
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
def overrides() -> list[Any]:
    return []


@pytest.fixture
def lived(clock: list[float], overrides: list[Any]) -> Lived:
    """A node, its connections, what it reported, and a way to let it live for so many seconds."""
    connections: Any = Connections()
    reports: list[Any] = []
    fleet = Fleet(load_scenario("lan", overrides))
    node = Node(fleet.take(), fleet.scenario.nodes, clock[0], connections, lambda *report: reports.append(report))

    def live(seconds: float) -> None:
        end = clock[0] + seconds
        while clock[0] < end:
            clock[0] += 0.01
            node.step()

    return node, connections, reports, live


def test_a_node_says_hello_and_then_heartbeats_on_its_schedule(
    lived: Lived,
) -> None:
    _, connections, reports, live = lived
    live(10.0)
    (connection,) = connections
    assert connection.sent[0] == "hello"
    assert set(connection.sent[1:]) == {"heartbeat"}
    assert len(connection.sent) in range(8, 13)
    assert [report[:2] for report in reports] == [("link", "heartbeat")] * (len(connection.sent) - 1)


def test_a_node_whose_stream_was_ended_connects_again_after_its_backoff(
    lived: Lived,
) -> None:
    _, connections, _, live = lived
    live(5.0)
    connections[0].lost(Loss(3.0, refused=False))
    live(2.5)
    assert len(connections) == 1
    live(10.0)
    assert len(connections) == 2
    assert connections[1].sent[:2] == ["hello", "heartbeat"]


@pytest.mark.parametrize("overrides", [CUT])
def test_the_end_of_a_stream_that_the_node_has_left_does_not_touch_the_connection_that_it_makes(
    lived: Lived,
) -> None:
    _, connections, _, live = lived
    live(12.0)
    assert len(connections) == 1
    connections[0].lost(Loss(0.0, refused=False))
    live(48.0)
    assert len(connections) == 2
    assert connections[1].sent[:2] == ["hello", "heartbeat"]
    assert not connections[1].closed


def test_a_node_that_leaves_closes_its_connection(
    lived: Lived,
) -> None:
    node, connections, _, live = lived
    live(5.0)
    node.leave()
    assert connections[0].closed


def test_what_would_have_happened_before_a_node_joined_has_not() -> None:
    crash = "fault=[{kind='crash', group='rack', fraction=1.0, at='20s', for='5s'}]"
    fleet = Fleet(load_scenario("lan", [crash]))
    member, nodes = fleet.take(), fleet.scenario.nodes
    late, down, after = (world_of(member, nodes, at_s) for at_s in (10.0, 22.0, 60.0))
    assert np.array_equal(late.what, [START, CRASH, START])
    assert late.at_s[0] == 10.0
    assert np.array_equal(down.at_s, [25.0])
    assert np.array_equal(after.at_s, [60.0])
