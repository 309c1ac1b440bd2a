"""The cost of a heartbeat in the registry, among few nodes and among many in random order, and of a sweep.

At 100,000 nodes the records do not fit into the cache. The order is random because a predictable one would let the
memory prefetch them, which a real hub's traffic does not.
"""

import random
from functools import cache

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from heartbench.hub import Hello, HubSettings, Registry
from heartbench.hub.liveness.node import Session

HEARTBEATS = 1000
NODES = 200


def a_fleet(nodes: int) -> tuple[Registry, list[Session]]:
    registry = Registry(HubSettings.of().policy)
    return registry, [registry.hello(Hello(f"node-{number:06d}", 1, 0), 0.0)[0] for number in range(nodes)]


@cache
def a_crowd(nodes: int) -> tuple[Registry, list[Session]]:
    """Return a registry and its nodes in random order; cached, because the large one takes half a second."""
    registry, sessions = a_fleet(nodes)
    return registry, random.Random(1).sample(sessions, nodes)


@pytest.mark.parametrize("nodes", [100, 10_000, 100_000])
@pytest.mark.benchmark(group=f"registry: {HEARTBEATS} heartbeats")
def test_a_heartbeat(benchmark: BenchmarkFixture, nodes: int) -> None:
    """What does a heartbeat cost as the fleet grows? Only cache misses may add to it."""
    registry, order = a_crowd(nodes)
    order = order * max(1, HEARTBEATS // nodes)
    clock_s, at = 0.0, 0

    def beat() -> None:
        nonlocal clock_s, at
        heartbeat, now = registry.heartbeat, clock_s
        for session in order[at : at + HEARTBEATS]:
            now += 1e-6
            heartbeat(session, now)
        clock_s, at = now, (at + HEARTBEATS) % max(nodes, HEARTBEATS)

    benchmark.extra_info.update(nodes=nodes, heartbeats=HEARTBEATS)
    benchmark(beat)
    assert registry.heap_size == nodes


@pytest.mark.benchmark(group=f"registry: a sweep among {NODES} nodes")
def test_a_sweep_that_renews_every_node(benchmark: BenchmarkFixture) -> None:
    """The expensive kind: every deadline that it finds was moved by a heartbeat."""
    registry, sessions = a_fleet(NODES)
    clock_s = 0.0

    def pass_a_threshold() -> None:
        nonlocal clock_s
        clock_s += 20.0
        for session in sessions:
            registry.heartbeat(session, clock_s)
        registry.sweep(clock_s + 15.0)

    benchmark.extra_info.update(nodes=NODES)
    benchmark(pass_a_threshold)
    assert registry.flaps == 0


@pytest.mark.benchmark(group=f"registry: a sweep among {NODES} nodes")
def test_sweeps_that_find_nothing(benchmark: BenchmarkFixture) -> None:
    """The usual kind, a hundred times: the cost depends on expired deadlines, not on the number of nodes."""
    registry, _ = a_fleet(NODES)

    def look_again() -> None:
        for _ in range(100):
            registry.sweep(1.0)

    benchmark(look_again)
    assert registry.flaps == 0


@pytest.mark.benchmark(group=f"registry: {NODES} nodes")
def test_nodes_that_turn_stale_and_come_back(benchmark: BenchmarkFixture) -> None:
    """An outage of all nodes, as the registry alone judges it: two changes per node."""
    registry, sessions = a_fleet(NODES)
    clock_s = 0.0

    def go_silent_and_return() -> None:
        nonlocal clock_s
        clock_s += 1000.0
        registry.sweep(clock_s)
        for session in sessions:
            registry.heartbeat(session, clock_s)

    benchmark.extra_info.update(nodes=NODES)
    benchmark(go_silent_and_return)
    assert registry.flaps > 0
