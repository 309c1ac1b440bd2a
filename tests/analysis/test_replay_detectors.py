"""Replay with every detector, held against a hub of the same settings."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.analysis.test_replay import HUB, Hub, steps

from heartbench.analysis.replay import REASONS, replay
from heartbench.hub.events.observer_file import Header
from heartbench.hub.liveness.node import Hello
from heartbench.hub.liveness.registry import Registry

DETECTORS = (
    "chen margin=2s window=3 interval=4s",
    "two-window margin=2s short=1 long=4 interval=4s",
    "bertier window=3 min_margin=1s interval=4s",
    "phi threshold=2 window=4 min_deviation=0.5s interval=4s",
    "phi-exponential threshold=1 window=4 interval=4s",
)
INTERVALS_S = {"a": 6.0}  # `b` announces none


class NumberingHub(Hub):
    """The same, of nodes that number their heartbeats and announce an interval."""

    def __init__(self, detector: str) -> None:
        super().__init__()
        self.settings = HUB.changed(detector=detector)
        self.registry = Registry(self.settings.policy)

    def receive(self, at: float, node: str, what: str) -> None:
        number = self.connections = self.connections + 1
        if what == "hello":
            hello = Hello(node, 1, number, interval_s=INTERVALS_S.get(node, 0.0))
            self.sessions[node], new = self.registry.hello(hello, at)
        elif what == "goodbye":
            new = self.registry.goodbye(self.sessions.pop(node), at)
        else:
            new = self.registry.heartbeat(self.sessions[node], at, number)
        self.changes += new
        self.receipts.append((at, node, what, number if what == "heartbeat" else 0))


@pytest.mark.parametrize("detector", DETECTORS)
@settings(max_examples=20, deadline=None)
@given(st.lists(steps, max_size=60))
def test_says_what_the_hub_said_with_any_detector(detector: str, steps: list[tuple[float, str, str]]) -> None:
    hub, at = NumberingHub(detector), 0.0
    for step, node, what in [(0.25, "a", "hello"), *steps]:
        at += step
        hub.do(at, node, what)
    end_s = at + 500.03
    hub.do(end_s, "a", "sweep")
    observed = hub.observed()
    header = Header(0.0, 0.0, 1, hub.settings.model_dump())
    found = replay(replace(observed, header=header), end_s, INTERVALS_S)
    for node in ("a", "b"):
        said = [(c.status, c.flapping, c.reason) for c in hub.changes if c.node_id == node and c.reason in REASONS]
        times = [c.at_s for c in hub.changes if c.node_id == node and c.reason in REASONS]
        ours = found[found.node_id == node]
        assert list(zip(ours.status, ours.flapping, ours.reason, strict=True)) == said
        assert ours.at_s.tolist() == pytest.approx(times, abs=1e-6)
