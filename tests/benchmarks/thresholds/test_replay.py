"""The hub's rules over arrays, held against the hub."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartbench.benchmarks.thresholds.replay import REASONS, replay
from heartbench.hub.config import HubSettings
from heartbench.hub.events import Change
from heartbench.hub.liveness import Status
from heartbench.hub.registry import Hello, Registry
from heartbench.simulator.observer import Observed

HUB = HubSettings.of(stale_after_s=5.0, flap_window_s=40.0, flap_threshold=4, flap_exit=2)


class Hub:
    """A registry that is driven by hand and writes down what it hears, as the observer does."""

    def __init__(self) -> None:
        self.registry = Registry.from_settings(HUB)
        self.sessions: dict[str, object] = {}
        self.connections = 0
        self.receipts: list[tuple[object, ...]] = []
        self.deadlines: list[tuple[object, ...]] = []
        self.changes: list[Change] = []

    def do(self, at: float, node: str, what: str) -> None:
        if what == "sweep":
            self.changes += self.registry.sweep(at)
        elif what == "move":
            self.move(at, node)
        elif what == "hello" or node in self.sessions:
            self.receive(at, node, what)

    def receive(self, at: float, node: str, what: str) -> None:
        if what == "hello":
            self.connections += 1
            self.sessions[node], new = self.registry.hello(Hello(node, 1, self.connections), at)
        elif what == "goodbye":
            new = self.registry.goodbye(self.sessions.pop(node), at)
        else:
            new = self.registry.heartbeat(self.sessions[node], at)
        self.changes += new
        self.receipts.append((at, node, what))

    def move(self, at: float, node: str) -> None:
        """Move a deadline as the hub does: after it looked for passed ones, and of an online node."""
        self.changes += self.registry.sweep(at)
        record = self.registry.nodes.get(node)
        if record is not None and record.status is Status.ONLINE:
            self.registry.move_deadline(record, at + 12.5)
            self.deadlines.append((at, node, at + 12.5))

    def observed(self) -> Observed:
        receipts = pd.DataFrame(self.receipts, columns=["at_s", "node_id", "kind"])
        moves = pd.DataFrame(self.deadlines, columns=["at_s", "node_id", "deadline_s"])
        return Observed({"settings": HUB.model_dump()}, receipts, moves, pd.DataFrame())


steps = st.tuples(
    st.integers(1, 60).map(lambda count: count / 4),
    st.sampled_from(["a", "b"]),
    st.sampled_from([*["heartbeat"] * 6, "hello", "goodbye", "sweep", "move"]),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(steps, max_size=60))
def test_says_what_the_hub_said(steps: list[tuple[float, str, str]]) -> None:
    hub, at = Hub(), 0.0
    for step, node, what in [(0.25, "a", "hello"), *steps]:
        at += step
        hub.do(at, node, what)
    hub.do(at + 30, "a", "sweep")
    found = replay(hub.observed(), at + 30)
    for node in ("a", "b"):
        said = [
            (c.at_s, c.status, c.flapping, c.reason) for c in hub.changes if c.node_id == node and c.reason in REASONS
        ]
        ours = found[found.node_id == node]
        assert list(zip(ours.at_s, ours.status, ours.flapping, ours.reason, strict=True)) == said


def test_a_message_after_the_deadline_makes_stale_at_the_deadline_then_online() -> None:
    hub = Hub()
    hub.do(1.0, "a", "hello")
    hub.do(8.0, "a", "heartbeat")
    found = replay(hub.observed(), 9.0)
    assert list(zip(found.at_s, found.reason, strict=True)) == [(1, "registered"), (6, "silence"), (8, "heard")]


def test_a_moved_deadline_is_the_one_that_counts() -> None:
    hub = Hub()
    hub.do(1.0, "a", "hello")
    hub.do(3.0, "a", "move")
    assert replay(hub.observed(), 100.0).at_s.tolist() == pytest.approx([1, 15.5])


def test_who_left_is_not_listened_to_until_the_next_hello() -> None:
    receipts = pd.DataFrame(
        [(1.0, "a", "hello"), (2.0, "a", "goodbye"), (3.0, "a", "chunk"), (50.0, "a", "hello")],
        columns=["at_s", "node_id", "kind"],
    )
    moves = pd.DataFrame(columns=["at_s", "node_id", "deadline_s"])
    found = replay(Observed({"settings": HUB.model_dump()}, receipts, moves, pd.DataFrame()), 51.0)
    assert list(zip(found.at_s, found.reason, strict=True)) == [(1, "registered"), (2, "goodbye"), (50, "heard")]
