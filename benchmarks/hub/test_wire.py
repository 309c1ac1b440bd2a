"""The hub's records as protobuf: the cost of a list of nodes, a terminal's history, and an event for a subscriber.

Each message is made and serialised, as gRPC does it.
"""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from heartbench.hub import Change, Hello, HubSettings, Reason, Status
from heartbench.hub.clock import ManualClock
from heartbench.hub.composition import open_hub
from heartbench.hub.core import Hub
from heartbench.hub.events.fanout import Event
from heartbench.hub.rpc import protobuf_mapping as wire
from heartbench.hub.store.history import StoredChunk
from heartbench.mesh.v1 import mesh_pb2 as pb

MESSAGES = 100


CLOCK = ManualClock(1000.0)


def a_hub() -> Hub:
    hub = open_hub(HubSettings.of(admit_per_s=0), CLOCK, seed=1)
    for number in range(MESSAGES):
        hub.hello(Hello(f"node-{number:06d}", 1, 0, 10.0), CLOCK.now_s)
    return hub


@pytest.mark.benchmark(group=f"wire: {MESSAGES} messages")
def test_showing_nodes(benchmark: BenchmarkFixture) -> None:
    """What does a page of the list of nodes cost? A dashboard polls it."""
    hub = a_hub()
    nodes = list(hub.registry.nodes.values())
    shown = benchmark(lambda: [wire.node_info(hub, node, CLOCK).SerializeToString() for node in nodes])
    assert len(shown) == MESSAGES


@pytest.mark.benchmark(group=f"wire: {MESSAGES} messages")
def test_showing_a_history(benchmark: BenchmarkFixture) -> None:
    """What does it cost to send a terminal's history?"""
    chunks = [StoredChunk(1, seq, 0.0, b"x" * 200) for seq in range(MESSAGES)]
    shown = benchmark(lambda: [wire.chunk(chunk).SerializeToString() for chunk in chunks])
    assert len(shown) == MESSAGES


@pytest.mark.benchmark(group=f"wire: {MESSAGES} messages")
def test_showing_events(benchmark: BenchmarkFixture) -> None:
    """What does an event cost per subscriber? A mass outage causes thousands for each."""
    event = Event(1, 1000.0, Change(1000.0, "node-000001", Status.STALE, True, False, Reason.SILENCE))
    shown = benchmark(lambda: [wire.event(event, 1, CLOCK).SerializeToString() for _ in range(MESSAGES)])
    assert len(shown) == MESSAGES


@pytest.mark.benchmark(group=f"wire: {MESSAGES} messages")
def test_reading_heartbeats(benchmark: BenchmarkFixture) -> None:
    """The hub's side of a heartbeat: parse it and find its kind."""
    sent = pb.NodeMessage(heartbeat=pb.Heartbeat(seq=7, sent_unix_s=1000.0)).SerializeToString()
    read = benchmark(lambda: [pb.NodeMessage.FromString(sent).WhichOneof("body") for _ in range(MESSAGES)])
    assert read == ["heartbeat"] * MESSAGES


@pytest.mark.benchmark(group=f"wire: {MESSAGES} messages")
def test_reading_chunks(benchmark: BenchmarkFixture) -> None:
    """The hub's side of a chunk of terminal output: parse it and make the record for the history."""
    sent = pb.Chunk(boot_id=1, seq=7, sent_unix_s=1000.0, data=b"x" * 200).SerializeToString()

    def read() -> list[StoredChunk]:
        messages = (pb.Chunk.FromString(sent) for _ in range(MESSAGES))
        return [StoredChunk(m.boot_id, m.seq, m.sent_unix_s, m.data) for m in messages]

    assert len(benchmark(read)) == MESSAGES
