"""The whole hub but its connections: what each message costs to judge, publish and store.

A hub does this for every message of every node on one core, beside gRPC, which costs fifty times as much per heartbeat.
"""

import random
from contextlib import ExitStack

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from heartbench.hub import Change, Hello, HubSettings, Reason, Status
from heartbench.hub.clock import ManualClock
from heartbench.hub.composition import open_hub
from heartbench.hub.core import Hub
from heartbench.hub.events.fanout import EventFanout
from heartbench.hub.liveness.node import Session
from heartbench.hub.work.admission import Admission

NODES = 100


def a_hub() -> tuple[Hub, ManualClock, list[Session]]:
    clock = ManualClock(1000.0)
    hub = open_hub(HubSettings.of(admit_per_s=0), clock, seed=1)
    sessions = [hub.hello(Hello(f"node-{number:06d}", 1, 0, 10.0), clock.now_s)[0] for number in range(NODES)]
    return hub, clock, [session for session in sessions if session is not None]


@pytest.mark.benchmark(group=f"core: {NODES} messages")
def test_heartbeats(benchmark: BenchmarkFixture) -> None:
    """What does a heartbeat cost from the parsed message to the judged node? It bounds the fleet of one hub."""
    hub, clock, sessions = a_hub()

    def beat() -> None:
        clock.now_s += 0.1
        for session in sessions:
            hub.heartbeat(session, clock.now_s, 1, 0.0)
        hub.tick(clock.now_s)

    benchmark(beat)
    assert hub.registry.flaps == 0


@pytest.mark.benchmark(group=f"core: {NODES} messages")
def test_reconnects(benchmark: BenchmarkFixture) -> None:
    """A fleet reconnects: the old stream of each node ends, and a new one begins with Hello."""
    hub, clock, sessions = a_hub()
    connection = 0

    def reconnect() -> None:
        nonlocal sessions, connection
        connection += 1
        clock.now_s += 0.1
        for session in sessions:
            hub.closed(session, clock.now_s)
        hellos = [Hello(session.node.node_id, 1, connection, 10.0) for session in sessions]
        again = [hub.hello(hello, clock.now_s)[0] for hello in hellos]
        sessions = [session for session in again if session is not None]

    benchmark(reconnect)
    assert len(sessions) == NODES


@pytest.mark.parametrize("subscribers", [1, 100])
@pytest.mark.benchmark(group="bus: 100 events")
def test_events(benchmark: BenchmarkFixture, subscribers: int) -> None:
    """Events are queued for each subscriber; one that does not read loses the oldest."""
    bus = EventFanout(queue_limit=50)
    change = Change(1.0, "node-1", Status.STALE, True, False, Reason.SILENCE)

    def publish() -> None:
        for _ in range(100):
            bus.publish(1.0, change)

    benchmark.extra_info.update(subscribers=subscribers)
    with ExitStack() as listening:
        for _ in range(subscribers):
            listening.enter_context(bus.subscribe())
        publish()  # from here on their queues are full
        benchmark(publish)
        assert bus.lost > 0


@pytest.mark.benchmark(group="admission: 1,000 asked")
def test_admission_in_a_storm(benchmark: BenchmarkFixture) -> None:
    """A hub that has just started refuses almost all of its nodes, and must do so quickly."""
    admission = Admission(100.0, random.Random(1).random, 0.0)
    now = wait_s = 0.0

    def ask() -> None:
        nonlocal now, wait_s
        for _ in range(1000):
            now += 1e-4
            wait_s = max(wait_s, admission.ask(now))

    benchmark(ask)
    assert wait_s > 0
