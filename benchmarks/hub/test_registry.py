"""A heartbeat in the registry, among few nodes and among many, in random order.

At 100,000 nodes the records do not fit into the cache: an order that the memory can foresee would measure something
that no hub ever sees.
"""

import random
from itertools import cycle

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from heartbench.hub import Hello, HubSettings, Registry, Session

HEARTBEATS = 100_000


def a_fleet(registry: Registry, nodes: int) -> list[Session]:
    return [registry.hello(Hello(f"node-{number:06d}", 1, 0), 0.0)[0] for number in range(nodes)]


def in_random_order(sessions: list[Session], count: int) -> list[Session]:
    shuffled = random.Random(1).sample(sessions, len(sessions))
    return [session for session, _ in zip(cycle(shuffled), range(count), strict=False)]


@pytest.mark.parametrize("nodes", [100, 100_000])
def test_a_heartbeat(benchmark: BenchmarkFixture, nodes: int) -> None:
    registry = Registry.from_settings(HubSettings.of())
    order = in_random_order(a_fleet(registry, nodes), HEARTBEATS)
    clock_s = 0.0

    def beat_all() -> None:
        nonlocal clock_s
        heartbeat, now = registry.heartbeat, clock_s
        for session in order:
            now += 1e-5
            heartbeat(session, now)
        clock_s = now

    benchmark.extra_info.update(nodes=nodes, heartbeats=HEARTBEATS)
    benchmark.pedantic(beat_all, rounds=10, warmup_rounds=1)
    assert registry.heap_size == nodes


def test_a_sweep_that_renews_every_node(benchmark: BenchmarkFixture) -> None:
    registry = Registry.from_settings(HubSettings.of())
    sessions = a_fleet(registry, 10_000)
    clock_s = 0.0

    def pass_a_threshold() -> None:
        nonlocal clock_s
        clock_s += 20.0
        for session in sessions:
            registry.heartbeat(session, clock_s)
        registry.sweep(clock_s + 15.0)

    benchmark.extra_info.update(nodes=len(sessions))
    benchmark.pedantic(pass_a_threshold, rounds=10, warmup_rounds=1)
    assert registry.flaps == 0
