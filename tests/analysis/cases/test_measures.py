"""The measures on a handful of messages, counted by hand."""

import math

import numpy as np
import pytest

from heartbench.analysis.cases.measures import MEASURES, Observation, usual_gap_s
from heartbench.analysis.gaps import NO_LOSSES, find_gaps
from heartbench.analysis.qos import judge
from heartbench.mesh.kinds import Kind
from heartbench.simulator.scenario import read_scenario
from heartbench.simulator.trace import Messages

SCENARIO = read_scenario(
    {
        "duration": "100s",
        "hub": {"stale_after_s": 10.0},
        "group": [{"name": "a", "nodes": 2, "profile": "lan", "heartbeat_interval": "10s"}],
    },
    "test",
)


def observed(*nodes: list[tuple[float, Kind]], outages: int = 0) -> Observation:
    """Return a run in which each node was heard at these times; each Hello begins a new connection."""
    rows = [
        (node, sum(kind is Kind.HELLO for _, kind in heard[: place + 1]), kind, at)
        for node, heard in enumerate(nodes)
        for place, (at, kind) in enumerate(heard)
    ]
    node, connection, kind, at = (np.array(column) for column in zip(*rows, strict=True))
    none = np.zeros(len(rows), np.int32)
    streams = connection.astype(np.int32)
    messages = Messages(node.astype(np.int32), none, streams, none.astype(np.int64), kind.astype(np.int8), at, at)
    gaps = find_gaps(messages, NO_LOSSES, SCENARIO.duration_s)
    qos = judge(gaps, [SCENARIO.hub_settings().policy], SCENARIO.duration_s)
    return Observation(SCENARIO, messages, gaps, qos, outages)


HELLO, HEARTBEAT = Kind.HELLO, Kind.HEARTBEAT
REGULAR = [(float(at), HEARTBEAT if at else HELLO) for at in range(0, 100, 5)]
LATE = [
    (0.0, HELLO),
    (5.0, HEARTBEAT),
    (15.5, HEARTBEAT),
    (40.0, HELLO),
    *[(at, HEARTBEAT) for at in range(45, 100, 5)],
]


@pytest.mark.parametrize(
    ("measure", "figure"),
    [
        ("false_stale_per_node_day", 2 / (200 / 86400)),
        ("false_stale_per_outage", 0.5),
        ("false_stale_s", (0.5 + 14.5) / 2),
        ("late_share", 2 / 35),
        ("just_missed_share", 0.5),
        ("usual_gap_per_threshold", 0.5),
        ("nodes_ever_stale", 0.5),
        ("busiest_second", 2 / (35 / 100)),
        ("reconnects_in_a_second", 0.5),
        ("connections_per_node_hour", 3 / (200 / 3600)),
    ],
)
def test_a_measure_is_what_one_counts_by_hand(measure: str, figure: float) -> None:
    run = observed(REGULAR, LATE, outages=4)
    assert MEASURES[measure].of(run) == pytest.approx(figure)


def test_what_is_not_defined_is_not_a_number() -> None:
    run = observed(REGULAR, REGULAR)
    undefined = {name for name, measure in MEASURES.items() if math.isnan(measure.of(run))}
    assert undefined == {"false_stale_per_outage", "false_stale_s", "just_missed_share"}


def test_the_usual_gap_is_not_that_within_a_bunch() -> None:
    pairs = [(at + more, HEARTBEAT) for at in range(0, 100, 10) for more in (0.0, 0.01)]
    assert usual_gap_s(observed(pairs, pairs).gaps) == pytest.approx(9.99)
